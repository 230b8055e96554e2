"""Verdicts that need not be found again: identical programs of one task are judged once.

Within a run always, across runs with a folder for it. A verdict is found by a digest of everything that it follows
from: the program, the task and its tests (by the data's digest), the limits, the sandbox's image, the processor, and
the text of the harness itself. Kept in SQLite and as JSON, so that memory stays small and nothing is unpickled.

Whoever can write to the folder can decide verdicts, as can whoever can write to the harness: so a folder or file that
another user owns or may write to is refused. Each row has a digest, so that damage is seen and judged afresh.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import platform
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness.answers import shortcoming
from harness.errors import MeasurementInvalid, UsageError
from harness.records import COMPARED, Outcome, Sample, Task, Verdict, from_json, to_json
from sandbox import open_sandbox

FILE_NAME = "verdicts.sqlite3"
_FORMAT = "1"
_BUSY_SECONDS = 60.0
_AT_HAND = 4096  # verdicts of this run that are kept as they are, till there are more
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_log = logging.getLogger(__name__)


class KnownVerdicts:
    """The verdicts of a run by what they follow from. For one thread at a time; close it after use.

    `basis` names what all verdicts of the run follow from, beside task and program. `folder` keeps them across runs.
    """

    def __init__(self, tasks: Mapping[str, Task], basis: tuple[str, ...], folder: Path | None = None) -> None:
        self._tasks = tasks
        own = (_FORMAT, _digest_of_judge(), _processor()) if folder is not None else ()
        self._basis = hashlib.sha256("\0".join((*own, *basis)).encode()).digest()
        self._here = _Verdicts(None)
        self._kept: _Verdicts | None = None
        try:
            self._kept = _Verdicts(own_file(folder)) if folder is not None else None
        except BaseException:
            self._here.close()
            raise
        self._noted = 0

    def key(self, sample: Sample) -> bytes | None:
        """Return what samples with the same verdict share; None where looking costs as much as judging."""
        if isinstance(self._tasks[sample.task_id].tests, COMPARED):
            return None
        rest = shortcoming(sample)  # what the judge reads of a sample beside its program
        # Blanks at its end, in which completions differ most, are nothing to Python.
        program = sample.program.rstrip(" \t\n")
        return hashlib.sha256(self._basis + _bytes(f"{sample.task_id}\0{rest}\0{program}")).digest()

    def verdict(self, key: bytes) -> Verdict | None:
        """Return the verdict that was learned for a key, in this run or, with a folder, an earlier one."""
        found = self._here.get(key)
        if found is None and self._kept is not None:
            found = self._kept.get(key)
        return found

    def learn(self, key: bytes, verdict: Verdict) -> None:
        """Take a verdict for all samples with this key. The machine's failures are nobody's verdict.

        What the clock on the wall had a part in stays in this run: another day, the machine may be less busy.
        """
        if verdict.outcome is Outcome.NOT_JUDGED:
            return
        plain = replace(verdict, sample_index=0, reused=False, flaky=False)
        self._here.put(key, plain)
        if self._kept is not None and not (verdict.wall_cut or verdict.flaky or verdict.reused):
            self._kept.put(key, plain)

    def note(self, verdict: Verdict) -> None:
        """Take a verdict that the run had before it was stopped; `judged` learns from it when its sample comes."""
        self._noted += 1
        self._here.note(verdict)

    def judged(self, sample: Sample) -> bool:
        """Whether a sample's verdict has been noted."""
        verdict = self._here.noted(sample.task_id, sample.sample_index) if self._noted else None
        if verdict is None:
            return False
        key = self.key(sample)
        if key is not None and self._here.get(key) is None:
            self.learn(key, verdict)
        return True

    def close(self) -> None:
        """Forget what only this run knew."""
        self._here.close()
        if self._kept is not None:
            self._kept.close()


