"""Questions to make lessons of: where they come from, and the file that the harness has a teacher answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from distill.lessons import LeakageError
from harness import CheckTests, Leak, Task, UsageError, find_leaks, ladder_train, load_benchmark

_SEEDS = 100  # more than there are tiers


class QuestionsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which questions: `source` is `ladder` (its training tasks) or a task file in HumanEval's format.

    `count` questions a round; the share `replay` of them is of the tiers that are not weak, so that those are not
    forgotten. The lines of a file have the fields `tier` and `"split": "train"` beside HumanEval's. With `fail_on_leak`
    a lesson that gives a test away ends the round; otherwise it is left out and counted.
    """

    source: str = "ladder"
    count: int = 4000
    replay: float = 0.25
    fail_on_leak: bool = False

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.replay < 1:
            raise ValueError("count is at least 1, and replay a share below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The questions of a round, and the leaks for which others were left out."""

    tasks: tuple[Task, ...]
    leaks: tuple[Leak, ...]


def choose(
    config: QuestionsConfig, weak: Sequence[str], other: Sequence[str], tests: Sequence[Task], seed: int
) -> Chosen:
    """Return questions for the weak tiers, and for the others by the replay share; none that gives a test away.

    Raises UsageError when a file has none for a weak tier, LeakageError when a question is a test by its id.
    """
    replayed = round(config.count * config.replay) if other else 0
    wanted = {**_dealt(config.count - replayed, weak), **_dealt(replayed, other)}
    supply = _from_ladder if config.source == "ladder" else _from_file
    tasks = supply(config.source, wanted, seed)
    if foreign := [task for task in tasks if task.split != "train"]:
        raise LeakageError(
            f"{config.source}: {foreign[0].task_id} is not marked as a task to train on; if it is one, give its line "
            'the field "split": "train"'
        )
    known = {task.task_id for task in tests}
    if same := sorted(known.intersection(task.task_id for task in tasks)):
        raise LeakageError(f"{config.source}: {same[0]} is a task of the test set; train on other tasks")
    # Programs of a file are anybody's, and are compared by text alone; the ladder's generator has compared behaviour.
    leaks = find_leaks(tasks, tests, run=False)
    leaking = {leak.task_id for leak in leaks}
    return Chosen(tasks=tuple(task for task in tasks if task.task_id not in leaking), leaks=tuple(leaks))


def _dealt(count: int, tiers: Sequence[str]) -> dict[str, int]:
    """Deal a count out to tiers, the first ones getting what is left over."""
    return {tier: count // len(tiers) + (place < count % len(tiers)) for place, tier in enumerate(tiers)}


def _from_ladder(_: str, wanted: dict[str, int], seed: int) -> list[Task]:
    # A seed of its own for each tier, since task ids are made of seed and number.
    return [
        task
        for place, (tier, count) in enumerate(wanted.items())
        for task in ladder_train(seed=seed * _SEEDS + place, count=count, tiers=(tier,))
    ]


def _from_file(path: str, wanted: dict[str, int], seed: int) -> list[Task]:
    import random

    by_tier: dict[str, list[Task]] = {}
    for task in load_benchmark(path).tasks:
        by_tier.setdefault(task.tier or "", []).append(task)
    chosen = []
    for tier, count in wanted.items():
        if count and tier not in by_tier:
            raise UsageError(f"{path} has no questions of the tier {tier}: it has {', '.join(sorted(by_tier))}")
        tasks = by_tier.get(tier, [])
        chosen += random.Random(f"{seed} {tier}").sample(tasks, min(count, len(tasks)))
    return chosen


def write_tasks(tasks: Iterable[Task], path: Path) -> None:
    """Write tasks in HumanEval's format with their tier, for `--tasks FILE`; the file appears at the end and whole.

    Raises UsageError for a task with other tests.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("w", encoding="utf-8") as out:
        for task in tasks:
            if not isinstance(task.tests, CheckTests):
                raise UsageError(f"{task.task_id}: its tests are not in HumanEval's format")
            call = f"\ncheck({task.entry_point})\n"
            row = {
                "task_id": task.task_id,
                "prompt": task.prompt,
                "entry_point": task.entry_point,
                "canonical_solution": task.reference.removeprefix(task.prompt),
                "test": task.tests.source.removesuffix(call),
                "tier": task.tier or "",
                "split": task.split,
            }
            out.write(json.dumps(row) + "\n")
    part.replace(path)
