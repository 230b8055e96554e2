"""The self-test: what must be true after an attack is looked at, and what is not is said.

The hostile programs themselves are run in real cells by test_judge.py and tests/sandbox/test_cells.py; here a scripted
sandbox does what no real one may do.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSandbox, FakeSession, Script, saying

from harness.records import Evidence
from harness.selfcheck import CHECKED
from harness.selftest import SelfTest, at_benches
from harness.selftest_bench import Bench, Line, judged, open_benches
from harness.selftest_command import print_selftest
from harness.selftest_data import BAD_LINES, data_attacks
from harness.selftest_shown import shown, templates
from sandbox import HostileProgram, Limits, Program, SandboxError, Traces, hostile_program

KINDS = [pytest.param("docker", marks=pytest.mark.docker), "local"]
NOTHING = Traces(processes=0, containers=0, networks=0)
RIGHT = saying('["v",3]', '["v",5]', '["v",0.75]', '["v",0]')
FALSE = saying('["v",-7]', '["v",-7]', '["v",-7]', '["v",-7]')
CHEAT = hostile_program("object equal to everything")
CHEAT_BY_CHECK = replace(CHEAT, judged_by=("check",))


def cells(attack: Script = FALSE, next_one: str = "[]", right: Script = RIGHT) -> FakeSandbox:
    """Return a sandbox that says this for a hostile program, this for the honest one behind it, and this for others."""

    def script(program: Program) -> Script:
        if "def left(" in program.source:
            return saying(f'["v",{next_one}]', '["v",3]')
        return right if program.source == CHECKED.reference else attack

    return FakeSandbox(script)


def problems(program: HostileProgram = CHEAT_BY_CHECK, **changes: Any) -> str:
    """Return what is found after an attack at a bench where all is well but for the changes."""
    well = {"cell": cells(), "neighbour": cells(), "traces": lambda: NOTHING, "guarded": lambda: {"/file": "as it was"}}
    return "; ".join(Bench(**{**well, "settle_seconds": 0.1, **changes}).attack(program).problems)


def then(*values: Any) -> Callable[[], Any]:
    """Return a function that returns one value after the other, and the last for ever."""
    following = itertools.chain(values, itertools.repeat(values[-1]))
    return lambda: next(following)


def test_an_attack_that_is_held_off_has_no_problems() -> None:
    assert problems() == ""


def test_what_must_be_true_after_an_attack_is_looked_at() -> None:
    reaching = hostile_program("devices")
    assert problems(cell=cells(RIGHT)) == "it passed"
    assert problems(cell=cells(Script(lost=True))).startswith("judged not_judged (the machine failed")
    assert problems(cell=cells(saying('["e","E","Exception","no",1]'))) == "judged error (E: no), expected failed"
    table = hostile_program("knows all tests' answers by heart: passes, and is reported")
    check = replace(table, judged_by=("check",))
    assert problems(check, cell=cells(RIGHT)) == ""
    assert problems(replace(check, source=CHECKED.reference), cell=cells(RIGHT)).startswith("it passed, and nothing is")
    assert problems(check, cell=cells(FALSE)).startswith("judged failed")
    assert problems(reaching, cell=cells(saying('["v",["sda"]]'))) == "it reached ['sda']"
    assert problems(reaching, cell=cells(saying('["v",[]]'))) == ""
    assert "after it is judged failed" in problems(cell=cells(next_one='["process 7"]'))
    assert "['process 7']" in problems(cell=cells(next_one='["process 7"]'))
    assert "beside it is judged failed" in problems(neighbour=cells(right=FALSE))
    assert "left on the machine" in problems(traces=then(NOTHING, replace(NOTHING, processes=1)))
    assert problems(traces=then(NOTHING, replace(NOTHING, containers=1), NOTHING)) == ""  # an engine tidies up
    for was, now in (({"/a": "1"}, {"/a": "2"}), ({"/a": "1"}, {}), ({}, {"/a": "1"})):
        assert problems(guarded=then(was, now)) == "files of the host are not as they were: /a"
    assert "its record has" in problems(record_bytes=100)
    assert "MiB of memory" in problems(memory_bytes=-(1 << 40))


def test_a_record_that_steers_terminals_is_a_problem() -> None:
    bench = Bench(cell=cells(), neighbour=cells(), traces=lambda: NOTHING, guarded=dict)
    verdict = judged(cells(), CHECKED, "x")
    assert bench.about_record(verdict) == []
    assert bench.about_record(replace(verdict, evidence=Evidence(output="a\x1b[2J"))) == [
        "its record holds what is no text, or what steers terminals"
    ]


def test_what_is_to_run_twice_at_once_is_looked_at_in_both_cells() -> None:
    reaching = hostile_program("sockets of the engine and of a program beside it")
    assert reaching.twice
    alone, seeing = cells(saying('["v",[]]')), cells(saying('["v",["a socket"]]'))
    assert problems(reaching, cell=alone, neighbour=cells(saying('["v",[]]'))) == ""
    assert problems(reaching, cell=alone, neighbour=seeing) == "it reached ['a socket']"
    assert problems(replace(reaching, twice=False), cell=alone, neighbour=seeing) == ""


def test_every_program_is_judged_once_and_in_order_at_whichever_bench_is_free() -> None:
    benches = [Bench(cell=cells(), neighbour=cells(), traces=lambda: NOTHING, guarded=dict) for _ in range(3)]
    programs = [replace(CHEAT_BY_CHECK, name=str(number)) for number in range(12)]
    assert [line.tries for line in at_benches(benches, programs)] == [program.name for program in programs]


def test_an_attack_that_takes_too_long_is_a_problem() -> None:
    class Slow(FakeSandbox):
        @contextlib.contextmanager
        def start(self, program: Program, limits: Limits) -> Iterator[FakeSession]:
            time.sleep(0.2)
            with super().start(program, limits) as session:
                yield session

    program = replace(CHEAT_BY_CHECK, wall_seconds=0.1)
    assert problems(program, cell=Slow(cells()._script), grace_seconds=0.0).startswith("it took 0.")
    assert problems(program, cell=Slow(cells()._script)) == ""


def test_what_is_not_promised_decides_nothing_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    cell = cells(RIGHT)
    cell.not_promised = ("memory is bounded for each process; more is sampled",)
    bench = Bench(cell=cell, neighbour=cells(), traces=lambda: NOTHING, guarded=dict)
    line = bench.attack(replace(CHEAT_BY_CHECK, promise="memory is bounded for each process"))
    assert (line.held, line.promised) == (False, False)
    assert bench.attack(replace(CHEAT_BY_CHECK, promise="file locks")).promised
    result = SelfTest(sandbox="local", lines=(line,), not_promised=cell.not_promised, seconds=1.0)
    assert print_selftest(result, as_json=False) == 0
    said = capsys.readouterr().out
    assert "NOT HELD (not promised)" in said
    assert "not promised by the local sandbox: memory is bounded" in said


def test_the_exit_code_is_3_when_an_attack_gets_through(capsys: pytest.CaptureFixture[str]) -> None:
    held = Line(item="T51", tries="this", outcome="failed")
    through = Line(item="T52", tries="that", outcome="passed", problems=("it passed",))
    result = SelfTest(sandbox="docker", lines=(held, through), not_promised=(), seconds=1.0)
    assert print_selftest(result, as_json=True) == 3
    said = json.loads(capsys.readouterr().out)
    assert [line["held"] for line in said["lines"]] == [True, False]
    assert (said["held"], said["sandbox"]) == (False, "docker")
    assert print_selftest(result, as_json=False) == 3
    assert "T52, that: it passed" in capsys.readouterr().out
    assert print_selftest(replace(result, lines=(held,)), as_json=False) == 0


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, require: Any) -> Iterator[Bench]:
    with contextlib.ExitStack() as stack:
        try:
            (made,) = stack.enter_context(open_benches(request.param))
        except SandboxError as error:
            require(False, f"{request.param} cells: {error}")
            raise
        yield made


@pytest.mark.slow
def test_attacks_are_held_off_by_real_cells(bench: Bench, tmp_path: Path) -> None:
    names = [
        "leaves a daemon behind that ignores signals",
        "secrets of the harness's environment and command line",
        "servers of the host and of a cloud",
        "files of the host, the data and other samples",
        "looks for what a program before or beside it left, and leaves something",
        "answers for all calls, then leaves",
    ]
    assert [line for line in map(bench.attack, map(hostile_program, names)) if not line.held] == []
    lines = [attack() for attack in data_attacks(bench.cell, tmp_path)]
    assert [line for line in lines if not line.held] == []
    assert {line.item for line in lines} == {"R24", "T54", *(f"G{number}" for number in range(72, 79))}


@pytest.mark.slow
def test_traces_of_a_running_program_are_seen(bench: Bench) -> None:
    program = Program(source="import os, time\nos.fork()\nopen('x', 'w')\nprint(1, flush=True)\ntime.sleep(60)\n")
    with bench.cell.start(program, Limits(wall_seconds=30)) as session:
        end = time.monotonic() + 20
        while bench.traces().processes < 2 and time.monotonic() < end:
            time.sleep(0.05)
        assert bench.traces().processes == 2
        session.end()
    assert bench.attack(CHEAT_BY_CHECK).problems == ()


def test_markup_formulas_and_templates_that_come_through_are_problems() -> None:
    assert shown(lambda: {"a.html": "<p>", "b.md": "x", "c.csv": "name,-0.5\n"}) == []
    for name, text in {"a.html": "<script>pwn(1)", "b.md": "[x](javascript:y)", "c.csv": "a,=cmd()\n"}.items():
        assert len(shown(partial(dict, {name: text}))) == 1
    assert templates(lambda: {"a.html": "{{7919*7907}}"}) == []
    assert templates(lambda: {"a.html": str(7919 * 7907)}) == ["a.html: a template was filled in"]


def test_a_line_that_is_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BAD_LINES, "a good line", '{"task_id": "Own/0", "solution": "x"}')
    attacks = data_attacks(FakeSandbox(RIGHT), tmp_path)
    lines = [attack() for attack in attacks if attack.tries.startswith("samples:")]
    assert {line.tries: line.problems for line in lines if not line.held} == {"samples: a good line": ("it was read",)}
