"""Lessons that a student's context does not hold are left out before anything is trained on, and counted."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

from transformers import AutoTokenizer

from distill.context import lessons_within_context
from distill.lessons import Fault, FaultSource, Lesson
from distill.training import TrainSettings
from harness import Outcome, find_checkpoint
from tests.distill import made_lessons

pytestmark = pytest.mark.hf
DEMO = Path(find_checkpoint("demo:student").folder)


def lesson(completion: str, fault: str | None = None) -> Lesson:
    wrong = fault and Fault(
        source=FaultSource.MUTATION, run="mutants", sample_index=0, outcome=Outcome.FAILED, completion=fault
    )
    return made_lessons.lesson(completion=completion, fault=wrong or None)


def tokens_of(one: Lesson) -> int:
    """Return the tokens of prompt, right answer and the end of a text."""
    tokenizer = AutoTokenizer.from_pretrained(str(DEMO))
    return len(tokenizer(one.prompt)["input_ids"]) + len(tokenizer(one.completion)["input_ids"]) + 1


def student(folder: Path, context: int) -> str:
    """Make the demo student's configuration and tokenizer a checkpoint's, of another context; it has no weights."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((DEMO / name).read_bytes())
    settings = json.loads((DEMO / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"max_position_embeddings": context}))
    (folder / "model.safetensors").write_bytes(b"")
    return str(folder)


SHORT, LONG = "    return 1\n", "    # 1 2 3 4 5 6 7 8 9\n    return 1\n"


def test_the_context_bounds_lessons_and_their_faulty_sides(tmp_path: Path) -> None:
    lessons = [lesson(SHORT), lesson(LONG), lesson(SHORT, LONG), lesson(LONG, SHORT), lesson(SHORT, SHORT + "#")]
    training = TrainSettings(steps=1)
    limit = tokens_of(lessons[1])
    assert list(lessons_within_context(lessons, student(tmp_path, limit), training).lessons) == lessons
    found = lessons_within_context(lessons, student(tmp_path, limit - 1), training)
    assert list(found.lessons) == [lessons[0], replace(lessons[2], fault=None), lessons[4]]
    assert (found.too_long, found.faults_too_long) == (2, 1)


def test_the_training_bounds_them_as_well_and_windows_do_not(tmp_path: Path) -> None:
    lessons = [lesson(SHORT), lesson(LONG)]
    limit = tokens_of(lessons[1])
    for context, most, kept in ((999, limit, 2), (999, limit - 1, 1), (limit - 1, limit, 1), (999, 3, 0)):
        found = lessons_within_context(lessons, student(tmp_path, context), TrainSettings(steps=1, max_length=most))
        assert (len(found.lessons), found.too_long) == (kept, 2 - kept)
    windows = TrainSettings(steps=1, window=8)
    assert len(lessons_within_context(lessons, student(tmp_path, 4), windows).lessons) == 2
    assert lessons_within_context([], "nowhere", TrainSettings(steps=1)).lessons == ()
