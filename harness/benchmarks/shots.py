"""Solved questions of one's own, for the prompts of questions with numbers: the same for all tasks, or each its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from harness.benchmarks import data
from harness.benchmarks.gsm8k import shot_of
from harness.errors import UsageError
from harness.evidence import shown
from harness.protocols import PROTOCOLS
from harness.protocols.families import GSM8K
from harness.records import Benchmark, NumberTests, Task
from harness.statement import Shot, Statement

SHOWN_TO = "shown_to"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotLine:
    """A line of a file of solved questions, by its place there. Without `shown_to` it is shown to every task."""

    place: str
    shot: Shot
    shown_to: str | None


def read_shots(path: Path) -> tuple[tuple[ShotLine, ...], str]:
    """Return the lines of a file of solved questions, `question`, `program` and maybe `shown_to`, and its SHA-256.

    Raises `DataMissing` or `SamplesError`; UsageError for a file without any.
    """
    file = data.read(path)
    lines = tuple(
        ShotLine(
            place=record.place,
            shot=shot_of(record),
            shown_to=record.text(SHOWN_TO) if SHOWN_TO in record.fields else None,
        )
        for record in data.records_of(file)
    )
    if not lines:
        raise UsageError(f"--shots {data.shown_path(path)} holds no line: give it at least one solved question")
    return lines, file.sha256


def protocols_with_shots() -> tuple[str, ...]:
    """Return the names of the protocols whose prompts for questions with numbers show the solved ones of a file."""
    asked = Statement(description="?", tests=())
    tests = NumberTests(expected=Fraction(1))
    task = Task(task_id="?", prompt="# ?\n", entry_point="x", reference="", tests=tests, statement=asked)
    showing = replace(task, statement=replace(asked, shots=(Shot(description="!", tests=(), code="x = 1"),)))
    rules = {name: families[GSM8K] for name, families in PROTOCOLS.items() if GSM8K in families}
    return tuple(name for name, one in rules.items() if one.prompt(task) != one.prompt(showing))


def with_shots(benchmark: Benchmark, path: Path) -> Benchmark:
    """Return GSM8K, or other questions with numbers, with the solved questions of a file to be shown.

    Where lines have `shown_to`, the id of the task that alone is shown them, all have it, and every task has some.
    Raises `UsageError` for another benchmark or where that is not so, and what `read_shots` does.
    """
    if any(not isinstance(task.tests, NumberTests) for task in benchmark.tasks):
        raise UsageError(
            f"--shots are solved questions for gsm8k, and {shown(benchmark.name)} shows none: leave it out"
        )
    lines, digest = read_shots(path)
    by_task = _by_task(benchmark, lines)
    tasks = tuple(
        replace(task, statement=replace(task.statement, shots=by_task[task.task_id]))
        for task in benchmark.tasks
        if task.statement
    )
    return replace(benchmark, tasks=tasks, shots_digest=digest)


def _by_task(benchmark: Benchmark, lines: Iterable[ShotLine]) -> dict[str, tuple[Shot, ...]]:
    """Return what each task is shown, in the order of the file."""
    ids = [task.task_id for task in benchmark.tasks]
    named: dict[str, tuple[Shot, ...]] = {}
    everyone: tuple[Shot, ...] = ()
    for line in lines:
        if line.shown_to is None:
            everyone = (*everyone, line.shot)
        else:
            named[line.shown_to] = (*named.get(line.shown_to, ()), line.shot)
        if everyone and named:
            raise UsageError(f"{line.place}: all lines have {SHOWN_TO!r}, or none")
    if everyone:
        return dict.fromkeys(ids, everyone)
    if unknown := sorted(named.keys() - set(ids)):
        raise UsageError(
            f"--shots: {SHOWN_TO!r} names {shown(unknown[0])}, which is no task of {shown(benchmark.name)}"
        )
    if missing := [task_id for task_id in ids if task_id not in named]:
        raise UsageError(f"--shots has no solved question for {shown(missing[0])}: give each task a line")
    return named
