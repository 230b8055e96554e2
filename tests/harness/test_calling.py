"""What functions of untrusted programs return: plain values that come again, and no others."""

from __future__ import annotations

import json

import pytest

from harness import FunctionCalls, MeasurementInvalid, Returned, UsageError, call_functions
from harness.calling import called_twice
from sandbox import CellLost, Program, Sandbox, SandboxError, Status
from tests.conftest import Require
from tests.fakes import FakeSandbox, InProcessSandbox, Script, saying


def called(program: str, *arguments: object, cells: Sandbox | None = None) -> list[object]:
    """Return what f gives for each argument, or how it failed: `failed: REASON`."""
    calls = FunctionCalls(program=program, function="f", arguments=tuple((one,) for one in arguments))
    found = called_twice(cells or InProcessSandbox(), calls)
    assert all(one.value is None for one in found if one.failure)
    return [f"failed: {one.failure}" if one.failure else one.value for one in found]


def test_plain_values_come_back() -> None:
    found = called("def f(x): return [x, (x, None), {x: {1.5}}]", 1, "a")
    assert found == [[x, (x, None), {x: {1.5}}] for x in (1, "a")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return 1 // 0", "raised ZeroDivisionError"),
        ("return g(x)", "raised NameError"),
        ("return object()", "no plain value"),
        ("return [{1: object()}]", "no plain value"),
        ("return 'a' * 300_000", "a value too large"),
        ("return [0] * 2_000_000", "no plain value"),
    ],
)
def test_what_is_no_plain_value_is_a_failure_of_that_call_alone(body: str, reason: str) -> None:
    program = f"def f(x):\n    if x == 2: {body}\n    return x\n"
    assert called(program, 1, 2, 3) == [1, f"failed: {reason}", 3]


@pytest.mark.parametrize("program", ["def f(x: return x", "raise ValueError", "I would add them."])
def test_a_program_that_cannot_be_loaded_has_no_values(program: str) -> None:
    assert called(program, 1, 2) == ["failed: the program cannot be loaded"] * 2


@pytest.mark.parametrize(
    "program",
    [
        "import random\nrandom.seed(3)\ndef f(x): return random.random()",  # the same in each process, by its place
        "import time\ndef f(x): return time.perf_counter_ns()",
        "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n",
    ],
)
def test_a_value_that_does_not_come_again_is_none(program: str) -> None:
    assert called(program, 1, 2, 3) == ["failed: another value in another process"] * 3
    assert called(program + " * 0", 1, 2, 3) == [0, 0, 0]


ENDS = {2: Status.TIMED_OUT, 4: Status.EXITED, 5: Status.KILLED}


def ending(program: Program) -> Script:
    """Return twice each argument, until the argument that ends the process."""
    lines = []
    for _, _, (argument,), _ in json.loads(program.plan):
        if argument in ENDS:
            return Script(lines=(b'["ok"]', *lines), status=ENDS[argument])
        lines.append(b'["v",%d]' % (2 * argument))
    return Script(lines=(b'["ok"]', *lines))


def test_a_call_that_ends_the_process_costs_its_own_value_until_there_were_three() -> None:
    cells = FakeSandbox(ending)
    timed_out, exited = "failed: its process ended: timed out", "failed: its process ended: exited"
    assert called("", 1, 2, 3, 4, cells=cells) == [2, timed_out, 6, exited]
    assert len(cells.started) == 3  # and one for the two values once more
    assert called("", 1, 2, 4, 5, 6, cells=cells)[3:] == [
        "failed: its process ended: killed",
        "failed: its process ended too often",
    ]


def test_more_replies_than_calls_are_not_read() -> None:
    assert called("", 7, cells=FakeSandbox(saying('["v",1]', '["v",2]'))) == [1]


@pytest.mark.parametrize("line", ["[]", "{}", "7", '["v"]', '["v",{"t":1}]', '["?"]', "nonsense", '["e"]'])
def test_replies_that_the_guest_does_not_make_are_no_values(line: str) -> None:
    assert called("", 7, cells=FakeSandbox(saying(line))) == ["failed: no plain value"]


def test_the_machines_failure_is_never_the_programs() -> None:
    lost = Script(lines=(b'["ok"]',), lost=True)
    assert called("", 7, cells=FakeSandbox([lost, lost, saying('["v",1]')])) == [1]
    with pytest.raises(MeasurementInvalid, match="the machine failed"):
        called("", 7, cells=FakeSandbox(lost))
    with pytest.raises(SandboxError, match="no engine"):
        called("", 7, cells=FakeSandbox(Script(failure=SandboxError("no engine"))))
    with pytest.raises(MeasurementInvalid):
        called("", 7, cells=FakeSandbox(Script(failure=CellLost("gone", begun=False))))


def test_nothing_to_call_needs_no_sandbox() -> None:
    assert call_functions([], sandbox="there is none of this name") == []


def test_arguments_have_to_be_plain_data() -> None:
    with pytest.raises(UsageError, match="an argument of f"):
        called("def f(x): return x", object())


@pytest.mark.slow
def test_functions_are_called_in_the_sandbox_in_their_order(require: Require) -> None:
    from sandbox import examine

    working = [one.name for one in examine() if one.ok and one.name in ("docker", "local")]
    require(working, "a sandbox that works")
    programs = [
        "def f(x, y):\n    return x + y\n",
        "import os\ndef f(x, y):\n    if x > 1:\n        os._exit(0)\n    return os.getpid() and -y\n",
        "def f(x, y):\n    while x > 1:\n        pass\n    return y\n",
        "import random\ndef f(x, y):\n    return random.random()\n",
        "import os, signal\ndef f(x, y):\n    os.kill(os.getppid(), signal.SIGKILL)\n",
        "def f(x, y):\n    return [y] * x\n",
    ]
    wanted = [FunctionCalls(program=one, function="f", arguments=((1, 2.5), (2, 3))) for one in programs]
    added, leaving, endless, chance, hostile, listed = call_functions(wanted, sandbox=working[0])
    assert [one.value for one in added] == [3.5, 5]
    assert leaving == (Returned(value=-2.5), Returned(failure="its process ended: exited"))
    assert endless == (Returned(value=2.5), Returned(failure="its process ended: timed out"))
    assert {one.failure for one in chance} == {"another value in another process"}
    assert all(one.failure for one in hostile)
    assert [one.value for one in listed] == [[2.5], [3, 3]]
