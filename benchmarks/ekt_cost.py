"""What judging a teacher's programs costs, beside the bare floor: GSM8K's worked solutions, and others made from them.

    python -m benchmarks.ekt_cost --programs 20000 --workers 2

Takes turns in every round: our `harness eval --samples` with its cold start, and `benchmarks.floor`, which forks, runs
and looks at the number, on the same programs with the same number of workers. No two programs are the same. Then
`--copies` of each of a tenth of them are judged, and how many of those were run is said.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

from benchmarks.measuring import Measured, harness, measure
from distill.task_files import write_tasks
from harness import Task, gsm8k_train, load_run


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=20_000, help="(default: %(default)s)")
    parser.add_argument("--copies", type=int, default=100, help="of each program (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sandbox", default="docker")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        tasks = [task for task in gsm8k_train().tasks if task.reference]
        write_tasks(tasks, work / "questions.jsonl")
        write_samples(islice(programs_of(tasks), options.programs), work / "samples.jsonl", 1)
        write_samples(islice(programs_of(tasks), options.programs // 10), work / "copies.jsonl", options.copies)
        print(f"{options.programs} programs, {options.workers} workers, {options.sandbox}; wall s, CPU s, MiB")
        print("| round | ours | floor | ours, programs/s |\n|---|---|---|---|")
        rounds = []
        for number in range(1, options.rounds + 1):
            rounds.append((ours(work, "samples", options), floor(work, options.workers)))
            speed = options.programs / rounds[-1][0].wall_seconds
            print(f"| {number} | {rounds[-1][0]} | {rounds[-1][1]} | {speed:.0f} |", flush=True)
        print(passed(work / "samples"))
        copied = ours(work, "copies", options)
        total = options.programs // 10 * options.copies
        print(f"{total} programs, {options.copies} copies of each: {copied}; {total / copied.wall_seconds:.0f}/s")
        print(passed(work / "copies"))
    for what, field in (("wall time", "wall_seconds"), ("the machine's CPU time", "machine_cpu_seconds")):
        found = [getattr(one, field) / getattr(bare, field) for one, bare in rounds]
        low, middle, high = min(found), statistics.median(found), max(found)
        print(f"ours / floor, of {what}: median {middle:.2f} ({low:.2f} to {high:.2f})")


def programs_of(tasks: list[Task]) -> Iterator[tuple[str, str]]:
    """Yield task and program without end, no program twice: the worked solutions, then others that compute the same."""
    for turn in count():
        for task in tasks:
            yield task.task_id, f"{task.reference}answer = answer + {turn} - {turn}\n" if turn else task.reference


def write_samples(programs: Iterator[tuple[str, str]], path: Path, copies: int) -> None:
    """Write so many samples of each program."""
    lines = (json.dumps({"task_id": task_id, "solution": program}) + "\n" for task_id, program in programs)
    path.write_text("".join(line * copies for line in lines), encoding="utf-8")


def ours(work: Path, name: str, options: argparse.Namespace) -> Measured:
    """Measure one `harness eval` of a samples file."""
    command = harness("eval", "--samples", f"{work}/{name}.jsonl", "--tasks", f"{work}/questions.jsonl", "--partial")
    command += ["--no-resume", "--out", f"{work}/{name}", "--workers", str(options.workers)]
    return measure([*command, "--sandbox", options.sandbox])


def floor(work: Path, workers: int) -> Measured:
    """Measure the bare floor on the same programs."""
    command = [sys.executable, "-m", "benchmarks.floor", f"{work}/samples.jsonl", "--workers", str(workers)]
    return measure([*command, "--questions", f"{work}/questions.jsonl"])


def passed(run: Path) -> str:
    """Return what a run's report says of its programs."""
    report = load_run(run).report
    return f"{report.outcomes['passed']} of {report.samples} passed, {report.reused} were not run again"


if __name__ == "__main__":
    main()
