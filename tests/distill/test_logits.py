"""Learning a teacher's probabilities: the divergence by hand, and what models without the same tokens are told."""

from __future__ import annotations

import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import msgspec

from distill.logits import LogitObjective, LogitSettings, see_that_tokens_agree, softened_divergence, teacher_of
from distill.loop import LoopConfig, Machine, run_loop
from distill.study import study
from distill.training import Row, Supervised
from harness import NoProgress, UsageError, find_checkpoint, load_weights
from tests.distill import made_lessons

pytestmark = pytest.mark.hf


def logits(*rows: list[float]) -> Any:
    """Return logits of one text with a target per row, the last token's among them."""
    import torch

    return torch.log(torch.tensor([[*rows, [0.5, 0.5]]]))


def test_the_divergence_by_hand() -> None:
    import torch

    weights = torch.tensor([[1.0, 1.0, 3.0]])  # the first token is no target
    ours, theirs = logits([0.5, 0.5], [0.9, 0.1]), logits([0.8, 0.2], [0.9, 0.1])
    first = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    assert softened_divergence(ours, theirs, weights, 1.0).item() == pytest.approx((1 * first + 3 * 0) / 4, abs=1e-6)
    # At T = 2 probabilities are proportional to their roots: 0.8 : 0.2 becomes 2 : 1.
    softer = 2 / 3 * math.log((2 / 3) / 0.5) + 1 / 3 * math.log((1 / 3) / 0.5)
    assert softened_divergence(ours, theirs, weights, 2.0).item() == pytest.approx(4 * softer / 4, abs=1e-6)
    assert softened_divergence(ours, theirs, torch.zeros(1, 3), 1.0).item() == 0
    longer = torch.cat([theirs, torch.full((1, 3, 4), -20.0)], -1)  # entries that stand for no token
    assert softened_divergence(ours, longer, weights, 1.0).item() == pytest.approx(first / 4, abs=1e-6)


class Fixed:
    """A model that says the same of every text."""

    def __init__(self, said: Any) -> None:
        self._said = said

    def __call__(self, **_: Any) -> Any:
        return SimpleNamespace(logits=self._said)


def test_the_objective_is_both_losses_by_weight() -> None:
    ours, theirs = Fixed(logits([0.5, 0.5], [0.9, 0.1])), Fixed(logits([0.8, 0.2], [0.9, 0.1]))
    rows = [Row(tokens=(0, 1, 0), weights=(0.0, 1.0, 1.0))]
    objective = LogitObjective(theirs, LogitSettings(weight=0.25))
    batch = objective.collate(rows, 0)
    supervised = Supervised().loss(ours, batch).item()
    assert supervised == pytest.approx(-(math.log(0.5) + math.log(0.9)) / 2, abs=1e-6)
    divergence = (0.8 * math.log(1.6) + 0.2 * math.log(0.4)) / 2
    assert objective.loss(ours, batch).item() == pytest.approx(0.75 * supervised + 0.25 * divergence, abs=1e-6)
    found = objective.measures()
    assert found == pytest.approx({"loss/supervised": supervised, "loss/divergence": divergence}, abs=1e-6)
    assert objective.measures() == {}


def config(**changes: object) -> LoopConfig:
    plain = {
        "student": "demo:student",
        "teacher": {"model": "demo:teacher"},
        "training": {"steps": 1},
        "logits": {"weight": 0.5},
    }
    return msgspec.convert(plain | changes, LoopConfig)


def test_models_with_other_tokens_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    see_that_tokens_agree("demo:student", "demo:student")
    with pytest.raises(UsageError, match="only a student with the same tokenizer can learn"):
        run_loop(config(), tmp_path, Machine(progress=NoProgress, say=lambda text: None))
    assert not (tmp_path / "rounds").exists()
    for changes in (
        {"teacher": {"samples": "x"}},
        {"teacher": {"model": "student"}},
        {"faults": {"sources": ["student"]}},
    ):
        with pytest.raises(msgspec.ValidationError, match="logits need another model"):
            config(**changes)


def test_a_student_learns_a_teachers_probabilities(tmp_path: Path) -> None:
    lesson = made_lessons.lesson("def f(n):\n", "    return n + 1\n")
    folder = str(find_checkpoint("demo:student").folder)
    loaded = load_weights(folder, "demo:student", dtype="float32", device="cpu", trust=False)
    wanted = config(
        teacher={"model": "demo:student"},
        training={"steps": 3, "batch_size": 2, "learning_rate": 1e-3},
        logits={"weight": 1.0},
    )
    result = study(loaded.model, loaded.tokenizer, [lesson, lesson], wanted, tmp_path)
    first, *_ = result.notes
    assert first.measures["loss/divergence"] == pytest.approx(0, abs=1e-5)  # it is its own teacher as yet
    assert first.measures["loss/supervised"] > 0
    assert not any(weight.requires_grad for weight in teacher_of("demo:student", "cpu").parameters())
