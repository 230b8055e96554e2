"""Grade real samples while guests, containers and the engine are killed at random: the report must be a quiet run's.

`python -m benchmarks.chaos --minutes 30` starts a Docker engine of its own, grades the samples once in peace, and then
again and again under fire until the time is over: a seeded random choice kills a guest, kills or removes a container,
kills the engine and starts it again, or freezes it for a while. A run that gives up (exit code 3) is given the same
command again, as a user would. Prints kills by kind, what was tried again, and every verdict or figure of a report that
differs from the quiet run's; exit code 1 if one does, a run hangs or something is left.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from benchmarks.engine import Engine, cannot_start, engine_of_our_own
from benchmarks.killer import KINDS, LABEL, Killer

HANG_SECONDS = 240.0  # without a verdict: longer than every limit and patience of the harness together
MOST_STARTS = 100
END_SECONDS = 30.0
SHOWN = 20
# What no two runs share, and which of several identical programs was judged first.
TIMES = ("cpu_seconds", "wall_seconds", "peak_memory_bytes", "seconds", "reused", "flaky", "wall_cut")
SAID = {
    "programs tried again": re.compile(r"^HumanEval/\d+\[\d+\]: (?!.*trying again)"),
    "waits for the engine": re.compile(r"trying again in"),
    "cells replaced": re.compile(r"^replacing a cell"),
}


class Failed(Exception):
    """A run did what none may do: hang, or end with an exit code other than 0 and 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to grade, and where. `pause` is the least and the most seconds between two kills."""

    samples: Path
    folder: Path
    engine: Engine
    workers: int = 2
    seed: int = 0
    pause: tuple[float, float] = (0.5, 6.0)

    def command(self, out: Path) -> list[str]:
        """Return the command that grades the samples into a run folder."""
        start = [sys.executable, "-m", "harness.cli", "--verbose", "eval", "--tasks", "humaneval", "--partial"]
        return [*start, "--sandbox=docker", f"--workers={self.workers}", f"--samples={self.samples}", f"--out={out}"]


@dataclass(slots=True, kw_only=True)
class Found:
    """What the runs under fire did."""

    rounds: int = 0
    starts: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every report was the quiet run's, and nothing is left."""
        return not self.differences and not self.left


def write_samples(source: Path, target: Path, count: int) -> None:
    """Write so many samples: those of a file over and over, each with a comment of its own, so that all differ."""
    with gzip.open(source, "rt", encoding="utf-8") as lines, target.open("w", encoding="utf-8") as file:
        rows = [json.loads(line) for line in lines]
        for number, row in enumerate(itertools.islice(itertools.cycle(rows), count)):
            completion = f"{row['completion']}\n# sample {number}\n"
            file.write(json.dumps({"task_id": row["task_id"], "completion": completion}) + "\n")


def grade(job: Job, out: Path) -> int:
    """Run the command once; return its exit code. Raises Failed when no verdict comes for too long."""
    log = out.with_suffix(".log")
    with log.open("a") as file:
        process = subprocess.Popen(
            job.command(out), stdout=file, stderr=file, env={**os.environ, **job.engine.environment}
        )
    try:
        grown, size = time.monotonic(), -1
        while process.poll() is None:
            if (now := _size(out / "verdicts.jsonl")) != size:
                grown, size = time.monotonic(), now
            if time.monotonic() - grown > HANG_SECONDS:
                raise Failed(f"no verdict for {HANG_SECONDS:.0f} s, see {log}")
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    return process.returncode


def grade_to_the_end(job: Job, out: Path) -> int:
    """Give the same command until a run is complete; return how often. Raises Failed for any code but 0 and 3."""
    for start in range(1, MOST_STARTS + 1):
        code = grade(job, out)
        if code == 0:
            return start
        if code != 3:
            raise Failed(f"exit code {code}, see {out.with_suffix('.log')}")
        _wait_for(job.engine)
    raise Failed(f"not complete after {MOST_STARTS} starts, see {out.with_suffix('.log')}")


def _wait_for(engine: Engine) -> None:
    asks = ["docker", "-H", engine.address, "version"]
    while subprocess.run(asks, capture_output=True, check=False, timeout=60).returncode != 0:
        time.sleep(0.2)


