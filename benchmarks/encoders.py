"""What several exits are worth to a small encoder, and contexts in its pretraining, over seeds; beside BM25.

    python -m benchmarks.encoders --out runs/encoders --seeds 3 --jobs 1

For each seed: a start whose tokens were learnt as bags, and arms that all begin with it: all exits together (by depth,
equal, with KL), each exit alone, and pretraining with and without contexts. Descriptions ask for functions and long
beginnings of modules of packages that are never trained on. Writes encoders.json and encoders.md to the folder. Killed
and started again it goes on; seeds can be added later. Needs code-harness[retrieval].
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from benchmarks.encoder_records import ARMS, Plan
from benchmarks.encoder_report import write_report
from benchmarks.encoder_sets import lexical, prepared

PLAN = "plan.json"


def main() -> None:
    """Play the seeds that are not done, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where data, seeds, records and tables are")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time, a thread each (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=Plan().steps, help="of each arm (default: %(default)s)")
    parser.add_argument("--report", action="store_true", help="play nothing, print what is done")
    args = parser.parse_args()
    out, seeds = args.out.resolve(), range(1, args.seeds + 1)
    if not args.report:
        plan = see_that_the_plan_is_the_same(out, Plan(steps=args.steps))
        lexical(out, prepared(out, plan.pairs, plan.queries))
        for group in sorted({arm.group for arm in ARMS.values()}):
            arms = ",".join(name for name, arm in ARMS.items() if arm.group == group)
            with ThreadPoolExecutor(args.jobs) as pool:
                list(pool.map(lambda seed, arms=arms: play(out, seed, arms), seeds))
    print(write_report(out, seeds).rstrip())


def see_that_the_plan_is_the_same(out: Path, plan: Plan) -> Plan:
    """Write the plan down, for seeds to follow. Raises SystemExit where the folder's seeds follow another one."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / PLAN
    if path.is_file() and msgspec.json.decode(path.read_bytes(), type=Plan) != plan:
        raise SystemExit(f"{path} says otherwise: give the same options, or another --out")
    path.write_bytes(msgspec.json.format(msgspec.json.encode(plan)))
    return plan


def play(out: Path, seed: int, arms: str) -> None:
    """Play arms of a seed in a process of its own, on one thread."""
    command = [sys.executable, "-m", "benchmarks.encoder_seed", "--out", str(out), "--seed", str(seed), "--arms", arms]
    started = time.monotonic()
    with (out / f"{seed}.log").open("ab") as log:
        done = subprocess.run(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    print(f"seed {seed}: {arms}: status {done.returncode} after {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
