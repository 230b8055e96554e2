"""The embedded models: ordinary checkpoints, small, the student weak in the high tiers and the teacher better there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.models.checkpoint import find_checkpoint

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

pytestmark = pytest.mark.hf
NAMES = ("demo:student", "demo:teacher")
ROOT = Path(__file__).resolve().parents[2]


def test_they_are_small_and_come_with_the_package() -> None:
    folders = [find_checkpoint(name).folder for name in NAMES]
    assert sum(path.stat().st_size for folder in folders for path in folder.glob("*.safetensors")) < 20e6
    assert sum(path.stat().st_size for folder in folders for path in folder.iterdir()) < 20e6


def test_transformers_loads_them_by_itself() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    sizes = {}
    for name in NAMES:
        folder = find_checkpoint(name).folder
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder)
        sizes[name] = model.num_parameters()
        assert tokenizer.decode(tokenizer("def f(x):\n    return x + 12\n")["input_ids"]) == (
            "def f(x):\n    return x + 12\n"
        )
    assert 0.8e6 < sizes["demo:student"] < 1.2e6
    assert sizes["demo:teacher"] > sizes["demo:student"]


def test_other_names_and_revisions_are_refused() -> None:
    with pytest.raises(UsageError, match="demo:student and demo:teacher come with the harness"):
        find_checkpoint("demo:studnet")
    with pytest.raises(UsageError, match="has no revision 'main'"):
        find_checkpoint("demo:student", "main")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_student_is_weak_where_the_teacher_is_not(tmp_path: Path) -> None:
    """On half of the ladder, 30 tasks a tier."""
    scores: dict[str, dict[str, dict[str, object]]] = {}
    for name in NAMES:
        command = [sys.executable, "-c", "from harness.cli import run; run()", "eval", "--model", name, "--json"]
        options = ["--tasks", "ladder", "--limit", "120", "--batch-size", "64", "--out", str(tmp_path / name[5:])]
        ran = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
        assert ran.returncode == 0, ran.stderr[-2000:]
        scores[name] = {tier["tier"]: tier for tier in json.loads(ran.stdout)["tiers"]}
    student, teacher = (
        {tier: score["pass_at_1"]["value"] for tier, score in scores[name].items()}  # type: ignore[index]
        for name in NAMES
    )
    assert min(student["easy"], student["medium"]) > 0.9
    assert student["hard"] < 0.5
    assert student["expert"] < 0.25
    assert [tier for tier, score in scores["demo:student"].items() if score["tune"]["weak"]] == ["hard", "expert"]  # type: ignore[index]
    assert min(teacher["hard"], teacher["expert"]) > 0.8
    assert min(teacher.values()) < 1  # better, not perfect