def differences(quiet: Path, other: Path) -> list[str]:
    """Return what two finished runs disagree about, times aside."""
    found = _unequal(f"{other.name}: report", _read(quiet / "report.json"), _read(other / "report.json"))
    both = [(quiet / "verdicts.jsonl").read_text().splitlines(), (other / "verdicts.jsonl").read_text().splitlines()]
    if len(both[0]) != len(both[1]):
        found.append(f"{other.name}: {len(both[1])} verdicts, not {len(both[0])}")
    for one, two in zip(*both, strict=False):
        first, second = _timeless(json.loads(one)), _timeless(json.loads(two))
        found += _unequal(f"{other.name}: {second['task_id']}[{second['sample_index']}]", first, second)
    return found


def _timeless(verdict: dict[str, Any]) -> dict[str, Any]:
    """Return a verdict without which of its time limits a program came to first: that is for the load to say."""
    if verdict["outcome"] == "timeout":
        verdict["evidence"].pop("reason")
    return verdict


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _unequal(name: str, one: dict[str, Any], two: dict[str, Any]) -> list[str]:
    keys = sorted({*one, *two} - {*TIMES})
    return [f"{name} {key}: {one.get(key)} became {two.get(key)}" for key in keys if one.get(key) != two.get(key)]


def under_fire(job: Job, seconds: float) -> Found:
    """Grade in peace, then under fire until the time is over and each kind of kill has happened."""
    quiet = job.folder / "quiet"
    start = time.monotonic()
    if code := grade(job, quiet):
        raise Failed(f"the quiet run ended with {code}, see {quiet.with_suffix('.log')}")
    print(f"quiet run: {time.monotonic() - start:.0f} s, {_read(quiet / 'report.json')['outcomes']}", flush=True)
    found = Found()
    rounds = job.folder.glob
    killer = Killer(job.engine, job.seed, seconds, job.pause, lambda: _size(*rounds("round*/verdicts.jsonl")))
    killer.start()
    try:
        while not found.rounds or killer.is_alive():
            out = job.folder / f"round{found.rounds + 1}"
            starts = grade_to_the_end(job, out)
            found.rounds, found.starts = found.rounds + 1, found.starts + starts
            found.differences += differences(quiet, out)
            for line in out.with_suffix(".log").read_text().splitlines():
                found.said.update(name for name, pattern in SAID.items() if pattern.search(line))
            kills = sum(killer.kills.values())
            print(f"{out.name}: {starts} starts, {kills} kills, {len(found.differences)} differences", flush=True)
    finally:
        killer.stop()
    if killer.failure:
        raise Failed(killer.failure)
    found.kills = killer.kills
    found.left = _left(job.engine, killer.seen)
    return found


def _size(*paths: Path) -> int:
    total = 0
    for path in paths:
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _left(engine: Engine, guests: set[int]) -> list[str]:
    """Return the containers and guests that are still there a while after the last run."""
    client = docker.DockerClient(base_url=engine.address, timeout=30)
    end = time.monotonic() + END_SECONDS
    while True:
        left = [f"container {cell['Id'][:12]}" for cell in client.api.containers(all=True, filters={"label": LABEL})]
        left += [f"guest {pid}" for pid in guests if _is_guest(pid)]
        if not left or time.monotonic() > end:
            client.close()
            return left
        time.sleep(0.1)


def _is_guest(pid: int) -> bool:
    with suppress(OSError):
        return b"sandbox.guest" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def say(found: Found) -> None:
    """Print what the runs under fire did."""
    print(f"{found.rounds} rounds, {found.starts} starts of the command")
    for kind in KINDS:
        print(f"killed: {kind} {found.kills[kind]}")
    for name in SAID:
        print(f"{name}: {found.said[name]}")
    print(f"differences from the quiet run: {len(found.differences)}")
    for line in [*found.differences[:SHOWN], *(f"left: {name}" for name in found.left)]:
        print(f"  {line}")


def main() -> int:
    """Grade under fire and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    data = Path(os.environ.get("HARNESS_DATA", "../shared/data"))
    parser.add_argument("--samples", type=Path, default=data / "codegen16b_humaneval_first20.jsonl.gz")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if missing := cannot_start():
        print(f"an engine of our own needs {missing}", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="harness-chaos-"))
    write_samples(options.samples, folder / "samples.jsonl", options.count)
    print(f"{options.count} samples, {options.workers} workers, seed {options.seed}, runs and logs in {folder}")
    try:
        with engine_of_our_own() as engine:
            job = Job(
                samples=folder / "samples.jsonl",
                folder=folder,
                engine=engine,
                workers=options.workers,
                seed=options.seed,
            )
            found = under_fire(job, 60 * options.minutes)
    except Failed as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    say(found)
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
