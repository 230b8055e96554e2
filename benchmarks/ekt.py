"""What EKT's filter, its selection and its prompt are worth: EKT beside its comparisons, on word problems, over seeds.

    python -m benchmarks.ekt --out runs/ekt --seeds 5 --jobs 2

For each seed: a teacher and a student from scratch, by the recipes words-teacher and words-student; the teacher's
answers; a loop for each arm by its recipe, from the same student and for as many steps; and all students on the word
problems of the test set, greedily and with ten samples. Writes ekt.json and ekt.md to the folder. Killed and started
again it goes on; seeds can be added later. Ends with 1 when a seed failed: its log says why.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.ekt_records import ARMS, STUDENT, TEACHER, Plan
from benchmarks.ekt_report import write_report
from benchmarks.ekt_seed import OneSeed
from benchmarks.seeds import play, see_that_all_ended_well, see_that_the_plan_is_the_same
from harness import UsageError


def main() -> None:
    """Play the seeds that are not done, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where seeds, records and tables are")
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="seeds at a time, a thread each (default: %(default)s)")
    parser.add_argument("--tests", type=int, default=1000, help="measured greedily (default: %(default)s)")
    parser.add_argument("--sampled-tests", type=int, default=100, help="measured by ten samples (default: %(default)s)")
    for option, whose in (("--set", "all arms"), ("--set-teacher", "the teachers"), ("--set-student", "the students")):
        what = f"change the recipes of {whose}"
        parser.add_argument(option, action="append", default=[], metavar="KEY=VALUE", help=what)
    parser.add_argument("--sandbox", default="auto", help="as of harness eval (default: %(default)s)")
    parser.add_argument("--report", action="store_true", help="play nothing, print what is done")
    args = parser.parse_args()
    out = args.out.resolve()
    seeds = range(1, args.seeds + 1)
    ended_well: list[bool] = []
    if not args.report:
        plan = plan_of(args)
        see_that_recipes_take(plan)
        see_that_the_plan_is_the_same(out, plan)
        with ThreadPoolExecutor(args.jobs) as pool:
            ended_well += pool.map(
                lambda seed: play("benchmarks.ekt_seed", out, seed, "--sandbox", args.sandbox), seeds
            )
    print(write_report(out, seeds).rstrip())
    see_that_all_ended_well(ended_well, out)


def plan_of(args: argparse.Namespace) -> Plan:
    """Return what the options say that all seeds do."""
    return Plan(
        teacher=tuple(args.set_teacher),
        student=tuple(args.set_student),
        loop=tuple(args.set),
        tests=args.tests,
        sampled_tests=args.sampled_tests,
    )


def see_that_recipes_take(plan: Plan) -> None:
    """Raise SystemExit for a change that does not fit the recipe that it is meant for."""
    seed = OneSeed(Path(), 1, plan, "auto")
    try:
        for name in (STUDENT, TEACHER):
            seed.recipe(name)
        for arm in ARMS:
            seed.config(arm)
    except UsageError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
