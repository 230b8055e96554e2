"""TinyPy in JavaScript: what the rules write, and that only programs that print the same are translations."""

from __future__ import annotations

import os

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("quickjs")

from harness.tinypy.corpus import Example
from harness.tinypy.grammar import Level, Writer
from harness.tinypy.javascript import Untranslatable, javascript_of, printed_in_javascript, to_javascript


def printed_in_python(program: str) -> str:
    """Return what one of our grammar's programs prints."""
    lines: list[str] = []
    exec(program, {"print": lambda value: lines.append(str(value)), "range": range})
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("python", "javascript"),
    [
        ("a = 1\na = 2\nprint(a)", "let a = 1;\na = 2;\nconsole.log(a);"),
        ("a = (1 + 2)*(3 - 1)\nprint(a / 4)", "let a = (1 + 2) * (3 - 1);\nconsole.log(a / 4);"),
        (
            "a = 1\nif not (a == 1) and a != 2 :\n\tprint(a)\nelif a < 3 :\n\tprint(2)\nelse :\n\tprint(3)",
            "let a = 1;\nif ((!(a === 1)) && (a !== 2)) {\n  console.log(a);\n} else if (a < 3) {\n  console.log(2);\n"
            "} else {\n  console.log(3);\n}",
        ),
        (
            "for a in range(1, 8, 3) :\n\tb = a\n\tprint(b)",
            "let a, b;\nfor (a = 1; a < 8; a += 3) {\n  b = a;\n  console.log(b);\n}",
        ),
        ("a = 3\nwhile a > 1 :\n\tprint(a)\n\ta = a - 1", None),
    ],
)
def test_programs_are_translated_and_print_the_same(python: str, javascript: str | None) -> None:
    translated = to_javascript(python)
    assert javascript is None or translated == javascript
    assert printed_in_javascript(translated) == printed_in_python(python) != ""


@pytest.mark.parametrize(
    "program",
    [
        *("import os", "a = 'b'", "for a in b : print(a)", "for a in range(b) : print(a)", "a = 7 // 2", "a = f(1)"),
        *("for a in range(3, 1, -1) : print(a)", "a = True", "def f(): pass", "a = b = 1", "print(1, 2)", "a ="),
    ],
)
def test_what_the_rules_do_not_know_is_not_translated(program: str) -> None:
    with pytest.raises(Untranslatable):
        to_javascript(program)
    assert javascript_of(Example(level=Level.ASSIGN, program=program, output="")) is None


def test_a_program_that_prints_something_else_has_no_translation() -> None:
    def translation(program: str) -> str | None:
        return javascript_of(Example(level=Level.ASSIGN, program=program, output=printed_in_python(program)))

    assert translation("a = 6\nprint(a / 4)") == "let a = 6;\nconsole.log(a / 4);"
    assert translation("a = 6\nprint(a / 2)") is None  # 3 in JavaScript, 3.0 in Python
    agreeing = [translation(Writer(level, 0).program()) is not None for level in (Level.BRANCH, Level.FOR, Level.WHILE)]
    assert all(agreeing)


def test_javascript_that_does_not_end_well_prints_nothing() -> None:
    assert printed_in_javascript("while (true) {}") is None
    assert printed_in_javascript("const a = []; while (true) a.push('x'.repeat(1000));") is None
    assert printed_in_javascript("console.log(b);") is None
    assert printed_in_javascript("console.log(typeof require, typeof process, typeof fetch);") == "undefined"
