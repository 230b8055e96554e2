"""What several exits are worth to a small encoder, and contexts in its pretraining, over seeds; beside BM25.

    python -m benchmarks.encoders --out runs/encoders --seeds 3 --jobs 1

For each seed: a start whose tokens were learnt as bags, and arms that all begin with it: all exits together (by
depth, equal, with KL), each exit alone, and pretraining with and without contexts. In the world `library`
descriptions ask for functions, and for long beginnings of modules, of packages that are never trained on
(`benchmarks.encoder_sets`); in `steps` for programs that differ in the order of their steps alone
(`benchmarks.encoder_steps`). Writes encoders.json and encoders.md to the folder. Killed and started again it goes on;
seeds can be added later. Ends with 1 when a seed failed: its log says why. Needs code-harness[retrieval].
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.encoder_records import LIBRARY, PLANS, arms_of
from benchmarks.encoder_report import write_report
from benchmarks.encoder_seed import data_of
from benchmarks.encoder_sets import lexical
from benchmarks.seeds import play, see_that_all_ended_well, see_that_the_plan_is_the_same


def main() -> None:
    """Play the seeds that are not done, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where data, seeds, records and tables are")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time, a thread each (default: %(default)s)")
    parser.add_argument("--world", choices=PLANS, default=LIBRARY, help="what is asked for (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="of each arm (default: the world's)")
    parser.add_argument("--report", action="store_true", help="play nothing, print what is done")
    args = parser.parse_args()
    out, seeds = args.out.resolve(), range(1, args.seeds + 1)
    ended_well: list[bool] = []
    if not args.report:
        plan = PLANS[args.world]
        plan = msgspec.structs.replace(plan, steps=plan.steps if args.steps is None else args.steps)
        see_that_the_plan_is_the_same(out, plan)
        lexical(out, data_of(out, plan))
        ways = arms_of(plan)
        for group in sorted({arm.group for arm in ways.values()}):
            arms = ",".join(name for name, arm in ways.items() if arm.group == group)
            with ThreadPoolExecutor(args.jobs) as pool:
                ended_well += pool.map(partial(play_arms, out, arms), seeds)
    print(write_report(out, seeds).rstrip())
    see_that_all_ended_well(ended_well, out)


def play_arms(out: Path, arms: str, seed: int) -> bool:
    """Play arms of a seed; returns whether that ended well."""
    return play("benchmarks.encoder_seed", out, seed, "--arms", arms)


if __name__ == "__main__":
    main()
