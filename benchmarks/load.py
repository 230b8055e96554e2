"""Grade the same samples on an idle machine and on one whose cores are kept busy: the verdicts must be the same.

`python -m benchmarks.load` judges the real samples with our command twice, the second time beside processes that do
nothing but use up CPU time, and prints every verdict that differs, and how many samples ran out of wall time among
others and were judged again alone. It judges nothing itself; "idle" is as idle as the machine is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import harness, measure

_BURN = "while True: pass"


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep that many processes busy inside the block."""
    burning = [subprocess.Popen([sys.executable, "-c", _BURN]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
        for process in burning:
            process.wait()


def outcomes(run: Path) -> dict[str, tuple[str, float]]:
    """Return outcome and CPU seconds of each sample of a run."""
    rows = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
    return {f"{row['task_id']}[{row['sample_index']}]": (row["outcome"], row["cpu_seconds"]) for row in rows}


def main() -> None:
    """Judge twice and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    data = Path(os.environ.get("HARNESS_DATA", "../shared/data"))
    parser.add_argument("--samples", type=Path, default=data / "codegen16b_humaneval_first20.jsonl.gz")
    parser.add_argument("--per-core", type=int, default=2, help="busy processes for each core")
    parser.add_argument("--sandbox", default="docker")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    found = {}
    print("| machine | wall s | samples | passed | timeout | judged again alone, changed |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, processes in (("idle", 0), (f"{options.per_core} busy per core", options.per_core * cores)):
            run = Path(folder) / name.replace(" ", "-")
            with busy(processes):
                took = measure(
                    harness(
                        *("eval", "--samples", str(options.samples), "--tasks", "humaneval"),
                        *("--sandbox", options.sandbox, "--out", str(run)),
                    )
                )
            found[name] = outcomes(run)
            report = json.loads((run / "report.json").read_text())
            counts = report["outcomes"]
            print(
                f"| {name} | {took.wall_seconds:.0f} | {report['samples']} | {counts['passed']} | {counts['timeout']} "
                f"| {report['flaky']} |",
                flush=True,
            )
    idle, loaded = found.values()
    differing = [name for name in idle if idle[name][0] != loaded[name][0]]
    print(f"{len(differing)} of {len(idle)} verdicts differ")
    for name in differing:
        print(f"  {name}: {idle[name]} idle, {loaded[name]} busy")


if __name__ == "__main__":
    main()
