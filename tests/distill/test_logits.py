"""Learning a teacher's probabilities: the divergence by hand, and what models without the same tokens are told."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import msgspec

from distill.logits import (
    LogitForm,
    LogitObjective,
    LogitSettings,
    TaughtRow,
    see_that_tokens_agree,
    softened_divergence,
    taught_rows,
    teacher_of,
)
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


@pytest.mark.parametrize(
    ("form", "weight", "own", "times"),
    [("mixture", 0.25, 0.75, 1 / 2), ("sum", 0.25, 1.0, 1 / 2), ("sum", 3.0, 1.0, 1 / 2), ("sum-by-text", 1.0, 1.0, 1)],
)
def test_the_losses_are_joined_as_the_form_says(form: str, weight: float, own: float, times: float) -> None:
    """Two tokens count: their divergences are averaged, or added up within the only text."""
    ours, theirs = Fixed(logits([0.5, 0.5], [0.9, 0.1])), Fixed(logits([0.8, 0.2], [0.6, 0.4]))
    objective = LogitObjective(theirs, LogitSettings(form=LogitForm(form), weight=weight))
    batch = objective.collate([Row(tokens=(0, 1, 0), weights=(0.0, 1.0, 1.0))], 0)
    supervised = -(math.log(0.5) + math.log(0.9)) / 2
    first = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    second = 0.6 * math.log(0.6 / 0.9) + 0.4 * math.log(0.4 / 0.1)
    wanted = own * supervised + weight * times * (first + second)
    assert objective.loss(ours, batch).item() == pytest.approx(wanted, abs=1e-5)


def test_texts_count_alike_however_long_they_are() -> None:
    import torch

    ours, theirs = (torch.cat([logits(one, one), logits(one, one)]) for one in ([0.5, 0.5], [0.8, 0.2]))
    each = 0.8 * math.log(1.6) + 0.2 * math.log(0.4)
    weights = torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    assert softened_divergence(ours, theirs, weights, 1.0, by_text=True).item() == pytest.approx(1.5 * each, abs=1e-6)
    assert softened_divergence(ours, theirs, weights, 1.0).item() == pytest.approx(each, abs=1e-6)


class Reading:
    """A teacher that gives each token the probability 0.8 of coming again, and has been shown `seen`."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def __call__(self, input_ids: Any, **_: Any) -> Any:
        import torch

        self.seen = input_ids.tolist()
        again = torch.full((*input_ids.shape, 5), math.log(0.05))
        again.scatter_(2, input_ids[..., None], math.log(0.8))
        return SimpleNamespace(logits=again)


def test_a_teacher_reads_its_own_prompt_and_teaches_the_answers_tokens() -> None:
    import torch

    row = Row(tokens=(1, 2, 3, 0), weights=(0.5, 1.0, 1.0, 1.0))
    short = TaughtRow(row=row, prompt=1, taught=(4, 4, 4, 2, 3, 0), shown=3)
    long = TaughtRow(row=Row(tokens=(1, 1, 2, 0), weights=(0.5, 0.5, 1.0, 1.0)), prompt=2, taught=(4, 2, 0), shown=1)
    teacher = Reading()
    objective = LogitObjective(teacher, LogitSettings(form=LogitForm.SUM, weight=1.0, teacher_prompt=True))
    batch = objective.collate([short, long], 0)
    uniform = Fixed(torch.zeros(2, 4, 5))
    loss = objective.loss(uniform, batch).item()
    assert teacher.seen == [[4, 4, 4, 2, 3, 0], [4, 2, 0, 0, 0, 0]]
    # Each of the answers' three tokens has the same divergence from 1/5 each; ends and prompts have none.
    each = 0.8 * math.log(0.8 * 5) + 4 * 0.05 * math.log(0.05 * 5)
    assert batch["taught_weights"].tolist() == [[0, 1, 1, 0], [0, 0, 1, 0]]
    assert loss == pytest.approx(math.log(5) + each, abs=1e-5)
    # What the teacher gives for an answer's token is what it gave behind its own prompt.
    moved, _ = objective._wanted(batch)
    assert moved[0, 0].argmax() == 4  # which it has read last of its prompt
    assert moved[0, 1].argmax() == 2
    assert moved[1, 1].argmax() == 4
    with pytest.raises(UsageError, match="another answer"):
        TaughtRow(row=short.row, prompt=1, taught=(4, 2, 9, 0), shown=1)


def test_the_same_prompt_is_the_same_lesson_as_none_of_its_own() -> None:
    """With one's own prompt for the teacher's, the divergence is that of the answer's tokens in the plain form."""
    import torch

    folder = str(find_checkpoint("demo:student").folder)
    loaded = load_weights(folder, "demo:student", dtype="float32", device="cpu", trust=False)
    other = load_weights(str(find_checkpoint("demo:student").folder), "x", dtype="float32", device="cpu", trust=False)
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter.mul_(0.9)
    prompt, answer = "def f(n):\n", "    return n + 1\n"
    (row,) = taught_rows(loaded.tokenizer, [(prompt, prompt, answer)], 0.0, None)
    (shown,) = taught_rows(loaded.tokenizer, [(prompt, f"def g(n):\n    return n\n\n{prompt}", answer)], 0.0, None)
    settings = LogitSettings(form=LogitForm.SUM_BY_TEXT, teacher_prompt=True)
    objective = LogitObjective(other.model, settings)

    def divergence(rows: list[Any]) -> float:
        objective.loss(loaded.model, objective.collate(rows, 0))
        return objective.measures()["loss/divergence"]

    plain = Row(tokens=row.tokens, weights=(*(row.row.weights or ())[:-1], 0.0))  # but for the text's end
    assert divergence([row]) == pytest.approx(divergence([plain]), rel=1e-4)
    assert divergence([shown]) != pytest.approx(divergence([plain]), rel=1e-2)
    assert divergence([row, shown]) == pytest.approx((divergence([row]) + divergence([shown])) / 2, rel=1e-4)
    with pytest.raises(UsageError, match="its context 8"):
        taught_rows(loaded.tokenizer, [(prompt, prompt, answer)], 0.0, 8)


def test_tokens_that_no_text_is_made_of_may_be_the_teachers_alone(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    source = find_checkpoint("demo:student").folder
    for name, more in (("named", ["<|extratoken_1|>", "<pad 2>"]), ("spelled", ["        "])):
        shutil.copytree(source, tmp_path / name)
        tokenizer = AutoTokenizer.from_pretrained(str(source))
        tokenizer.add_tokens(more)
        tokenizer.save_pretrained(str(tmp_path / name))
    see_that_tokens_agree("demo:student", str(tmp_path / "named"))
    with pytest.raises(UsageError, match="only a student with the same tokenizer"):
        see_that_tokens_agree("demo:student", str(tmp_path / "spelled"))


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
