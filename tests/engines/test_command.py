"""`harness eval --backend vllm` as a user runs it: interrupted, gone on with; what it prints, and what it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import EvalConfig, evaluate
from harness.benchmarks.ladder.rungs import SHIPPED

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

SECONDS = 600  # on a machine that does other things as well
TASKS = 30


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "few.jsonl"
    path.write_text("".join(SHIPPED.read_text(encoding="ascii").splitlines(keepends=True)[:TASKS]), encoding="ascii")
    return path


def wait_for(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def session_of(leader: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(session) == leader and state != "Z":
                found.append(int(entry.name))
    return found


def start(tasks: Path, out: Path) -> subprocess.Popen[str]:
    """Start an evaluation in a session of its own, by which its processes are known also when it is gone."""
    what = ["--model", "demo:student", "--tasks", str(tasks), "--out", str(out), "--json"]
    how = ["--backend", "vllm", "--enforce-eager", "--batch-size", "2"]
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "eval", *what, *how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def completions(out: Path) -> list[tuple[str, str, int]]:
    path = out / "samples.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    rows = [json.loads(line) for line in lines]
    return [(row["task_id"], row["completion"], row["completion_tokens"]) for row in rows]


def played(tasks: Path, out: Path, how: signal.Signals | None, code: int) -> str:
    """Run it; with `how`, send that signal after another sample. Return what it printed; none of it is left."""
    before = len(completions(out))
    run = start(tasks, out)
    try:
        if how is not None:
            wait_for(lambda: len(completions(out)) > before or run.poll() is not None, "another sample")
            assert run.poll() is None, run.communicate()
            assert len(session_of(run.pid)) > 1, "an engine has processes of its own"
            os.kill(run.pid, how)
        printed, noise = run.communicate(timeout=SECONDS)
        assert run.returncode == code, noise
        wait_for(lambda: not session_of(run.pid), "the end of its processes")
    finally:
        for process in session_of(run.pid):
            os.kill(process, signal.SIGKILL)
    assert len(completions(out)) > before
    assert "Traceback" not in noise
    return printed


def test_it_goes_on_and_leaves_no_process_however_it_ends(tasks: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    # It leaves before its engine has ended, as it does when it is killed.
    played(tasks, out, signal.SIGINT, 130)
    printed = played(tasks, out, None, 0)
    assert json.loads(printed)["samples"] == TASKS, "what it prints is its report and nothing else"
    evaluate(EvalConfig(tasks=(str(tasks),), out=tmp_path / "hf", model="demo:student"))
    assert completions(out) == completions(tmp_path / "hf")
