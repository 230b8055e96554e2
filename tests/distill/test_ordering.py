"""Difficulty of examples, against numbers worked out by hand on models whose every weight is known."""

from __future__ import annotations

import math
import os
from types import SimpleNamespace
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import torch

from distill import ordering
from distill.training import Row
from harness import UsageError, measure

pytestmark = pytest.mark.hf
PAD = 0


def row(*tokens: int, weights: tuple[float, ...] | None = None) -> Row:
    return Row(tokens=tokens, weights=weights)


class Counting(torch.nn.Module):  # type: ignore[misc]  # mypy runs without torch, too
    """A model of four tokens that gives `odds` to the next number (0 after 3), and 1 to the others."""

    def __init__(self, odds: float = math.e) -> None:
        super().__init__()
        self.device = torch.device("cpu")
        self.odds = odds
        self.seen: list[Any] = []
        self.was_training: list[bool] = []

    def forward(self, input_ids: Any, attention_mask: Any, use_cache: bool) -> Any:
        self.seen.append(input_ids.shape)
        self.was_training.append(self.training)
        follower = torch.nn.functional.one_hot((input_ids + 1) % 4, 4)
        return SimpleNamespace(logits=math.log(self.odds) * follower.float())


def test_the_metric_is_the_harnesss() -> None:
    program = "for i in range(3):\n\tprint(i)"
    measured = measure(program)
    assert measured is not None
    # a = 1: one way through; one operator (=), two operands (a, 1), so Halstead's difficulty is 1/2 * 2/2.
    assert ordering.by_metric([program, "a = 1"]) == [measured.overall, (1 + 0.5) / 2]


def test_the_metric_of_a_text_that_is_no_program_is_refused() -> None:
    with pytest.raises(UsageError, match="example 1 is no Python program"):
        ordering.by_metric(["a = 1", "a b c"])


def test_length_is_in_tokens() -> None:
    assert ordering.by_length([row(1, 2, 3), row(1)]) == [3.0, 1.0]


def test_loss_is_the_mean_over_the_tokens_that_count() -> None:
    right, wrong = math.log(1 + 3 / math.e), math.log(math.e + 3)  # -log e/(e+3), -log 1/(e+3)
    rows = [
        row(0, 1, 2, 3),
        row(0, 2, 3),
        row(0, 1, 3, 2, weights=(1.0, 0.0, 3.0, 1.0)),
        row(0, 1, weights=(1.0, 0.0)),
        row(1),
    ]
    expected = [right, (wrong + right) / 2, wrong, 0.0, 0.0]
    assert ordering.by_loss(Counting(), rows, PAD, batch_size=2) == pytest.approx(expected, abs=1e-6)


def test_an_example_counts_as_failed_by_the_models_that_would_not_write_its_answer() -> None:
    rows, answers = [row(0, 1, 2, 3), row(3, 1, 2, 3), row(0, 1, 2, 0), row(2, 3)], [2, 2, 2, 1]
    up = Counting()
    down = Counting(0.1)  # the token after the last one is the unlikeliest
    assert ordering.by_models([up], rows, answers, PAD, batch_size=3) == [0.0, 0.0, 1.0, 0.0]
    assert ordering.by_models([up, down], rows, answers, PAD) == [0.5, 0.5, 1.0, 0.5]


@pytest.mark.parametrize(
    ("models", "answers", "message"), [(0, [1], "at least one model"), (1, [0], "first token"), (1, [2], "outside")]
)
def test_answers_and_models_must_fit(models: int, answers: list[int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ordering.by_models([Counting()] * models, [row(1, 2)], answers, PAD)


def test_rows_of_like_length_share_a_batch_and_the_model_is_left_as_it_was() -> None:
    model = Counting()
    model.train()
    ordering.by_loss(model, [row(*[1] * length) for length in (9, 2, 8, 3)], PAD, batch_size=2)
    assert model.seen == [(2, 3), (2, 9)]
    assert model.was_training == [False, False]
    assert model.training


def real_model(attention: str) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=5, n_embd=8, n_layer=2, n_head=2, n_positions=8, attn_implementation=attention)
    return GPT2LMHeadModel(config)


def test_attention_is_the_mean_variance_of_its_rows() -> None:
    model = real_model("eager")
    with torch.no_grad():
        for block in model.transformer.h:  # sharper than first weights are
            block.attn.c_attn.weight.mul_(30)
    rows = [row(1, 2, 3, 4), row(3, 1)]
    expected = []
    for one in rows:
        model.eval()
        attentions = model(torch.tensor([one.tokens]), output_attentions=True).attentions
        variances = [
            attentions[layer][0, head, place, : place + 1].var(unbiased=False).item()
            for layer in range(2)
            for head in range(2)
            for place in range(len(one.tokens))
        ]
        expected.append(sum(variances) / len(variances))
    assert min(expected) > 1e-3
    assert ordering.by_attention(model, rows, PAD) == pytest.approx(expected, rel=1e-4)


def test_even_attention_varies_not_at_all() -> None:
    model = real_model("eager")
    with torch.no_grad():
        for block in model.transformer.h:
            block.attn.c_attn.weight.zero_()
    assert ordering.by_attention(model, [row(1, 2, 3, 4)], PAD) == pytest.approx([0.0], abs=1e-6)


def test_a_model_that_keeps_no_attention_is_refused() -> None:
    with pytest.raises(UsageError, match="eager"):
        ordering.by_attention(real_model("sdpa"), [row(1, 2)], PAD)
