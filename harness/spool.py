"""Tables for what may be too much for memory: in a file without a name, which SQLite makes when memory runs short.

Such a file is gone with the process, however that ends. Where it lies is SQLite's choice ($SQLITE_TMPDIR, $TMPDIR).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import MeasurementInvalid


def open_spool(*statements: str) -> sqlite3.Connection:
    """Return a database that is nobody else's, after these statements. Close it after use."""
    with spooling():
        database = sqlite3.connect("", isolation_level=None)
        for statement in ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", *statements):
            database.execute(statement).fetchall()
    return database


@contextmanager
def spooling() -> Iterator[None]:
    """Raise MeasurementInvalid, with the fix, where the machine has no room for a table."""
    try:
        yield
    except sqlite3.Error as error:
        raise MeasurementInvalid(
            f"there is no room for temporary files: {error}. Free some, or set SQLITE_TMPDIR to another folder."
        ) from error


class SortedLines:
    """The lines of a file in the order of their keys, of which none is held in memory. Close it after use.

    `were_sorted`: they are in this order in the file.
    """

    def __init__(self, path: Path, key: Callable[[bytes], tuple[int, int]]) -> None:
        """Read the file once. Raises what `key` raises."""
        self._path = path
        self.were_sorted = True
        self._places = open_spool("CREATE TABLE lines (first INTEGER, second INTEGER, start INTEGER, size INTEGER)")
        try:
            with spooling():
                self._places.execute("BEGIN")
                self._places.executemany("INSERT INTO lines VALUES (?, ?, ?, ?)", self._rows(key))
                self._places.execute("COMMIT")
        except BaseException:
            self.close()
            raise

    def _rows(self, key: Callable[[bytes], tuple[int, int]]) -> Iterator[tuple[int, int, int, int]]:
        start, before = 0, (-1, -1)
        with self._path.open("rb") as file:
            for line in file:
                found = key(line)
                self.were_sorted = self.were_sorted and before <= found
                before = found
                yield *found, start, len(line)
                start += len(line)

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as file, spooling():
            for start, size in self._places.execute("SELECT start, size FROM lines ORDER BY first, second, start"):
                file.seek(start)
                yield file.read(size)

    def close(self) -> None:
        """Forget the order."""
        self._places.close()
