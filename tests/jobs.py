"""Whole runs of the real command in a process of its own, which tests kill, interrupt and starve."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

TASKS = 24
BODIES = {
    "passed": "    import time; time.sleep(0.04); return x\n",
    "failed": "    import time; time.sleep(0.04); return x + 1\n",
    "error": "    raise KeyError(x)\n",
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A task file and a samples file, and the command that judges them."""

    folder: Path
    options: tuple[str, ...] = ("--sandbox", "docker", "--workers", "2")

    @property
    def out(self) -> Path:
        return self.folder / "run"

    def command(self, *more: str) -> list[str]:
        files = ["--samples", str(self.folder / "samples.jsonl"), "--tasks", str(self.folder / "slow.jsonl")]
        return [sys.executable, "-m", "harness.cli", "eval", *files, "--out", str(self.out), *self.options, *more]


def write_job(folder: Path, tasks: int = TASKS, kind: str = "docker", bodies: Mapping[str, str] = BODIES) -> Job:
    """Write a benchmark of one's own, and a sample of each body for each of its tasks, in mixed order."""
    with (folder / "slow.jsonl").open("w") as file:
        for number in range(tasks):
            test = f"def check(candidate):\n    assert candidate({number}) == {number}\n"
            task = {"task_id": f"Slow/{number}", "prompt": "def f(x):\n", "entry_point": "f", "test": test}
            file.write(json.dumps(task | {"canonical_solution": "    return x\n"}) + "\n")
    with (folder / "samples.jsonl").open("w") as file:
        for body in bodies.values():
            for number in reversed(range(tasks)):
                file.write(json.dumps({"task_id": f"Slow/{number}", "completion": body}) + "\n")
    return Job(folder=folder, options=("--sandbox", kind, "--workers", "2"))


def lines_of(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def timeless(job: Job) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return verdicts and report of a run without what no two runs share."""
    verdicts = [json.loads(line) for line in (job.out / "verdicts.jsonl").read_text().splitlines()]
    for verdict in verdicts:
        for name in ("cpu_seconds", "wall_seconds", "peak_memory_bytes"):
            assert verdict.pop(name) >= 0
    report = json.loads((job.out / "report.json").read_text())
    assert report.pop("seconds") > 0
    return verdicts, report


@contextmanager
def started(job: Job, *more: str, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a job's command beside the test; whatever happens, it does not outlive the block."""
    with subprocess.Popen(
        job.command(*more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finished(job: Job, *more: str, env: Mapping[str, str] | None = None, code: int = 0) -> str:
    """Run a job's command to its end and return what it said on standard error."""
    with started(job, *more, env=env) as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert "Traceback" not in said
    return said


def wait_until(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.002)


def cells_of(pid: int, *more: str) -> list[str]:
    """Return the ids of the containers that a harness process has made."""
    command = ["docker", "ps", "-aq", "--filter", f"label=harness.cell={pid}", *more]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()


@contextmanager
def losing_cells(harness: int, engine: str) -> Iterator[None]:
    """Kill the guests that a harness has on an engine, behind the block: in it, the engine is hurt.

    An engine that is gone or hangs takes no cell along, and a run needs it only for new ones.
    """
    with closing(docker.DockerClient(base_url=engine)) as client:
        cells = client.api.containers(filters={"label": f"harness.cell={harness}"})
        guests = [int(client.api.inspect_container(cell["Id"])["State"]["Pid"]) for cell in cells]
    assert guests
    yield
    for guest in guests:
        with suppress(ProcessLookupError):
            os.kill(guest, signal.SIGKILL)


def assert_no_cell_is_left(pid: int) -> None:
    wait_until(lambda: not cells_of(pid), f"the cells of {pid} are gone", 10)


def resize(folder: Path, size: str) -> None:
    """Give a mounted tmpfs another size, e.g. "10m"."""
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
