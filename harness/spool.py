"""Tables for what may be too much for memory: in a file without a name, which SQLite makes when memory runs short.

Such a file is gone with the process, however that ends. Where it lies is SQLite's choice ($SQLITE_TMPDIR, $TMPDIR).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

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
