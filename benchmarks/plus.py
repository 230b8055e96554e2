"""Time the canonical solutions of HumanEval+ and MBPP+ beside what their programs need by themselves, and EvalPlus.

`python -m benchmarks.plus` measures for each of the two, in turn: the CPU time of all calls in one warm process, and
what they take in as many processes as there are cores (`benchmarks.trusted`), our `harness eval --model canonical`
with expected values in the cache, and with `--evalplus-python PYTHON` `evalplus.evaluate` on the same solutions, warm
as well. The first run of each fills caches and is not shown. What all processes of a command have in memory at once
is looked at in runs of their own, since looking slows down what it looks at.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.grading import evalplus
from benchmarks.measuring import harness, measure
from harness.benchmarks import load_benchmark

DATASETS = {"humaneval+": "humaneval", "mbpp+": "mbpp"}


def write_solutions(tasks: str, target: Path) -> None:
    """Write the benchmark's own solutions as a samples file."""
    rows = ({"task_id": task.task_id, "solution": task.reference} for task in load_benchmark(tasks).tasks)
    target.write_text("".join(json.dumps(row) + "\n" for row in rows))


def alone(tasks: str, workers: int) -> tuple[float, float]:
    """Return the seconds that the programs take in so many processes, and their CPU seconds."""
    words = measure([sys.executable, "-m", "benchmarks.trusted", tasks, "--workers", str(workers)]).output.split()
    return float(words[0]), float(words[2])


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", default=",".join(DATASETS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sandbox", default="docker")
    parser.add_argument("--evalplus-python", type=Path, help="the python of an environment with evalplus")
    options = parser.parse_args()
    cores = min(options.workers, len(os.sched_getaffinity(0)))
    print(
        "| tasks | programs alone: CPU s of one process | on all cores: s | ours: wall s, CPU s, MiB | "
        "of the programs' CPU s / cores | of theirs on all cores | EvalPlus: wall s, CPU s, MiB | of ours |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for tasks in options.tasks.split(","):
        with tempfile.TemporaryDirectory() as folder:
            samples = Path(folder) / "solutions.jsonl"
            write_solutions(tasks, samples)
            ours = harness("eval", "--model", "canonical", "--tasks", tasks, "--no-resume", "--out", f"{folder}/run")
            ours += ["--sandbox", options.sandbox, "--workers", str(options.workers)]
            peer = options.evalplus_python and partial(
                evalplus, options.evalplus_python, DATASETS[tasks], samples, str(options.workers)
            )
            measure(ours)
            if peer:
                peer()
            for _ in range(options.rounds):
                _, spent = alone(tasks, 1)
                seconds, _ = alone(tasks, cores)
                run = measure(ours)
                shares = f"{run.wall_seconds / (spent / cores):.2f} | {run.wall_seconds / seconds:.2f}"
                theirs = "- | -"
                if peer:
                    other = peer()
                    theirs = f"{other} | {other.wall_seconds / run.wall_seconds:.1f}"
                print(f"| {tasks} | {spent:.1f} | {seconds:.1f} | {run} | {shares} | {theirs} |", flush=True)
            together = measure(ours, together=True).together_bytes >> 20
            print(f"\n{tasks}, MiB of all processes at once, in a run of its own: ours {together}", end="")
            print(f", EvalPlus {peer(together=True).together_bytes >> 20}\n" if peer else "\n", flush=True)


if __name__ == "__main__":
    main()
