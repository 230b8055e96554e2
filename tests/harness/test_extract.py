"""Extraction: what counts as code, and that no text breaks it or makes it slow."""

from __future__ import annotations

import sys
import time
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.extraction import RULES, extract_program, extraction_rule
from harness.protocols import rules_for
from harness.records import CheckTests, Sample, Task, from_json, to_json
from harness.selfcheck import sample_of
from sandbox import hostile_programs

PROMPT = 'from typing import List\n\n\ndef add(x: int, y: int) -> int:\n    """Add two numbers."""\n'
TASK = Task(
    task_id="T/0",
    prompt=PROMPT,
    entry_point="add",
    reference="",
    tests=CheckTests(source="", remote_names=("add",)),
)
BODY = "    return x + y\n"
WHOLE = "def add(x, y):\n    return x + y\n"


def _program(completion: str) -> str:
    return extract_program(TASK, completion)


# --- what counts as code


@pytest.mark.parametrize(
    "completion",
    [
        BODY,
        "",
        "\n\n",
        "I cannot help with that.",
        "    s = '```'\n    return s\n",
        "    # ``` in a comment\n" + BODY,
        '    """Doctest:\n\n    ```python\n    add(1, 2)\n    ```\n    """\n' + BODY,
        "def helper():\n    '''\n```\ntext\n```\n'''\n",
        "text ```python inline``` text\n",
    ],
)
def test_without_a_fence_the_completion_continues_the_prompt(completion: str) -> None:
    assert _program(completion) == PROMPT + completion


@pytest.mark.parametrize(
    ("completion", "program"),
    [
        (f"```python\n{WHOLE}```", PROMPT + WHOLE),
        (f"Here it is:\n\n```python\n{WHOLE}```\nIt adds.\n", PROMPT + WHOLE),
        (f"```py\n{WHOLE}```", PROMPT + WHOLE),
        (f"```Python3 title=x\n{WHOLE}```", PROMPT + WHOLE),
        (f"```\n{WHOLE}```", PROMPT + WHOLE),
        (f"```python\r\n{WHOLE}```\r\n", PROMPT + WHOLE),
        (f"  ```python\n{WHOLE}  ```", PROMPT + WHOLE),
        (f"```python\n{WHOLE}", PROMPT + WHOLE),
        (f"First:\n```bash\npip install x\n```\nthen:\n```python\n{WHOLE}```", PROMPT + WHOLE),
        (f"Example:\n```\n>>> add(1, 2)\n3\n```\nCode:\n```python\n{WHOLE}```", PROMPT + WHOLE),
        (f"```python\n{WHOLE}```\nor\n```python\ndef add(x, y): return 0\n```", PROMPT + WHOLE),
        ("```python\nasync def add(x, y): ...\n```", PROMPT + "async def add(x, y): ...\n"),
        ("```python\nclass add: ...\n```", PROMPT + "class add: ...\n"),
        (f"```python\n{BODY}```", PROMPT + BODY),
        ("```python\ndef addition(x): ...\n```", PROMPT + "def addition(x): ...\n"),
        ("```python", PROMPT),
        ("```bash\nls\n```\n", PROMPT + "```bash\nls\n```\n"),
    ],
)
def test_a_fenced_block_is_the_code(completion: str, program: str) -> None:
    assert _program(completion) == program


@pytest.mark.parametrize("after", ["```", "```\n\nThis adds two numbers.\n", "```\n\n```python\nprint(add(1, 2))\n```"])
@pytest.mark.parametrize("code", [BODY, "\n" + BODY, "\treturn x + y\n", WHOLE, f"import os\n\n{WHOLE}"])
def test_a_fence_behind_code_ends_it(code: str, after: str) -> None:
    assert _program(code + after) == PROMPT + code


def test_prose_with_a_leading_blank_is_no_code() -> None:
    assert _program(f" Sure:\n```python\n{WHOLE}```") == PROMPT + WHOLE


def test_an_odd_entry_point_is_taken_literally() -> None:
    odd = Task(task_id="T", prompt="p", entry_point="a(+)*\\", reference="", tests=TASK.tests)
    assert extract_program(odd, f"```python\n{WHOLE}```") == "p" + WHOLE


# --- the other rules

PROSE = f"Like so:\n\n```python\n{WHOLE}```\nIt adds.\n"


