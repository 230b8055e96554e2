"""The same samples get the same verdicts: beside busy processes, from an earlier run, and when a run goes on."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.evaluation import EvalConfig, evaluate
from harness.print_report import print_reports
from harness.records import Outcome, Verdict
from harness.store import read_lines
from sandbox import SandboxError

# 0.25 s of CPU time are well within the limit of CPU time, and well beyond that of wall time for one of many.
PROGRAMS = {
    "slow": "    import time\n    while time.process_time() < 0.25: pass\n    return x\n",
    "endless": "    while True: pass\n",
    "asleep": "    import time; time.sleep(1e9)\n",
    "right": "    return x\n",
    "wrong": "    return x + 1\n",
}
OUTCOMES = {
    "slow": Outcome.PASSED,
    "endless": Outcome.TIMEOUT,
    "asleep": Outcome.TIMEOUT,
    "right": Outcome.PASSED,
    "wrong": Outcome.FAILED,
}


def write_task(folder: Path, expected: int = 1) -> Path:
    test = f"def check(candidate):\n    assert candidate(1) == {expected}\n"
    path = folder / "one.jsonl"
    path.write_text(json.dumps({"task_id": "One/0", "prompt": "def f(x):\n", "entry_point": "f", "test": test}) + "\n")
    return path


def write_samples(folder: Path, *names: str) -> Path:
    path = folder / "samples.jsonl"
    lines = [json.dumps({"task_id": "One/0", "completion": PROGRAMS[name]}) for name in names]
    path.write_text("\n".join(lines) + "\n")
    return path


def config(folder: Path, out: str, *names: str, **changes: Any) -> EvalConfig:
    plain = EvalConfig(
        tasks=(str(write_task(folder)),),
        samples=write_samples(folder, *names),
        out=folder / out,
        sandbox="docker",
        cpu_seconds=0.6,
        wall_seconds=0.8,
    )
    return replace(plain, **changes)


def verdicts(folder: Path) -> list[Verdict]:
    return list(read_lines(folder / "verdicts.jsonl", Verdict))


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep that many processes busy inside the block."""
    with contextlib.ExitStack() as burning:
        for _ in range(processes):
            process = burning.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            burning.callback(process.kill)
        yield


@pytest.fixture(scope="module", autouse=True)
def engine(require: Any) -> None:
    from sandbox import Limits, open_sandbox

    try:
        open_sandbox("docker", Limits(), 1).close()
    except SandboxError as error:
        require(False, f"Docker: {error}")


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.docker
def test_a_busy_machine_gives_the_same_verdicts(tmp_path: Path) -> None:
    found = {}
    for name, processes in (("idle", 0), ("busy", 3 * len(os.sched_getaffinity(0)))):
        with busy(processes):
            evaluate(config(tmp_path, name, *PROGRAMS))
        found[name] = [one.outcome for one in verdicts(tmp_path / name)]
    assert found["busy"] == found["idle"] == list(OUTCOMES.values())
    asleep = verdicts(tmp_path / "idle")[list(PROGRAMS).index("asleep")]
    assert (asleep.wall_cut, asleep.flaky) == (True, False)


@pytest.mark.slow
@pytest.mark.docker
def test_an_earlier_run_has_found_the_verdicts_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("right", "wrong", "asleep", "right", "right")
    (first,) = evaluate(config(tmp_path, "first", *names, cache=tmp_path / "cache"))
    (again,) = evaluate(config(tmp_path, "again", *names, cache=tmp_path / "cache"))
    assert (first.reused, again.reused) == (2, 4)  # what slept too long is tried again
    assert first.outcomes == again.outcomes
    assert sum(again.outcomes.values()) == again.samples == 5
    assert again.pass_at_k == first.pass_at_k
    assert [one.reused for one in verdicts(tmp_path / "again")] == [True, True, False, True, True]
    assert json.loads((tmp_path / "again" / "run.json").read_text())["cache"] == str(tmp_path / "cache")
    assert print_reports([replace(again, flaky=1), first], as_json=False) == 0
    printed = capsys.readouterr().out
    assert "flaky: 1 samples" in printed
    assert "reused: 4 samples" in printed
    other = config(tmp_path, "other", *names, cache=tmp_path / "cache")
    write_task(tmp_path, expected=2)
    (changed,) = evaluate(other)
    assert changed.reused == 2
    assert changed.outcomes[Outcome.PASSED] == 1


@pytest.mark.slow
@pytest.mark.docker
def test_a_run_that_goes_on_counts_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    asked = config(tmp_path, "run", "right", "wrong", "right", "wrong", "right", workers=1)
    (whole,) = evaluate(asked)
    path = asked.out / "verdicts.jsonl"
    (asked.out / "report.json").unlink()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    (again,) = evaluate(asked)
    assert again.reused == whole.reused == 3
    assert again.outcomes == whole.outcomes
