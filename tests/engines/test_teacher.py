"""A loop whose teacher runs in vLLM on this machine: a round learns from what it answers, and nothing of it is left."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import msgspec
import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    for package in ("torch", "transformers"):
        pytest.importorskip(package)

from distill.inputs import see_inputs
from distill.lessons import read_lessons
from distill.loop import Journal, LoopConfig, Machine
from distill.round import Round
from harness import EvalConfig, NoProgress, evaluate, load_run
from harness.benchmarks.ladder.rungs import SHIPPED

pytestmark = [pytest.mark.vllm, pytest.mark.slow]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Return a file of easy and expert tasks of the ladder."""
    rows = [json.loads(line) for line in SHIPPED.read_text(encoding="ascii").splitlines()]
    chosen = [row for tier in ("easy", "expert") for row in [one for one in rows if one["tier"] == tier][:8]]
    path = tmp_path / "few.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="ascii")
    return path


def test_a_round_learns_from_a_teacher_in_vllm(tasks: Path, tmp_path: Path) -> None:
    plain = {
        "student": "demo:student",
        "teacher": {"model": "demo:teacher", "backend": "vllm", "enforce_eager": True},
        "tasks": str(tasks),
        "questions": {"source": "ladder", "count": 6, "replay": 0},
        "training": {"steps": 2, "batch_size": 4, "learning_rate": 1e-4},
        "weak_below": 0.9,
        "max_new_tokens": 160,
    }
    wanted = msgspec.convert(plain, LoopConfig)
    measured, folder = tmp_path / "student", tmp_path / "round"
    evaluate(EvalConfig(tasks=(str(tasks),), out=measured, model="demo:student", weak_below=0.9))
    see_inputs(wanted, "demo:student", tmp_path, begun=False)
    before = multiprocessing.active_children()
    Round(wanted, folder, 1, "demo:student", Machine(progress=NoProgress, say=lambda text: None)).play(measured)
    assert multiprocessing.active_children() == before, "its engine has ended"
    stages = Journal(folder).done()
    assert stages["answers"].counts["teacher_calls"] == 6
    run = load_run(folder / "answers").config
    assert (run.backend, run.model, run.runtime["device"]) == ("vllm", "demo:teacher", "cpu")
    assert list(read_lessons(folder / "lessons.jsonl")), "it answers some of them rightly"
