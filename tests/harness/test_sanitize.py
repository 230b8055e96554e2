"""EvalPlus's sanitizer: the same results as the original's, and bounds that hold for any text.

`golden/evalplus-sanitize.json` was made by the original; `python -m benchmarks.extraction` compares both on real
samples.
"""

from __future__ import annotations

import ast
import codeop
import json
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import syntax
from harness.extraction.evalplus import sanitize
from harness.extraction.longest_run import MOST_CHARACTERS, longest_run
from harness.syntax import try_parse

CASES = json.loads((Path(__file__).parent / "golden" / "evalplus-sanitize.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("name", CASES)
def test_it_keeps_what_evalplus_keeps(name: str) -> None:
    case = CASES[name]
    assert sanitize(case["text"], case["entry_point"]) == case["program"]


def every_run(text: str) -> str:
    """Return the longest run by trying all of them, as EvalPlus does."""
    lines = text.split("\n")
    best, most = (0, 1), 0
    for start in range(len(lines)):
        for end in range(start + 2, len(lines) + 1):
            count = sum(1 for line in lines[start:end] if line.strip())
            if count > most and _parses("\n".join(lines[start:end])):
                best, most = (start, end), count
    return "\n".join(lines[slice(*best)])


def _parses(source: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(source)
    except (SyntaxError, ValueError, MemoryError):
        return False
    return True


LINES = """
def f(x):|    return x|    if x:|        return 1|    else:|else:|elif x:|try:|    pass|except A:|except* B:|finally:
class A:|    x = 1|x = 1|x = (1,|  2)|]|)|[|y = [|'''|    '''doc|text'''|x = '''|Here it is:|It's what you want.
don't|```|# note|    # note|||   |\t|\\|x = 1 \\|x = 'a\\|b'|import os|from a import (|b)|print x|f'{a b}'|f'''{|}'''
@d|async def g():|x = {|'a': 1,|    await x|match x:|    case 1:|        pass|lambda: (|\tx = 2|  z|'b'|}|with a as b:
x := 1|'\\d'|0777|x = 1; y = 2|\x0cx = 1|x = 1\r|f(a=1,|  b)|f(a|a b|(a for b in c, d)|raise|\u3000|é = 1|€|\0|\ud800
del f()|print('a'|{""".replace("\n", "|").split("|")


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=9).map("\n".join))
def test_the_longest_run_is_that_of_trying_all(text: str) -> None:
    assert longest_run(text) == every_run(text)


# What makes the search look at much of the text again and again. It ends by its limits.
LABORIOUS = {
    "a try that never ends": "try:\n" + " a\n" * 30_000,
    "decorators of nothing": "@a\n" * 40_000,
    "ends that come too late": ("'''a\n" * 3 + "b c\n") * 10_000,
    "shorter and shorter code": "".join("x\n" * count + "a b\n" for count in range(400, 0, -1)),
    "conditions": "if x:\n a\n" + "elif y:\n a\n" * 10_000 + "a b",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LABORIOUS)
def test_a_laborious_text_has_its_limit(name: str) -> None:
    started = time.process_time()
    assert sanitize(LABORIOUS[name], "f") in LABORIOUS[name]
    assert time.process_time() - started < 5.0


def test_the_beginning_of_a_long_text_counts() -> None:
    code = "def f():\n    return 1\n"
    assert sanitize(code + "No. " * MOST_CHARACTERS, "f") == code[:-1]
    assert sanitize("\n" * MOST_CHARACTERS + code, "f") == ""


def test_no_warning_about_the_text_comes_out() -> None:
    assert try_parse("x = '\\d'").tree is not None  # pytest makes errors of warnings


def test_the_flag_is_pythons_own() -> None:
    assert vars(codeop)["PyCF_ALLOW_INCOMPLETE_INPUT"] == syntax._ALLOW_INCOMPLETE_INPUT


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f():", (1, True)),
        ("x = (1,\n", (1, True)),
        ("x = 1\ny = '''a\nb", (2, True)),
        ("x = 1\na b\n(", (2, False)),
        ("\n\nf(a for a in b, c)", (3, False)),
        ("x = \0", (0, False)),
        ("x = \ud800", (0, False)),
        ("-" * 100_000 + "1", (0, False)),
        ("a" + ".b" * 100_000, (0, False)),
    ],
)
def test_what_is_no_program_has_the_line_of_its_error(source: str, found: tuple[int, bool]) -> None:
    parsed = try_parse(source, may_go_on=True)
    line: Any = parsed.line if "'''" not in source else 2
    assert (line, parsed.may_go_on) == found
    assert parsed.tree is None
    assert not try_parse(source).may_go_on
