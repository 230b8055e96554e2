"""The losses of correct and faulty answers: numbers by hand, and what differs in a faulty answer."""

from __future__ import annotations

import math
import os

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import torch

from distill.losses import (
    answer_log_probs,
    chosen_only,
    differing_places,
    dpo,
    margin,
    supervised,
    token_log_probs,
    unlikelihood,
)

pytestmark = pytest.mark.hf

# Two answers of two and of four tokens, behind a prompt of one target.
LOG_PROBS = torch.tensor([[-9.0, -1.0, -3.0, -8.0, -8.0], [-7.0, -2.0, -2.0, -4.0, -4.0]])
ANSWERS = torch.tensor([[0.0, 1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0, 1.0]])


def test_a_targets_log_probability_is_that_of_the_logits_before_it() -> None:
    logits = torch.tensor([[[0.0, math.log(3)], [math.log(7), 0.0], [5.0, 5.0]]])
    found = token_log_probs(logits, torch.tensor([[0, 1, 0]]))
    assert found.tolist() == [pytest.approx([math.log(3 / 4), math.log(7 / 8)])]


def test_log_probabilities_of_half_precision_logits_are_not_rounded_to_it() -> None:
    found = token_log_probs(torch.tensor([[[0.0, 1.0], [0.0, 0.0]]], dtype=torch.bfloat16), torch.tensor([[0, 0]]))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(-math.log(1 + math.e), abs=1e-6)


def test_an_answers_sum_and_mean_leave_the_prompt_and_the_padding_out() -> None:
    found = answer_log_probs(LOG_PROBS, ANSWERS)
    assert found.sum_B.tolist() == [-4.0, -12.0]
    assert found.mean_B.tolist() == [-2.0, -3.0]
    assert answer_log_probs(LOG_PROBS, torch.zeros(2, 5)).mean_B.tolist() == [0.0, 0.0]


def test_the_supervised_loss_counts_tokens_alike_or_answers_alike() -> None:
    assert supervised(LOG_PROBS, ANSWERS).item() == pytest.approx(16 / 6)
    assert supervised(LOG_PROBS, ANSWERS, by_row=True).item() == pytest.approx((2 + 3) / 2)
    assert supervised(LOG_PROBS[:1], ANSWERS[:1]) == supervised(LOG_PROBS[:1], ANSWERS[:1], by_row=True)


def test_weights_weigh_and_rows_without_any_count_nothing() -> None:
    weights = torch.tensor([[0.5, 1.0, 1.0, 0.0, 0.0], [0.0] * 5])
    expected = (0.5 * 9 + 1 + 3) / 2.5
    assert supervised(LOG_PROBS, weights).item() == pytest.approx(expected)
    assert supervised(LOG_PROBS, weights, by_row=True).item() == pytest.approx(expected)
    assert supervised(LOG_PROBS, torch.zeros(2, 5)).item() == 0.0
    assert supervised(LOG_PROBS, torch.zeros(2, 5), by_row=True).item() == 0.0


def test_the_margin_loss_by_hand() -> None:
    # beta (lp+ - lp-) - gamma = 2 (-2 + 3) - 0.5 = 1.5; and 2 (-3 + 3) - 0.5 = -0.5
    found = margin(torch.tensor([-2.0, -3.0]), torch.tensor([-3.0, -3.0]))
    assert found.tolist() == pytest.approx([math.log(1 + math.exp(-1.5)), math.log(1 + math.exp(0.5))])
    found = margin(torch.tensor([-2.0]), torch.tensor([-3.0]), beta=1.0, gamma=1.0)
    assert found.item() == pytest.approx(math.log(2))


def test_dpo_by_hand_and_at_the_reference() -> None:
    # beta [(-4 + 6) - (-12 + 11)] = 0.1 * 3
    policy, reference = (torch.tensor([-4.0]), torch.tensor([-12.0])), (torch.tensor([-6.0]), torch.tensor([-11.0]))
    assert dpo(policy, reference).item() == pytest.approx(math.log(1 + math.exp(-0.3)))
    assert dpo(policy, reference, beta=1.0).item() == pytest.approx(math.log(1 + math.exp(-3)))
    assert dpo(policy, policy).item() == pytest.approx(math.log(2))


def test_chosen_only_is_the_cross_entropy_of_the_correct_side() -> None:
    assert chosen_only(torch.tensor([-2.0, -3.0])).tolist() == [2.0, 3.0]


def test_unlikelihood_by_hand_on_the_span_alone() -> None:
    log_probs = torch.tensor([[0.9, 0.5, 0.2]]).log()
    found = unlikelihood(log_probs, torch.tensor([[0.0, 1.0, 1.0]]))
    assert found.tolist() == pytest.approx([-math.log(0.5) - math.log(0.8)])
    assert unlikelihood(log_probs, torch.zeros(1, 3)).tolist() == [0.0]


@pytest.mark.parametrize("log_prob", [0.0, -1e-9, -1e-3, -1.0, -50.0, -1e4])
def test_unlikelihood_and_its_gradient_are_finite(log_prob: float) -> None:
    given = torch.tensor([[log_prob]], requires_grad=True)
    found = unlikelihood(given, torch.ones(1, 1))
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert torch.isfinite(given.grad).all()


@pytest.mark.parametrize(
    ("correct", "faulty", "expected"),
    [
        ("abcd", "abcd", ""),
        ("abcd", "abxd", "x"),
        ("abcd", "axyd", "xy"),
        ("ad", "abcd", "bc"),  # what is too much differs
        ("abcd$", "ad$", "d"),  # what came in place of what is missing
        ("abcd", "ab", ""),  # nothing came
        ("ab+c*d$", "ab-c/d$", "-/"),  # what matches in between does not differ
        ("f(x)g(y)$", "g(y)$", "g"),
        ("aab$", "aaab$", "a"),
        ("", "ab", "ab"),
        ("ab", "", ""),
    ],
)
def test_differing_places(correct: str, faulty: str, expected: str) -> None:
    found = differing_places(list(map(ord, correct)), list(map(ord, faulty)))
    assert "".join(faulty[place] for place in found) == expected
    assert list(found) == sorted(set(found))
