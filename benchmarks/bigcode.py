"""Grade a samples file by bigcode-evaluation-harness's execution path, from a checkout of it.

`python -m benchmarks.bigcode CHECKOUT SAMPLES --workers 2` hands HumanEval's programs and tests to the metric that its
task `humaneval` scores by (`bigcode_eval/tasks/custom_metrics/code_eval.py`), and prints how many samples passed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections import defaultdict
from pathlib import Path

from harness.benchmarks import load_benchmark
from harness.records import CheckTests

METRIC = "custom_metrics/code_eval.py"


def main() -> None:
    """Grade, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("samples", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    tasks = options.checkout / "bigcode_eval" / "tasks"
    if not (tasks / METRIC).is_file():
        parser.error(f"{tasks / METRIC} is missing: give a checkout of bigcode-evaluation-harness")
    sys.path.insert(0, str(tasks))  # the metric alone: the rest wants a model
    os.environ["HF_ALLOW_CODE_EVAL"] = "1"
    metric = importlib.import_module("custom_metrics.code_eval")
    completions: dict[str, list[str]] = defaultdict(list)
    for line in options.samples.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        completions[row["task_id"]].append(row["completion"])
    predictions, references = [], []
    for task in load_benchmark("humaneval").tasks:
        if task.task_id in completions and isinstance(task.tests, CheckTests):
            predictions.append([task.prompt + one for one in completions[task.task_id]])
            references.append(task.tests.source)
    _, results = metric.compute_code_eval(
        references=references, predictions=predictions, k=[1], num_workers=options.workers
    )
    passed = sum(one["passed"] for found in results.values() for _, one in found)
    print(f"{passed} of {sum(map(len, predictions))} passed")


if __name__ == "__main__":
    main()
