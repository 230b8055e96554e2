"""Questions in a teacher's text: what can be asked is read, and nothing of the text can do anything."""

from __future__ import annotations

import ast
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.created_text import MOST_INPUTS, Fate, WrittenQuestion, read_question

DOC = '    """Return the sum of all even numbers of a list."""\n'
CALLS = "```python\nadd([1, 2], 3)\nadd([], 0)\nadd([-4], 1)\n```\n"
PROMPT = 'def add(xs, k):\n    """Return the sum of all even numbers of a list.\n    """\n'


def question(head: str = "def add(xs, k):", doc: str = DOC, calls: str = CALLS, before: str = "") -> str:
    return f"Here is a task.\n```python\n{before}{head}\n{doc}```\n\nAnd calls:\n{calls}"


def test_a_question_has_a_prompt_a_description_and_inputs() -> None:
    assert read_question(question()) == WrittenQuestion(
        entry_point="add",
        prompt=PROMPT,
        description="Return the sum of all even numbers of a list.",
        inputs=(([1, 2], 3), ([], 0), ([-4], 1)),
    )


@pytest.mark.parametrize(
    "text",
    [
        question(doc=DOC + "    return 0\n"),  # a solution is passed over
        question(doc=DOC + "    pass\n"),
        question(before="from typing import List\nimport os\nX = 1\n"),
        question(doc=DOC.replace('."""', '.\n\n    >>> add([1, 2], 3)\n    7\n    """')),  # nobody has checked examples
        question().replace("\n", "\r\n"),
        question(calls="1. `add([1, 2], 3)`\n>>> add([], 0)\n- add([-4], 1);\nadd([], 0)\n"),
        question(calls="add([1, 2], 3)  # 3\nadd([], 0)\nadd([-4], 1)"),
    ],
)
def test_what_belongs_to_no_question_is_passed_over(text: str) -> None:
    found = read_question(text)
    assert isinstance(found, WrittenQuestion)
    assert found.prompt == PROMPT
    assert found.inputs[:3] == (([1, 2], 3), ([], 0), ([-4], 1))


@pytest.mark.parametrize(
    ("text", "fate"),
    [
        ("", Fate.NO_FUNCTION),
        ("I would ask for the sum of all even numbers.", Fate.NO_FUNCTION),
        (question().replace("```", ""), Fate.NO_FUNCTION),
        (question(head="def add(xs, k)"), Fate.NO_FUNCTION),
        (question(head="add = lambda xs, k:", doc="    0\n"), Fate.NO_FUNCTION),
        ("```\n\ud800\x00\n```", Fate.NO_FUNCTION),
        ("```python\n" + "(" * 10_000 + "\n```", Fate.NO_FUNCTION),
        (question(before="def helper():\n    pass\n"), Fate.SEVERAL_FUNCTIONS),
        (question() + question(), Fate.SEVERAL_FUNCTIONS),
        (question(head="async def add(xs, k):"), Fate.SEVERAL_FUNCTIONS),
        (question(head="class add:"), Fate.SEVERAL_FUNCTIONS),
        (question(head="def sum(xs, k):"), Fate.ODD_HEAD),
        (question(head="def check(xs, k):"), Fate.ODD_HEAD),
        (question(head="def agrees(xs, k):"), Fate.ODD_HEAD),
        (question(head="def __asked__(xs, k):"), Fate.ODD_HEAD),
        (question(head="def ädd(xs, k):"), Fate.ODD_HEAD),
        (question(head="def match(xs, k):"), Fate.ODD_HEAD),
        (question(head=f"def {'a' * 61}(xs, k):"), Fate.ODD_HEAD),
        (question(head="def add():"), Fate.ODD_HEAD),
        (question(head="def add(add):"), Fate.ODD_HEAD),
        (question(head="def add(*xs):"), Fate.ODD_HEAD),
        (question(head="def add(**xs):"), Fate.ODD_HEAD),
        (question(head="def add(xs, *, k):"), Fate.ODD_HEAD),
        (question(head="def add(xs, /, k):"), Fate.ODD_HEAD),
        (question(head="def add(xs, k=exit()):"), Fate.ODD_HEAD),
        (question(head="def add(a, b, c, d, e, f, g, h, i):"), Fate.ODD_HEAD),
        (question(doc="    pass\n"), Fate.NO_DESCRIPTION),
        (question(doc='    """Add things."""\n'), Fate.NO_DESCRIPTION),
        (question(doc='    """>>> add([1, 2, 3, 4, 5], 6)\n    3"""\n'), Fate.NO_DESCRIPTION),
        (question(doc=DOC.replace("even", "\\x1b[2J \\ud800")), Fate.NO_DESCRIPTION),
        (question(doc=f'    """{"word " * 1_000}"""\n'), Fate.NO_DESCRIPTION),
        (question(calls=""), Fate.FEW_INPUTS),
        (question(calls="add([1], 2)\nadd([], 0)\n"), Fate.FEW_INPUTS),
        (question(calls="add([1], 2)\n" * 9), Fate.FEW_INPUTS),
        (question(calls="add([1])\nadd(1, 2, 3)\nadd()\nadd(xs=[1], k=2)\nadd(*[1], 2)\nadd(x, 1)\n"), Fate.FEW_INPUTS),
        (question(calls="add([1], 1, k=2)\nadd([2], 1, k=2)\nadd([3], 1, **{})\n"), Fate.FEW_INPUTS),
        (question(calls="add([1], 1)\nadd([], 1)\nadd([exit()], 1)\nadd(9 ** 9, 1)\nadd(1, 1).x\n"), Fate.FEW_INPUTS),
        (question(calls="add(1j, 1)\nadd(..., 2)\nadd(b'', 2)\nadd(1e999, 2)\nadd('" + "a" * 1_000), Fate.FEW_INPUTS),
    ],
)
def test_what_cannot_be_asked_is_dropped_for_a_reason(text: str, fate: Fate) -> None:
    assert read_question(text) is fate


