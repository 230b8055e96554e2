"""What waits on the disk comes back in order and unchanged, and a full disk is the machine's failure."""

from __future__ import annotations

import random
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from harness.errors import MeasurementInvalid
from harness.lines import from_json, to_json
from harness.records import Evidence
from harness.spool import SortedLines, open_spool, spooling


def key(line: bytes) -> tuple[int, int]:
    first, second = line.split()[:2]
    return int(first), int(second)


@pytest.mark.parametrize(
    ("content", "were_sorted"),
    [(b"", True), (b"1 2 a\n", True), (b"1 2 a\n1 2 b\n2 0 c\n", True), (b"2 0 a\n1 9 b\n1 10 c\n1 9 d\n", False)],
)
def test_lines_come_in_the_order_of_their_keys(tmp_path: Path, content: bytes, were_sorted: bool) -> None:
    path = tmp_path / "lines"
    path.write_bytes(content)
    with closing(SortedLines(path, key)) as lines:
        assert lines.were_sorted is were_sorted
        assert list(lines) == sorted(content.splitlines(keepends=True), key=key)


def test_a_line_without_a_key_is_said(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("1 1\nx y\n")
    with pytest.raises(ValueError, match="invalid literal"):
        SortedLines(path, key)


def test_sorting_holds_few_lines_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    order = list(range(4_000))
    random.Random(1).shuffle(order)
    with path.open("w") as file:
        file.writelines(f"{number % 7} {number} {'x' * 2000}\n" for number in order)
    tracemalloc.start()
    with closing(SortedLines(path, key)) as lines:
        keys = [key(line)[0] for line in lines]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert keys == sorted(keys)
    assert peak < 2**20


def test_what_sqlite_cannot_do_is_the_machines_failure() -> None:
    with closing(open_spool()), pytest.raises(MeasurementInvalid, match="SQLITE_TMPDIR"), spooling():
        raise sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize("text", ["plain", "é 漢 \U0001f600", "\ud800", 'a"b\\c\n\x00\x7f'])
def test_any_text_survives_on_a_line_of_ascii(text: str) -> None:
    record = Evidence(reason=text, edit_similarity=0.1)
    line = to_json(record)
    assert line.isascii()
    assert "\n" not in line
    assert from_json(Evidence, line) == from_json(Evidence, line.encode()) == record
