"""The run folder: run.json, samples.jsonl, verdicts.jsonl, report.json; what makes a killed run go on.

Where a model's predictions are scored as well, token_scores.jsonl has a line per task.

Records are appended in the order of the samples and flushed one by one, so whatever the moment of a kill, the files
hold whole records but for a torn last line, which is dropped. A disk that is full ends the run as the machine's
failure; what was recorded stays. A folder belongs to one configuration: its fingerprint
is over every field that a result depends on, and a run with another one is refused. One process at a time writes.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import TypeVar

from harness.errors import MeasurementInvalid, StoreMismatch, UsageError
from harness.records import Outcome, Report, RunConfig, Sample, Verdict, from_json, to_json
from harness.spool import SortedLines
from harness.tokens import TokenScore

RUN, SAMPLES, VERDICTS, REPORT = "run.json", "samples.jsonl", "verdicts.jsonl", "report.json"
TOKEN_SCORES = "token_scores.jsonl"  # noqa: S105  (a file, no secret)
_MADE_BY_A_RUN = (SAMPLES, VERDICTS, TOKEN_SCORES, REPORT)
# What a run was made with, but which its results do not depend on.
# Tiers that a file gave are covered by `tiers_digest`, the rates of the weak rule's baseline by the rule's digest. A
# time limit decides how many samples there are, and the report says that; it changes none of them.
NOT_FINGERPRINTED = frozenset(
    {
        *("workers", "versions", "dataset_source", "not_promised", "tiers", "tier_source", "weak_rates"),
        *("time_limit_seconds", "cache"),
    }
)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
Line = TypeVar("Line", Sample, Verdict, TokenScore)
Whole = TypeVar("Whole", RunConfig, Report)


def fingerprint(config: RunConfig) -> str:
    """Return the SHA-256 over every field that a result depends on, as 64 hex digits."""
    kept = {name: value for name, value in asdict(config).items() if name not in NOT_FINGERPRINTED}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def read_report(folder: Path) -> Report:
    """Return the report of a finished run. Raises UsageError if there is none."""
    return _read_whole(folder / REPORT, Report)


def read_config(folder: Path) -> RunConfig:
    """Return the configuration of a run. Raises UsageError if there is none."""
    return _read_whole(folder / RUN, RunConfig)


def _read_whole(path: Path, kind: type[Whole]) -> Whole:
    try:
        return from_json(kind, path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{path} is not there: is this the folder of a finished run?") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def read_lines(path: Path, kind: type[Line]) -> Iterator[Line]:
    """Yield the records of a file. Raises UsageError, with file and line, for one that is not whole."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield from_json(kind, line)
                except ValueError as error:
                    raise UsageError(f"{path}:{number}: not a {kind.__name__}: {error}") from error
    except FileNotFoundError:
        raise UsageError(f"{path} is not there: is this the folder of a run?") from None


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """Say what is wrong with a folder that cannot be written to. Raises UsageError, for a full disk as `_writing`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise _failure(path, error) from error
        raise UsageError(f"cannot write to {path}: {error.strerror or error}. Give another --out.") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise MeasurementInvalid, with the fix, when a file of a run that has begun cannot be written."""
    try:
        yield
    except OSError as error:
        raise _failure(path, error) from error


def _failure(path: Path, error: OSError) -> MeasurementInvalid:
    return MeasurementInvalid(
        f"cannot write {path}: {error.strerror or error}. What was recorded is kept: "
        f"{'free some room there' if error.errno in _NO_ROOM else 'mend that'} and run the same command again to go on"
    )


class _Lines:
    """A file to which records are added, a line for each. What was added is the kernel's to keep."""

    def __init__(self, path: Path) -> None:
        drop_torn_line(path)
        self._path = path
        self._file = path.open("ab", buffering=0)

    def add(self, record: Sample | Verdict | TokenScore) -> None:
        """Add a line, whole or not at all. Raises MeasurementInvalid when it cannot be written."""
        left = memoryview(to_json(record).encode("ascii") + b"\n")
        size = len(left)
        with _writing(self._path):
            try:
                while left:
                    left = left[self._file.write(left) :]
            except OSError:
                with suppress(OSError):  # what stays is dropped as a torn line
                    self._file.truncate(os.fstat(self._file.fileno()).st_size - (size - len(left)))
                raise

    def close(self) -> None:
        self._file.close()


