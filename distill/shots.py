"""Which solved questions a few-shot prompt shows: for each question those of a pool that are nearest to it, or others.

The pool is training data: what gives a test away leaves it, and no question is shown its own solution or that of one
that is nearly it (`harness.find_leaks`). What was chosen is a file that `harness eval --shots` takes.

Nearest examples are those of Liu et al. 2022 (arXiv 2101.06804), who found them better than random ones for GPT-3; as
there, the nearest stands last.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import msgspec

from distill.lessons import LeakageError
from harness import (
    Document,
    ModelOptions,
    NumberTests,
    Retriever,
    Shot,
    Task,
    UsageError,
    chosen_exit,
    find_leaks,
    open_retriever,
    read_shots,
    write_whole,
)

RANDOM = "random"
_TRAIN = "train"
_BATCH_SIZE = 32
_QUESTIONS = 256  # at a time: as many rows of scores are in memory


class ShotSelection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many solved questions each question is shown, and by what they are chosen.

    `by` is bm25, bag-of-tokens, an encoder's folder or id, which embeds at its `exit` (None: the last), or random.
    """

    count: int = 3
    by: str = "bm25"
    exit: int | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count {self.count}: at least 1")
        if self.exit is not None and self.by == RANDOM:
            raise ValueError("exit says nothing of random solved questions: leave it out")


class ChosenShots(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen, and of what: `digest` is that of what ranked (empty: chance), `pool_digest` the pool's SHA-256.

    Of the pool's lines `left_out` give a test away; `shown` of the others are shown to some question. `seed` is that of
    random ones.
    """

    selection: ShotSelection
    model: str
    digest: str
    exit: int
    seed: int
    pool_digest: str
    pool: int
    left_out: tuple[str, ...]
    questions: int
    shown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranker:
    """What ranks solved questions, opened; None stands for chance."""

    retriever: Retriever | None
    exit: int


def opened(selection: ShotSelection) -> Ranker:
    """Open what ranks. Raises what `harness.open_retriever` does, UsageError for an exit that it does not have."""
    if selection.by == RANDOM:
        return Ranker(retriever=None, exit=0)
    retriever = open_retriever(selection.by, ModelOptions())
    return Ranker(retriever=retriever, exit=chosen_exit(retriever, selection.exit))


def see_that_they_can_be_shown(pool: Path, selection: ShotSelection | None, tests: Sequence[Task]) -> None:
    """Raise UsageError for a file that shows nothing, or a ranker that is none.

    Raises LeakageError where every question would be shown what gives a test away: a selection leaves such lines out.
    """
    lines, _ = read_shots(pool)
    if selection is not None:
        opened(selection)
        return
    for leak in find_leaks([_as_task(place, one.shot) for place, one in enumerate(lines)], tests, run=False):
        raise LeakageError(f"{lines[int(leak.task_id)].place} gives the test {leak.test_id} away: take it out")


def select_shots(
    pool: Path, questions: Sequence[Task], tests: Sequence[Task], selection: ShotSelection, seed: int, out: Path
) -> ChosenShots:
    """Write the solved questions of `pool` that each question is shown to `out`, a line each, and say what they are.

    What gives one of `tests` away, or a question that is not to train on, is shown to nobody. Raises UsageError where
    too few are left or a question has no words, and what `opened` and `harness.read_shots` do.
    """
    lines, digest = read_shots(pool)
    if any(line.shown_to for line in lines):
        raise UsageError(f"{pool} says already which question is shown what (shown_to): give a file without")
    solved = [_as_task(place, line.shot) for place, line in enumerate(lines)]
    foreign = [*tests, *(task for task in questions if task.split != _TRAIN)]
    leaking = {leak.task_id for leak in find_leaks(solved, foreign, run=False)}
    kept = [line for line, task in zip(lines, solved, strict=True) if task.task_id not in leaking]
    ranker = opened(selection)
    orders = list(_orders([line.shot for line in kept], questions, ranker, seed))
    same = _same([line.shot for line in kept], questions)
    rows: list[str] = []
    shown: set[int] = set()
    for task, order in zip(questions, orders, strict=True):
        chosen = [place for place in order if place not in same[task.task_id]][: selection.count]
        if len(chosen) < selection.count:
            raise UsageError(
                f"{pool} has {len(chosen)} solved questions to show to {task.task_id}, and {selection.count} are asked "
                f"for ({len(leaking)} give a test away): give it more, or ask for fewer"
            )
        shown.update(chosen)
        rows += [_row(task, kept[place].shot) for place in reversed(chosen)]  # the nearest stands last
    write_whole(out, "".join(rows))
    return ChosenShots(
        selection=selection,
        model=ranker.retriever.name if ranker.retriever else RANDOM,
        digest=ranker.retriever.digest if ranker.retriever else "",
        exit=ranker.exit,
        seed=seed,
        pool_digest=digest,
        pool=len(lines),
        left_out=tuple(line.place for line, task in zip(lines, solved, strict=True) if task.task_id in leaking),
        questions=len(questions),
        shown=len(shown),
    )


def _as_task(place: int, shot: Shot) -> Task:
    """Return a solved question as one to train on, to be held against tests by its words."""
    return Task(
        task_id=str(place),
        prompt=shot.description,
        entry_point="answer",
        reference="",
        tests=NumberTests(expected=Fraction(0)),  # by which nothing is compared
        split=_TRAIN,
    )


def _same(shots: Sequence[Shot], questions: Sequence[Task]) -> Mapping[str, set[int]]:
    """Return, for each question, the places of those that are that question, or nearly."""
    found: dict[str, set[int]] = defaultdict(set)
    asked = [_as_task(place, Shot(description=_words(task), tests=(), code="")) for place, task in enumerate(questions)]
    for leak in find_leaks((_as_task(place, shot) for place, shot in enumerate(shots)), asked, run=False):
        found[questions[int(leak.test_id)].task_id].add(int(leak.task_id))
    return found


def _orders(shots: Sequence[Shot], questions: Sequence[Task], ranker: Ranker, seed: int) -> Iterator[list[int]]:
    """Yield, for each question, the places of all solved ones, those first that are to be shown."""
    if not shots:
        yield from ([] for _ in questions)
    elif ranker.retriever is None:
        for task in questions:
            yield random.Random(f"{seed} {task.task_id}").sample(range(len(shots)), len(shots))
    else:
        pool = [Document(doc_id=str(place), text=shot.description) for place, shot in enumerate(shots)]
        index = ranker.retriever.index(pool, ranker.exit, _BATCH_SIZE)
        for start in range(0, len(questions), _QUESTIONS):
            some = questions[start : start + _QUESTIONS]
            scores = index.scores([Document(doc_id=task.task_id, text=_words(task)) for task in some])
            yield from (row.tolist() for row in (-scores).argsort(axis=1, kind="stable"))


def _words(task: Task) -> str:
    if task.statement is None:
        raise UsageError(f"{task.task_id} is no question in words, and solved questions are for those: leave them out")
    return task.statement.description


def _row(task: Task, shot: Shot) -> str:
    return json.dumps({"question": shot.description, "program": shot.code, "shown_to": task.task_id}) + "\n"
