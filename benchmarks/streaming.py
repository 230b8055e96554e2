"""Does memory grow with the number of samples? Judge synthetic samples, few and many, and compare the peaks.

`python -m benchmarks.streaming --samples 100000` judges a tenth of the samples and then all of them with one command
each, and prints the peak memory of the harness's own process for both, bytes per further sample (the slope), and what
that makes for a million. Every program is another one, so that none is taken over from another.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.measuring import Measured, harness, measure

TASKS = 100


def write(folder: Path, samples: int) -> list[str]:
    """Write tasks and samples of one's own; return the command that judges them."""
    tasks, answers = folder / "tasks.jsonl", folder / f"samples-{samples}.jsonl"
    with tasks.open("w") as file:
        for number in range(TASKS):
            test = f"def check(candidate):\n    assert candidate({number}) == {number}\n"
            row = {"task_id": f"Own/{number}", "prompt": "def f(x):\n", "entry_point": "f", "test": test}
            file.write(json.dumps(row) + "\n")
    with answers.open("w") as file:
        for number in range(samples):
            program = f"    # {'x' * 200}\n    return x + {number} - {number + number % 3}\n"
            file.write(json.dumps({"task_id": f"Own/{number % TASKS}", "completion": program}) + "\n")
    return harness(*("eval", "--samples", str(answers), "--tasks", str(tasks), "--out", str(folder / f"run-{samples}")))


def main() -> None:
    """Judge twice and print the slope."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--sandbox", default="docker")
    options = parser.parse_args()
    if options.samples < 10 * TASKS:
        parser.error(f"--samples {options.samples}: at least {10 * TASKS}, ten for each task")
    found: dict[int, Measured] = {}
    with tempfile.TemporaryDirectory() as folder:
        for samples in (options.samples // 10, options.samples):
            found[samples] = measure([*write(Path(folder), samples), "--sandbox", options.sandbox])
            peak = found[samples].peak_bytes / (1 << 20)
            print(f"{samples} samples: {found[samples].wall_seconds:.0f} s, {peak:.1f} MiB at most", flush=True)
    (few, less), (many, more) = found.items()
    slope = (more.peak_bytes - less.peak_bytes) / (many - few)
    million = (less.peak_bytes + slope * (1_000_000 - few)) / (1 << 20)
    print(f"{slope:.1f} bytes for each further sample; so a million need {million:.0f} MiB")


if __name__ == "__main__":
    main()
