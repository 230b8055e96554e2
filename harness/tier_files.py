"""Files of tiers, which `harness tiers --out` writes and `harness eval --tiers` reads, and files of ratings."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from harness.errors import UsageError
from harness.evidence import clean, shown
from harness.measured_tiers import Rating
from harness.records import Benchmark
from harness.store import write_whole
from harness.tiers import Tiers

FORMAT = 1


def write_tiers(tiers: Tiers, path: Path | str) -> None:
    """Write tiers as JSON, a task a line. Raises UsageError when the file cannot be written."""
    path = Path(path)
    plain = msgspec.to_builtins(tiers)
    rows = ",\n".join(f"  {json.dumps(row)}" for row in plain.pop("tasks"))
    head = json.dumps({"format": FORMAT, **plain}, indent=1).removesuffix("\n}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, f'{head},\n "tasks": [\n{rows}\n ]\n}}\n')
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def read_tiers(path: Path | str, benchmark: Benchmark) -> Tiers:
    """Read the tiers of a benchmark. Raises UsageError unless they are of its very data and of all its tasks."""
    write_it = f"write it with `harness tiers {benchmark.name} --out {path}`"
    try:
        found = json.loads(Path(path).read_bytes())
        tiers = msgspec.convert(found, Tiers)
        is_ours = found.get("format") == FORMAT and all(one.tier for one in tiers.tasks)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise UsageError(f"{path} is not a file of tiers ({clean(reason, 200)}): {write_it}") from error
    if not is_ours:
        raise UsageError(f"{path} is not a file of tiers of format {FORMAT}: {write_it}")
    if (tiers.benchmark, tiers.dataset_digest) != (benchmark.name, benchmark.digest):
        raise UsageError(
            f"{path} has the tiers of {shown(tiers.benchmark)} (data {clean(tiers.dataset_digest[:12])}), not of "
            f"{shown(benchmark.name)} (data {benchmark.digest[:12]}): {write_it}"
        )
    if sorted(one.task_id for one in tiers.tasks) != sorted(task.task_id for task in benchmark.tasks):
        raise UsageError(f"{path} does not name each task of {benchmark.name} once: {write_it}")
    return tiers


def read_ratings(path: Path | str) -> tuple[Rating, ...]:
    """Read JSON lines of `task_id` and `rating`; several for a task are allowed, other keys are ignored.

    Raises UsageError, with file and line, for what is not a rating.
    """
    ratings = []
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        ratings.append(msgspec.convert(json.loads(line), Rating))
                    except (ValueError, RecursionError) as error:
                        raise UsageError(
                            f"{path}:{number}: not a rating ({clean(str(error), 200)}): "
                            'write each as {"task_id": "…", "rating": 3}'
                        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    return tuple(ratings)
