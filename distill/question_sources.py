"""Where questions come from, by name: generators, which have no end, and lists of tasks. Or a task file of one's own.

To add a source: name it in `GENERATORS` or `LISTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distill.task_files import read_families
from harness import (
    Benchmark,
    Task,
    gsm8k_train,
    ladder_families,
    ladder_rungs,
    load_benchmark,
    mbpp_train,
    static_tiers,
    words_train,
)

LADDER, WORDS = "ladder", "words"
TASK_FILES = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A task to train on, and its kind (empty where nobody knows)."""

    task: Task
    family: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """A source without end. `draw(seed, count, tiers, families)` gives the same questions for the same arguments.

    Ids differ between seeds. `families(tier)` are the kinds that a tier has. Both raise ValueError for a tier that does
    not exist.
    """

    draw: Callable[[int, int, Sequence[str], Sequence[str] | None], Iterable[Question]]
    families: Callable[[str], Sequence[str]]


def _ladder(seed: int, count: int, tiers: Sequence[str], families: Sequence[str] | None) -> Iterator[Question]:
    for rung in ladder_rungs(seed=seed, count=count, tiers=tiers, families=families):
        yield Question(task=rung.to_task("train"), family=rung.family)


def _words(seed: int, count: int, tiers: Sequence[str], families: Sequence[str] | None) -> Iterator[Question]:
    for task in words_train(seed=seed, count=count, tiers=tiers):
        yield Question(task=task)


def _of_one_kind(tier: str) -> tuple[str, ...]:
    """Return no kinds: in a word problem any sentence may follow any, so its tier is all there is."""
    next(words_train(seed=0, count=1, tiers=(tier,)))  # which knows the tiers
    return ()


GENERATORS: Mapping[str, Generator] = {
    LADDER: Generator(draw=_ladder, families=ladder_families),
    WORDS: Generator(draw=_words, families=_of_one_kind),
}
LISTS: Mapping[str, Callable[[], Benchmark]] = {
    "gsm8k": gsm8k_train,
    "mbpp": mbpp_train,
}


def is_source(name: str) -> bool:
    """Say whether there is a source of that name, or it is that of a task file."""
    return name in GENERATORS or name in LISTS or is_file(name)


def is_file(name: str) -> bool:
    """Say whether a source is a task file of one's own."""
    return name.endswith(TASK_FILES)


def listed(name: str) -> list[Question]:
    """Return the questions of a list or file, in its order; a list has tiers by difficulty where it brings none.

    Raises UsageError for what cannot be read.
    """
    if is_file(name):
        tasks = load_benchmark(name).tasks
        families = read_families(Path(name))
        return [Question(task=task, family=families.get(task.task_id, "")) for task in tasks]
    benchmark = LISTS[name]()
    if all(task.tier for task in benchmark.tasks):
        return [Question(task=task) for task in benchmark.tasks]
    tiers = static_tiers(benchmark).by_task()
    return [Question(task=replace(task, tier=tiers[task.task_id])) for task in benchmark.tasks]


def count_of(name: str) -> int:
    """Return how many questions a list or file has."""
    return len(load_benchmark(name).tasks if is_file(name) else LISTS[name]().tasks)