def test_inputs_are_bounded() -> None:
    found = read_question(question(calls="".join(f"add([{n}], {n})\n" for n in range(50))))
    assert isinstance(found, WrittenQuestion)
    assert len(found.inputs) == MOST_INPUTS


@pytest.mark.parametrize(
    ("hint", "kept"),
    [
        ("int", "int"),
        ("List[Tuple[int, str]]", "list[tuple[int, str]]"),
        ("dict[str, list[float]]", "dict[str, list[float]]"),
        ("Optional[int]", "int | None"),
        ("set[bool] | None", "set[bool] | None"),
        ("None", "None"),
        *[
            (hint, "")
            for hint in ("exit()", "__import__('os').system('x')", "os", "'int'", "int | str", "Any", "int[3]")
        ],
        *[
            (hint, "")
            for hint in ("None | None", "... | None", "Optional[None]", "list[exit()]", "list[()]", "1", "dict[x]")
        ],
    ],
)
def test_hints_are_kept_if_they_are_of_builtin_types(hint: str, kept: str) -> None:
    found = read_question(question(head=f"@exit\ndef add(xs: {hint}, k) -> {hint}:"))
    assert isinstance(found, WrittenQuestion)
    wanted = f"def add(xs: {kept}, k) -> {kept}:" if kept else "def add(xs, k):"
    assert found.prompt == PROMPT.replace("def add(xs, k):", wanted)
    exec(found.prompt, {})  # as the trusted side does


NASTY = 'Say """no""" and \\""" and \\\\ \' {x} %s $y; all of them.'


@pytest.mark.parametrize("text", [NASTY, NASTY + '"', '"' + NASTY, NASTY + "\\\\", NASTY + "\n\n  - two\n    - three"])
def test_a_docstring_stays_a_docstring(text: str) -> None:
    found = read_question(question(doc=f"    {text!r}\n"))
    assert isinstance(found, WrittenQuestion)
    (function,) = ast.parse(found.prompt).body
    assert isinstance(function, ast.FunctionDef)
    assert (ast.get_docstring(function) or "").rstrip() == found.description
    assert len(function.body) == 1


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_any_docstring_stays_one(text: str) -> None:
    found = read_question(question(doc=f"    {text + ' and so on and so on'!r}\n"))
    if isinstance(found, WrittenQuestion):
        (function,) = ast.parse(found.prompt).body
        assert isinstance(function, ast.FunctionDef)
        assert (ast.get_docstring(function) or "").rstrip() == found.description
        assert [type(node) for node in function.body] == [ast.Expr]
    else:
        assert found in (Fate.NO_DESCRIPTION, Fate.NO_FUNCTION, Fate.SEVERAL_FUNCTIONS)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from([*"()[]{}\"'#:,\\ \n", "```", "\ndef add(xs, k):\n", DOC, CALLS, "add(", "é"]), max_size=60
    )
)
def test_any_text_is_a_question_or_none(parts: list[str]) -> None:
    found = read_question("".join(parts))
    assert isinstance(found, Fate) or found.prompt.startswith("def add(xs, k):")


def test_long_texts_cost_no_time() -> None:
    started = time.monotonic()
    for piece in ("```", "```\n", "def add(", "def add(n):\n", 'add("', "add([[", "-", "```\nx=[\n```\n", "add(1)\n"):
        read_question(question() + piece * (20_000 // len(piece)))
    assert time.monotonic() - started < 5
