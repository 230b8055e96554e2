"""The static view: real Pylint in a process of its own, over programs that would rather not be looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import made_runs
import pytest

from distill.static_view import (
    CATEGORIES,
    DISABLED,
    MAX_CHARACTERS,
    Look,
    LookLimits,
    could_run,
    is_complete,
    look_at,
)
from harness import MissingDependency, Outcome, StopReason
from harness.records import Evidence

FINE = "def double(number):\n    return 2 * number\n"
QUICK = LookLimits(cpu_seconds=2, memory_bytes=1 << 30)


def has_pylint() -> bool:
    try:
        return bool(version("pylint"))
    except PackageNotFoundError:
        return False


@pytest.fixture(autouse=True)
def needs_pylint(require: Any) -> None:
    require(has_pylint(), "pylint")


@pytest.mark.slow
def test_messages_are_those_of_pylint_itself(tmp_path: Path) -> None:
    options = ["--rcfile=", "--persistent=n", "--output-format=json2", f"--disable={','.join(DISABLED)}"]
    programs = [
        FINE,
        "import os\ndef f(List):\n  try:\n    return undefined\n  except:\n    pass\n",
        "import re, sys\nclass A(object):\n    def f(x):\n        if x == None: return re.no_such_name\n",
        "x = 1\nfor i in range(len(y)):\n    print(y[i], end='' if x else None)   \nassert (x, 'always')\n",
        'def f(n):\n    """Say."""\n    if n > 1:\n        return 1\n    else:\n        return "%d" % "a"\n',
    ]
    files = [f"s{place}.py" for place in range(len(programs))]
    for file, program in zip(files, programs, strict=True):
        (tmp_path / file).write_text(program)
    ran = subprocess.run(
        [sys.executable, "-m", "pylint", *options, *files], cwd=tmp_path, capture_output=True, timeout=200, check=False
    )
    messages = json.loads(ran.stdout)["messages"]
    looks = look_at([*programs, *reversed(programs)])
    assert looks == looks[::-1]  # whatever the company
    for file, look in zip(files, looks, strict=False):
        own = [message for message in messages if message["path"] == file]
        assert look.symbols == Counter(message["symbol"] for message in own)
        assert look.messages == {**dict.fromkeys(CATEGORIES, 0), **Counter(message["type"] for message in own)}
        assert look.parses
        assert file == "s0.py" or len(own) > 2


@pytest.mark.slow
def test_fifty_programs_a_second() -> None:
    import resource

    programs = [
        f"{FINE}\n\ndef more_{n}(a, b):\n    c = a + b\n    return [x for x in c if x > {n}]\n" for n in range(300)
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert all(look.messages for look in look_at(programs))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / len(programs) < 1 / 50


def test_what_does_not_parse_never_reaches_pylint() -> None:
    reasons = {
        "def f(:\n": "SyntaxError",
        "return 1\n": "SyntaxError",
        "x = '\0'\n": "null bytes",
        "x = '\ud800'\n": "not valid Unicode",
        "x = " + "-" * 90_000 + "1\n": "nested too deeply",
        "x = " + "(" * 40_000 + ")" * 40_000: "too many nested parentheses",
        "x = a" + ".b" * 40_000: "nested too deeply",
    }
    for look, reason in zip(look_at(list(reasons)), reasons.values(), strict=True):
        assert (look.parses, look.messages, look.symbols) == (False, None, {})
        assert reason in look.reason


@pytest.mark.slow
def test_programs_that_break_pylint_cost_only_themselves() -> None:
    slow = "x=1;y=2\n" * 12_000
    deep = "x = " + "+".join("1" * 2_000) + "\n"
    large = "a" * (MAX_CHARACTERS + 1)
    programs = [FINE, slow, FINE, deep, large, slow, FINE]
    looks = look_at(programs, limits=QUICK)
    fine = Look(
        parses=True,
        messages={**dict.fromkeys(CATEGORIES, 0), "convention": 1},
        symbols={"missing-function-docstring": 1},
    )
    assert [look for look, program in zip(looks, programs, strict=True) if program == FINE] == [fine] * 3
    for place in (1, 5):
        assert (looks[place].parses, looks[place].messages) == (True, None)
        assert "SIGXCPU" in looks[place].reason
    assert looks[3].messages is not None
    assert looks[3].messages["fatal"] == 1
    assert (looks[4].parses, looks[4].messages) == (None, None)
    assert "longer than" in looks[4].reason


@pytest.mark.slow
def test_a_silent_process_is_ended() -> None:
    (look,) = look_at(["x=1;y=2\n" * 12_000], limits=LookLimits(cpu_seconds=100, wall_seconds=2.0))
    assert (look.parses, look.messages) == (True, None)
    assert "SIGKILL" in look.reason


@pytest.mark.slow
def test_programs_are_not_run_nor_imported(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    write = f"open({str(marker)!r}, 'w').write('ran')\n"
    imports = (
        "import s000000\nfrom s000001 import x\nimport torch, numpy, harness, distill.loop\ns000000.f()\ntorch.no()\n"
    )
    looks = look_at([write, write + "x = 1\n", write + imports, "import os\nprint(os.no_such_name)\n"])
    assert not marker.exists()
    assert "no-member" not in looks[2].symbols  # only the standard library is looked up
    assert looks[3].symbols["no-member"] == 1


def test_a_program_cannot_silence_pylint() -> None:
    tricks = ["# pylint: disable=all", "# pylint: skip-file", "# coding: rot13", "# -*- coding: utf-7 -*-", "\f"]
    programs = [f"{trick}\nprint(undefined_name)\n" for trick in tricks]
    programs += [f"\n{trick}\nprint(undefined_name)  {trick}\n" for trick in tricks]
    assert [look.symbols.get("undefined-variable") for look in look_at(programs)] == [1] * 10


def test_parsing_alone_needs_no_pylint(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr("distill.static_view.version", missing)
    with pytest.raises(MissingDependency, match=r"pip install 'code-harness\[distill\]'"):
        look_at([FINE])
    assert look_at([FINE, "def"], lint=False) == [
        Look(parses=True),
        Look(parses=False, reason="SyntaxError: invalid syntax (program, line 1)"),
    ]


@pytest.mark.parametrize(
    ("text", "stop_reason", "stop", "complete"),
    [
        ("    return 1\n", StopReason.STOP, (), True),
        ("    return 1\n", StopReason.LENGTH, (), False),
        ("    return 1\n", StopReason.FILE, (), None),
        ("```python\nx\n```\n", StopReason.FILE, (), True),
        ("Here:\n```python\nx\n", StopReason.FILE, (), False),
        ("```python\nx\n", StopReason.STOP, (), False),
        ("```python\nx\n", StopReason.STOP, ("\n```\n",), True),
        ("```python\nx\n```\n", StopReason.LENGTH, (), False),
    ],
)
def test_completeness(text: str, stop_reason: StopReason, stop: tuple[str, ...], complete: bool | None) -> None:
    sample = replace(made_runs.sample("T/0"), completion=text, stop_reason=stop_reason)
    assert is_complete(sample, stop) is complete


@pytest.mark.parametrize(
    ("outcome", "call", "runs"),
    [
        (Outcome.PASSED, None, True),
        (Outcome.FAILED, "f(1)", True),
        (Outcome.ERROR, "f(1)", True),
        (Outcome.ERROR, None, False),
        (Outcome.SYNTAX, None, False),
        (Outcome.TIMEOUT, None, False),
        (Outcome.TIMEOUT, "f(1)", True),
        (Outcome.TRUNCATED, None, False),
        (Outcome.NO_CODE, None, False),
        (Outcome.NOT_JUDGED, None, None),
    ],
)
def test_whether_it_could_run(outcome: Outcome, call: str | None, runs: bool | None) -> None:
    verdict = replace(
        made_runs.verdict("T/0", 0, outcome is Outcome.PASSED), outcome=outcome, evidence=Evidence(call=call)
    )
    assert could_run(verdict) is runs
    assert could_run(replace(verdict, wall_seconds=0.0)) is None  # an answer that is text: nothing was run
    assert could_run(None) is None
