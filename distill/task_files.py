"""Files of tasks in the formats that the harness reads, with the kinds of tasks beside."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness import CheckTests, NumberTests, Task, UsageError, write_whole

_GZIP = b"\x1f\x8b"


def write_tasks(tasks: Iterable[Task], path: Path, families: Mapping[str, str] | None = None) -> None:
    """Write tasks with their tier, for `--tasks FILE`; the file appears at the end and whole.

    Their format is HumanEval's, MBPP's, or that of questions with numbers for answers, as their tests are. `families`
    adds the kinds of tasks. Raises UsageError for a task with other tests.
    """
    rows = (_row(task) | _labels(task, (families or {}).get(task.task_id)) for task in tasks)
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))


def see_that_it_can_be_written(task: Task) -> None:
    """Raise UsageError for a task whose tests have no format of a file here."""
    _row(task)


def _labels(task: Task, family: str | None) -> dict[str, str]:
    return {"tier": task.tier or "", "split": task.split} | ({"family": family} if family else {})


def _row(task: Task) -> dict[str, Any]:
    if isinstance(task.tests, NumberTests):
        return _question(task, task.tests)
    if not isinstance(task.tests, CheckTests):
        raise UsageError(f"{task.task_id}: its tests are in no format that questions are written in")
    if task.statement is not None:
        return _mbpp(task, task.tests)
    return {
        "task_id": task.task_id,
        "prompt": task.prompt,
        "entry_point": task.entry_point,
        "canonical_solution": task.reference.removeprefix(task.prompt),
        "test": task.tests.source.removesuffix(f"\ncheck({task.entry_point})\n"),
    }


def _question(task: Task, tests: NumberTests) -> dict[str, Any]:
    row: dict[str, Any] = {
        "task_id": task.task_id,
        "question": task.statement.description if task.statement else task.prompt,
        "prompt": task.prompt,
        "answer": str(tests.expected),
        "canonical_solution": task.reference.removeprefix(task.prompt),
    }
    shots = task.statement.shots if task.statement else ()
    shown = [{"question": shot.description, "program": shot.code} for shot in shots]
    return row | ({"shots": shown} if shown else {})


def _mbpp(task: Task, tests: CheckTests) -> dict[str, Any]:
    assert task.statement is not None
    shown = "\n".join(task.statement.tests).replace("\r\n", "\n") + "\n"
    shots = [{"text": shot.description, "test_list": shot.tests, "code": shot.code} for shot in task.statement.shots]
    row: dict[str, Any] = {
        "task_id": int(task.task_id.removeprefix("Mbpp/")),
        "text": task.statement.description,
        "code": task.reference,
        "test_setup_code": tests.source.removesuffix(shown).removesuffix("\n"),
        "test_list": task.statement.tests,
    }
    return row | ({"shots": shots} if shots else {})


def read_families(path: Path) -> dict[str, str]:
    """Return the kind of each task of a file whose line names one; the harness has read that file before."""
    content = path.read_bytes()
    if content.startswith(_GZIP):
        content = gzip.decompress(content)
    rows = (json.loads(line) for line in content.splitlines() if line.strip())
    named = (row for row in rows if isinstance(row.get("family"), str) and row["family"])
    return {f"Mbpp/{row['task_id']}" if "test_list" in row else row["task_id"]: row["family"] for row in named}
