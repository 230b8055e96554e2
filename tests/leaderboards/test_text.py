"""Untrusted text is inert in each format."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboards.text import csv_cell, latex, markdown, one_line, plain, script_json, searchable

HOSTILE = (
    "</script><script>alert(1)</script><!--",
    "<img src=x onerror=alert(1)>",
    "a|b `c` [d](javascript:alert(1)) *e* _f_ <g> https://example.org www.example.org a@b.c",
    '=cmd|"/c calc"!A1',
    "\\input{/etc/passwd} $x$ % & # _ { } ~ ^",
    "\x1b[31mred\x1b[0m\r\n::error::no\u202eevil\u2028\u2029\x00\ud800",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_has_no_control_characters_and_can_be_written(text: str) -> None:
    shown = plain(text)
    assert all(char.isprintable() or char in "\n\t" for char in shown)
    assert shown.encode("utf-8")
    assert "\n" not in one_line(text)


def test_plain_text_shows_what_it_took_out_and_cuts_what_is_long() -> None:
    assert plain("a\x1b[31m\u202eb") == "a\\x1b[31m\\u202eb"
    assert plain("x" * 300, 10) == "x" * 10 + "… (300 characters)"
    assert plain("def f():\n\treturn 'ä'") == "def f():\n\treturn 'ä'"


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_has_no_character_that_begins_markup(text: str) -> None:
    shown = markdown(text)
    assert not set(shown) & set("\\`*_[]<>|~:$@\n")
    assert "www." not in shown


def test_markdown_reads_as_the_text_that_it_was() -> None:
    import html

    assert html.unescape(markdown("org/model_1 <b>|`x`")) == "org/model_1 <b>|`x`"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\uff1d1"])
def test_a_spreadsheet_sees_no_formula(text: str) -> None:
    assert csv_cell(text) == "'" + text
    assert csv_cell("model=1") == "model=1"


def test_latex_has_no_character_with_a_meaning() -> None:
    shown = latex("\\input{x} $a_1^2$ 50% & #1 ~ <b>")
    assert shown == (
        r"\textbackslash{}input\{x\} \$a\_1\textasciicircum{}2\$ 50\% \& \#1 \textasciitilde{} "
        r"\textless{}b\textgreater{}"
    )


@given(st.text())
def test_json_in_a_page_ends_no_element_and_reads_back(text: str) -> None:
    shown = script_json({"text": text})
    assert json.loads(shown) == {"text": text}
    assert not set(shown) & set("<>&\u2028\u2029")
    assert shown.isascii()


@given(st.text())
def test_csv_cells_survive_a_reader(text: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerow([csv_cell(plain(text))])
    (row,) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert row == [csv_cell(plain(text))] or not row[0]


def test_what_the_search_box_reads_has_no_markup() -> None:
    assert searchable("<img src=x>&amp;") == " img src=x  amp;"
