"""What bigcode-evaluation-harness's metric is given: whole programs, and tests that call them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from harness.benchmarks import load_benchmark

# As the checkout's metric, but for how it runs a program.
METRIC = """
import os

def compute_code_eval(predictions, references, k, num_workers):
    assert os.environ["HF_ALLOW_CODE_EVAL"] == "1" and num_workers == 3
    results = {}
    for place, (programs, test) in enumerate(zip(predictions, references, strict=True)):
        for number, program in enumerate(programs):
            try:
                exec(program + "\\n" + test, {})
                passed = True
            except AssertionError:
                passed = False
            results.setdefault(place, []).append((number, {"passed": passed}))
    return {}, results
"""


def test_right_programs_pass_and_others_do_not(tmp_path: Path) -> None:
    metrics = tmp_path / "bigcode_eval" / "tasks" / "custom_metrics"
    metrics.mkdir(parents=True)
    (metrics / "code_eval.py").write_text(METRIC)
    tasks = load_benchmark("humaneval").tasks[:5]
    rows = [{"task_id": task.task_id, "completion": task.reference[len(task.prompt) :]} for task in tasks]
    rows += [{"task_id": tasks[0].task_id, "completion": "    return None\n"}] * 2
    samples = tmp_path / "samples.jsonl"
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = graded(tmp_path, samples)
    assert (done.stdout, done.returncode) == ("5 of 7 passed\n", 0), done.stderr


def test_a_folder_that_is_no_checkout_is_named(tmp_path: Path) -> None:
    done = graded(tmp_path / "nothing", tmp_path / "samples.jsonl")
    assert done.returncode == 2
    assert "code_eval.py is missing: give a checkout" in done.stderr
    assert "Traceback" not in done.stderr


def graded(checkout: Path, samples: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.bigcode", str(checkout), str(samples), "--workers", "3"]
    return subprocess.run(command, capture_output=True, text=True, check=False)
