"""Files that hold whole records whatever happens: lines that are added one by one, files that are replaced in one step.

A torn last line, which a killed process leaves, is dropped. A disk that is full is the machine's failure, and what was
recorded stays.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import MeasurementInvalid, UsageError
from harness.records import to_json

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Say what is wrong with a folder that cannot be written to. Raises UsageError, for a full disk as `writing`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise _failure(path, error) from error
        raise UsageError(f"cannot write to {path}: {error.strerror or error}. Give another --out.") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
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


class Lines:
    """A file to which records are added, a line for each. What was added is the kernel's to keep."""

    def __init__(self, path: Path) -> None:
        drop_torn_line(path)
        self._path = path
        self._file = path.open("ab", buffering=0)

    def add(self, record: object) -> None:
        """Add a line, whole or not at all. Raises MeasurementInvalid when it cannot be written."""
        left = memoryview(to_json(record).encode("ascii") + b"\n")
        size = len(left)
        with writing(self._path):
            try:
                while left:
                    left = left[self._file.write(left) :]
            except OSError:
                with suppress(OSError):  # what stays is dropped as a torn line
                    self._file.truncate(os.fstat(self._file.fileno()).st_size - (size - len(left)))
                raise

    def close(self) -> None:
        self._file.close()


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
