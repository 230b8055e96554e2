"""The five programs before every evaluation: they hold in real cells, and where one does not nothing is scored."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSandbox, Script, saying

from harness.errors import MeasurementInvalid
from harness.records import Benchmark
from harness.selfcheck import CALLED, CHEATS, CHECKED, COMPUTED, WRONG, see_that_it_holds
from sandbox import Limits, Program, SandboxError, hostile_program, open_sandbox
from sandbox.images import build

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 256 << 20
KINDS = [pytest.param("docker", marks=pytest.mark.docker), "local"]
BY = {
    "check": Benchmark(name="demo", tasks=(CHECKED,), digest="", source=""),
    "call": Benchmark(name="demo", tasks=(CALLED,), digest="", source=""),
    "number": Benchmark(name="demo", tasks=(COMPUTED,), digest="", source=""),
}
RIGHT = saying('["v",3]', '["v",5]', '["v",0.75]', '["v",0]')
FALSE = saying('["v",-7]', '["v",-7]', '["v",-7]', '["v",-7]')


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_holds_in_a_real_cell_and_takes_little(kind: str, require: Any) -> None:
    try:
        pool = open_sandbox(kind, Limits(memory_bytes=MEMORY), 1)
    except SandboxError as error:
        require(False, f"{kind} cells: {error}")
        raise
    with closing(pool):
        for benchmark in BY.values():
            start = time.process_time()
            see_that_it_holds(pool, MEMORY, benchmark)
            assert time.process_time() - start < 1


def programs(right: Script, wrong: Script, **cheats: Script) -> Callable[[Program], Script]:
    """Return what programs say: a right one, a wrong one, and those that cheat, by name."""
    by_source = {CHECKED.reference: right, WRONG: wrong}
    by_source |= {hostile_program(name).source: script for name, script in cheats.items()}
    return lambda program: by_source.get(program.source, FALSE)


def refusal(scripts: Callable[[Program], Script]) -> str:
    with pytest.raises(MeasurementInvalid) as caught:
        see_that_it_holds(FakeSandbox(scripts), MEMORY, BY["check"])
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_a_seam_that_lets_a_wrong_program_pass_is_refused() -> None:
    assert "a wrong program is judged `passed`" in refusal(lambda program: RIGHT)


def test_a_seam_that_fails_a_right_program_is_refused() -> None:
    assert "a right program is judged `failed`" in refusal(lambda program: FALSE)
    assert "a right program is judged `not_judged`" in refusal(lambda program: Script(lost=True))


def test_a_seam_that_takes_any_number_is_refused() -> None:
    with pytest.raises(MeasurementInvalid, match="a wrong program is judged `passed`"):
        see_that_it_holds(FakeSandbox(saying('["v",3]')), MEMORY, BY["number"])
    with pytest.raises(MeasurementInvalid, match="a right program is judged `failed`"):
        see_that_it_holds(FakeSandbox(saying('["v",-1]')), MEMORY, BY["number"])


@pytest.mark.parametrize("name", CHEATS)
def test_a_seam_that_lets_a_cheat_pass_is_refused(name: str) -> None:
    assert f"({name}) is judged `passed`" in refusal(programs(RIGHT, FALSE, **{name: RIGHT}))


def test_a_benchmark_that_runs_no_programs_needs_no_check() -> None:
    sandbox = FakeSandbox(FALSE)
    see_that_it_holds(sandbox, MEMORY, replace(BY["check"], tasks=()))
    assert sandbox.started == []


@pytest.mark.slow
def test_a_broken_guest_makes_an_evaluation_refuse_to_score(tmp_path: Path, require: Any) -> None:
    """The guest's own code is exchanged in the root of local cells: its answers are those of no program."""
    try:
        open_sandbox("local", Limits(), 1).close()
    except SandboxError as error:
        require(False, f"local cells: {error}")
    root = tmp_path / "cache" / "rootfs" / build.host_key()
    shutil.copytree(build.host_root(), root, symlinks=True)
    child = root / build.GUEST_HOME[1:] / "sandbox" / "guest" / "child.py"
    head = "    def perform(self, index: int, operation: Any) -> str:\n"
    source = child.read_text()
    assert head in source
    child.write_text(source.replace(head, head + "        return '[\"v\",3]'\n"))
    task = {"task_id": "Own/0", "prompt": "def f():\n", "entry_point": "f", "canonical_solution": "    return 3\n"}
    (tmp_path / "own.jsonl").write_text(
        json.dumps({**task, "test": "def check(candidate):\n    assert candidate() == 3\n"})
    )
    command = ["eval", "--model", "canonical", "--tasks", tmp_path / "own.jsonl", "--sandbox", "local"]
    ran = subprocess.run(
        [sys.executable, "-m", "harness.cli", *command, "--out", tmp_path / "run", "--workers", "1"],
        cwd=ROOT,
        env={**os.environ, "HARNESS_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 3, ran.stderr
    assert "the self-check failed, so nothing is scored" in ran.stderr
    assert "a right program is judged `failed`" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    assert not (tmp_path / "run").exists()
