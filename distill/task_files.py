"""Files of tasks in HumanEval's format, as the harness reads them, with the kinds of tasks beside."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness import CheckTests, Task, UsageError, write_whole

_GZIP = b"\x1f\x8b"


def write_tasks(tasks: Iterable[Task], path: Path, families: Mapping[str, str] | None = None) -> None:
    """Write tasks in HumanEval's format with their tier, for `--tasks FILE`; the file appears at the end and whole.

    `families` adds the kinds of tasks. Raises UsageError for a task with other tests.
    """
    rows = (_row(task, (families or {}).get(task.task_id)) for task in tasks)
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))


def _row(task: Task, family: str | None) -> dict[str, str]:
    if not isinstance(task.tests, CheckTests):
        raise UsageError(f"{task.task_id}: its tests are not in HumanEval's format")
    row = {
        "task_id": task.task_id,
        "prompt": task.prompt,
        "entry_point": task.entry_point,
        "canonical_solution": task.reference.removeprefix(task.prompt),
        "test": task.tests.source.removesuffix(f"\ncheck({task.entry_point})\n"),
        "tier": task.tier or "",
        "split": task.split,
    }
    return row | {"family": family} if family else row


def read_families(path: Path) -> dict[str, str]:
    """Return the kind of each task of a file whose line names one; the harness has read that file before."""
    content = path.read_bytes()
    if content.startswith(_GZIP):
        content = gzip.decompress(content)
    rows = (json.loads(line) for line in content.splitlines() if line.strip())
    return {row["task_id"]: row["family"] for row in rows if isinstance(row.get("family"), str) and row["family"]}