class RunFolder:
    """The folder of one run, open for writing. Use it as a context manager."""

    def __init__(self, path: Path, config: RunConfig, resume: bool = True) -> None:
        """Open or create the folder.

        Raises StoreMismatch or UsageError when it belongs to something else, MeasurementInvalid on a full disk.
        """
        self.path = path
        self.config = config
        self.fingerprint = fingerprint(config)
        self._files: list[_Lines] = []
        self._token_scores: _Lines | None = None  # made when there is something to write
        with _opening(path):
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise UsageError(f"{path} is in use by another run: wait for it or give another --out") from None
        try:
            with _opening(path):
                self._claim(config, resume)
                self._samples = self._append_to(SAMPLES)
                self._verdicts = self._append_to(VERDICTS)
        except BaseException:
            self.close()
            raise

    def _claim(self, config: RunConfig, resume: bool) -> None:
        """Make the folder this configuration's, or see that it is."""
        if (self.path / RUN).exists():
            if resume:
                self._refuse_other(config)
            else:
                for name in _MADE_BY_A_RUN:
                    (self.path / name).unlink(missing_ok=True)
        elif any((self.path / name).exists() for name in _MADE_BY_A_RUN):
            raise UsageError(f"{self.path} holds files of a run but no {RUN}; give another --out")
        write_whole(self.path / RUN, json.dumps(asdict(config), indent=2) + "\n")

    def _refuse_other(self, config: RunConfig) -> None:
        stored = read_config(self.path)
        if fingerprint(stored) == self.fingerprint:
            return
        differing = [
            f"{field.name} was {_short(getattr(stored, field.name))}, now {_short(getattr(config, field.name))}"
            for field in fields(RunConfig)
            if field.name not in NOT_FINGERPRINTED and getattr(stored, field.name) != getattr(config, field.name)
        ]
        raise StoreMismatch(
            f"{self.path} belongs to another configuration: {'; '.join(differing)}. "
            "Give another --out, or --no-resume to start this one afresh."
        )

    def _append_to(self, name: str) -> _Lines:
        file = _Lines(self.path / name)
        self._files.append(file)
        return file

    def samples(self) -> Iterator[Sample]:
        """Yield the samples that are already there."""
        return read_lines(self.path / SAMPLES, Sample)

    def verdicts(self) -> Iterator[Verdict]:
        """Yield the verdicts that are already there."""
        return read_lines(self.path / VERDICTS, Verdict)

    def drop_not_judged(self) -> int:
        """Forget the verdicts that were the machine's failure, so that they are tried again; returns how many."""
        dropped = sum(verdict.outcome is Outcome.NOT_JUDGED for verdict in self.verdicts())
        if dropped:
            kept = (verdict for verdict in self.verdicts() if verdict.outcome is not Outcome.NOT_JUDGED)
            self._rewrite_verdicts((to_json(verdict) + "\n").encode() for verdict in kept)
        return dropped

    def _rewrite_verdicts(self, lines: Iterable[bytes]) -> None:
        self._verdicts.close()
        with _writing(self.path / VERDICTS):
            write_whole(self.path / VERDICTS, lines)
            self._verdicts = self._append_to(VERDICTS)

    def sort_verdicts(self, order: dict[str, int]) -> None:
        """Put the verdicts into the order of tasks and samples: they come as they are found."""

        def key(line: bytes) -> tuple[int, int]:
            verdict = from_json(Verdict, line)
            return order[verdict.task_id], verdict.sample_index

        with closing(SortedLines(self.path / VERDICTS, key)) as lines:
            if not lines.were_sorted:
                self._rewrite_verdicts(lines)

    def add_sample(self, sample: Sample) -> None:
        self._samples.add(sample)

    def add_verdict(self, verdict: Verdict) -> None:
        self._verdicts.add(verdict)

    def token_scores(self) -> Iterator[TokenScore]:
        """Yield the token scores that are already there."""
        path = self.path / TOKEN_SCORES
        drop_torn_line(path)
        if path.exists():
            yield from read_lines(path, TokenScore)

    def add_token_score(self, score: TokenScore) -> None:
        if self._token_scores is None:
            with _writing(self.path / TOKEN_SCORES):
                self._token_scores = self._append_to(TOKEN_SCORES)
        self._token_scores.add(score)

    def finish(self, report: Report) -> None:
        """Write the report. Raises MeasurementInvalid when it cannot be written."""
        with _writing(self.path / REPORT):
            write_whole(self.path / REPORT, json.dumps(asdict(report), indent=2) + "\n")

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._lock.close()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def write_whole(path: Path, content: str | bytes | Iterable[bytes]) -> None:
    """Write a file in one step: it holds what was there or the new content (text as UTF-8), never a part."""
    parts = [content.encode()] if isinstance(content, str) else [content] if isinstance(content, bytes) else content
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.writelines(parts)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)  # on a full disk, half a file would stand in the way of the next attempt


def drop_torn_line(path: Path) -> None:
    """Cut a file behind its last newline: what follows was being written when the process died."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = position = file.seek(0, os.SEEK_END)
        while position > 0:
            start = max(0, position - 65536)
            file.seek(start)
            found = file.read(position - start).rfind(b"\n")
            if found >= 0:
                position = start + found + 1
                break
            position = start
        if position < size:
            file.truncate(position)