class _Verdicts:
    """A table of verdicts in a file, or in one without a name that SQLite makes when memory is short."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._at_hand: dict[bytes, Verdict] = {}
        with self._said():
            self._database = sqlite3.connect(
                path or "", timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # Losing the last rows with the power costs judging them again.
            mode = "WAL" if path else "OFF"
            self._database.execute(f"PRAGMA journal_mode={mode}").fetchone()
            self._database.execute(f"PRAGMA synchronous={'NORMAL' if path else 'OFF'}")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS verdicts (key BLOB PRIMARY KEY, verdict TEXT, digest BLOB) WITHOUT ROWID"
            )
            if path is None:
                self._database.execute(
                    "CREATE TABLE noted (task BLOB, sample INTEGER, verdict TEXT, PRIMARY KEY (task, sample)) "
                    "WITHOUT ROWID"
                )

    def get(self, key: bytes) -> Verdict | None:
        if (verdict := self._at_hand.get(key)) is not None:
            return verdict
        with self._said():
            row = self._database.execute("SELECT verdict, digest FROM verdicts WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        try:
            text, digest = row
            if digest != _row_digest(key, text):
                raise ValueError("its digest is not that of its content")
            return from_json(Verdict, text)
        except (TypeError, AttributeError, ValueError) as error:
            _log.warning("a verdict in %s is damaged, so its program is judged again: %s", self._path, error)
            return None

    def put(self, key: bytes, verdict: Verdict) -> None:
        if self._path is not None:  # where others read it, and a killed run leaves it
            self._store({key: verdict})
            return
        self._at_hand[key] = verdict
        if len(self._at_hand) > _AT_HAND:
            with self._said():
                self._database.execute("BEGIN")
            self._store(self._at_hand)
            with self._said():
                self._database.execute("COMMIT")
            self._at_hand = {}

    def _store(self, verdicts: Mapping[bytes, Verdict]) -> None:
        texts = [(key, to_json(verdict)) for key, verdict in verdicts.items()]
        with self._said():
            rows = [(key, text, _row_digest(key, text)) for key, text in texts]
            self._database.executemany("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?)", rows)

    def note(self, verdict: Verdict) -> None:
        with self._said():
            row = (_bytes(verdict.task_id), verdict.sample_index, to_json(verdict))
            self._database.execute("INSERT OR REPLACE INTO noted VALUES (?, ?, ?)", row)

    def noted(self, task_id: str, sample_index: int) -> Verdict | None:
        with self._said():
            which = "SELECT verdict FROM noted WHERE task = ? AND sample = ?"
            row = self._database.execute(which, (_bytes(task_id), sample_index)).fetchone()
        return None if row is None else from_json(Verdict, row[0])

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Raise MeasurementInvalid where the machine has no room, UsageError for a file that is no such table."""
        try:
            yield
        except sqlite3.Error as error:
            said = f"the verdicts in {self._path or 'a temporary file'} cannot be used: {error}."
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM or self._path is None:
                raise MeasurementInvalid(f"{said} Free some room there and run the same command again.") from error
            raise UsageError(f"{said} Delete it, or give another folder on a disk of this machine.") from error


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _row_digest(key: bytes, text: str) -> bytes:
    return hashlib.sha256(key + text.encode()).digest()


def own_file(folder: Path) -> Path:
    """Return the file of verdicts in a folder, made if it is not there. Raises UsageError if others can write to it."""
    path = folder / FILE_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        for one in (folder, path):
            found = one.stat()
            if found.st_uid != os.geteuid() or found.st_mode & _OTHERS_MAY_WRITE:
                raise UsageError(
                    f"--cache {folder}: other users can write to {one}, and so could decide verdicts. "
                    f"Make it yours alone (chmod go-w {one}), or give another folder."
                )
    except OSError as error:
        raise UsageError(f"--cache {folder}: {error.strerror or error}. Give another folder.") from error
    return path


def _digest_of_judge() -> str:
    """Return a digest of the text of everything that takes part in a verdict on the trusted side."""
    found = hashlib.sha256(platform.python_version().encode())
    for folder in (Path(__file__).parent, Path(inspect.getfile(open_sandbox)).parent):
        for path in sorted(folder.rglob("*.py")):
            found.update(f"{path.relative_to(folder)}\0".encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def _processor() -> str:
    """Return the processor's name: whether a program is too slow depends on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line for line in lines if line.startswith("model name")), platform.machine())