@pytest.mark.parametrize(
    ("rule", "completion", "program"),
    [
        ("prompt-and-completion", PROSE, PROMPT + PROSE),
        ("bigcode", BODY + "\n# Test it\nadd(1, 2)", PROMPT + BODY),
        ("bigcode", BODY + "<file_sep>", PROMPT + BODY),
        ("bigcode", BODY, PROMPT + BODY),
        ("lm-eval-instruct", BODY + "```\n" + PROSE, PROMPT + BODY),
        ("lm-eval-instruct", BODY, PROMPT + BODY),
        ("simple-evals", PROSE, PROMPT + BODY),
        ("simple-evals", "Text:\n    more\n" + PROSE, PROMPT + BODY),
        ("simple-evals", WHOLE, PROMPT + BODY),
        ("simple-evals", f"```python\n{WHOLE}", PROMPT + BODY),
        ("simple-evals", f"```\n{WHOLE}```", PROMPT + BODY + "```"),
        ("simple-evals", "return x + y", PROMPT + "eturn x + y"),
        ("austin", WHOLE + "[DONE]\n[DONE]", WHOLE),
        ("austin", WHOLE, WHOLE),
        ("evalplus-sanitize", PROSE, WHOLE[:-1]),
        ("evalplus-sanitize-prompted", BODY, PROMPT.replace("\n\n\n", "\n") + BODY[:-1]),
    ],
)
def test_a_rule_does_as_its_source_does(rule: str, completion: str, program: str) -> None:
    assert extraction_rule(rule).extract(TASK, completion) == program


def test_an_unknown_rule_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no extraction rule 'sanitize': use one of prompt-and-completion, prompted, "):
        extraction_rule("sanitize")


# --- no text breaks it

PIECES = st.sampled_from(
    [
        "```",
        "```python",
        "\n",
        "\n```",
        "```\n",
        '"""',
        "'''",
        "    ",
        "\t",
        "def add(",
        "(",
        "\0",
        "\ud800",
        "`",
        "\r",
        "x",
    ]
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_any_text_gives_a_program_made_of_it(completion: str) -> None:
    for rule in RULES.values():
        program = rule.extract(TASK, completion)
        assert len(program) <= len(PROMPT) + len(completion) + 1, rule.name
        if rule.name in STRETCHES:
            assert program.removeprefix(PROMPT) in completion, rule.name


# Rules whose program is the prompt, or nothing, and a stretch of the completion.
STRETCHES = RULES.keys() - {"evalplus-sanitize", "evalplus-sanitize-prompted"}
N = 10_000_000
HOSTILE = {
    "ten megabytes of brackets": "(" * N,
    "nested brackets": "(" * 100_000,
    "a long sum": "1" + "+1" * 100_000,
    "a long chain of attributes": "a" + ".b" * 200_000,
    "a lone surrogate": "\ud800" * 1000 + "\n```python\n\udfff```",
    "NUL": "\0" * N,
    "prose": "It is a truth universally acknowledged, that a line in want of code.\n" * 20_000,
    "newlines": "\n" * N,
    "blanks": " " * N,
    "indented blanks": "\n    \t" * (N // 6),
    "backticks": "`" * N,
    "fences": "```\n" * (N // 4),
    "python fences": "```python\n" * (N // 10),
    "foreign fences": "```c\n```\n" * (N // 9),
    "blanks before fences": (" " * 5000 + "```x`\n") * (N // 5006),
    "one long language": "```" + "x" * N,
    "fences in quotes": '"""\n' + "```\n" * (N // 4),
    "quotes and fences": "'''\n```\n" * (N // 8),
    "almost the entry point": "```python\n" + "async \t" * (N // 7) + "\n```",
    "many definitions": "```python\n" + "def ad(\n" * (N // 8) + "\n```",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_takes_linear_time(name: str) -> None:
    """By every rule: two seconds for ten megabytes."""
    text = HOSTILE[name]
    for rule in RULES.values():
        started = time.process_time()
        program = rule.extract(TASK, text)
        assert time.process_time() - started < 2.0, rule.name
        assert len(program) <= len(PROMPT) + len(text) + 1, rule.name
        if rule.name in STRETCHES:
            assert program.removeprefix(PROMPT) in text, rule.name


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["ten megabytes of brackets", "one long language", "python fences", "almost the entry point"]
)
def test_hostile_text_takes_few_copies_of_itself(name: str) -> None:
    text = HOSTILE[name]
    for rule in RULES.values():
        tracemalloc.start()
        rule.extract(TASK, text)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * sys.getsizeof(text) + (64 << 20), rule.name


ATTACKS = [program.source for program in hostile_programs() if program.item == "R24"]


@pytest.mark.slow
def test_an_answer_is_kept_as_it_came() -> None:
    """What is run is made of it, by a protocol's rules; the answer itself is stored and read again unchanged."""
    assert len(ATTACKS) >= 10
    for text in [*ATTACKS, *(text[:100_000] for text in HOSTILE.values())]:
        program = rules_for("default", "humaneval").program(TASK, text)
        sample = replace(sample_of(TASK, program), completion=text)
        kept = from_json(Sample, to_json(sample))
        assert (kept.completion, kept.program) == (text, program)
        assert program.removeprefix(PROMPT) in text.replace("\t", "    ")
