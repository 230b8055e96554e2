"""Experiments over seeds: a folder with one plan for all of them, and each in a process of its own, on one thread."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

PLAN = "plan.json"


def see_that_the_plan_is_the_same(out: Path, plan: msgspec.Struct) -> None:
    """Write the plan down, for seeds to follow. Raises SystemExit where the folder's seeds follow another one."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / PLAN
    if path.is_file() and msgspec.json.decode(path.read_bytes(), type=type(plan)) != plan:
        raise SystemExit(f"{path} says otherwise: give the same options, or another --out")
    path.write_bytes(msgspec.json.format(msgspec.json.encode(plan)))


def play(module: str, out: Path, seed: int, *options: str) -> bool:
    """Have a module play a seed of a folder, which goes on where it was; returns whether it ended well."""
    command = [sys.executable, "-m", module, "--out", str(out), "--seed", str(seed), *options]
    started = time.monotonic()
    with (out / f"{seed}.log").open("ab") as log:
        done = subprocess.run(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    print(f"seed {seed}: status {done.returncode} after {time.monotonic() - started:.0f} s", file=sys.stderr)
    return done.returncode == 0


def see_that_all_ended_well(ended_well: Iterable[bool], out: Path) -> None:
    """Raise SystemExit where a process of a seed failed."""
    played = list(ended_well)
    if failed := played.count(False):
        raise SystemExit(
            f"{failed} of {len(played)} processes failed: see their logs in {out}; the same command goes on"
        )
