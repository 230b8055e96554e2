"""The encoder's losses: numbers by hand, weights by depth, and what an objective adds up."""

from __future__ import annotations

import math
import os
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import torch

from distill.encoder_losses import classified, contrastive, depth_weights, divergence, masked_tokens
from distill.encoder_objectives import (
    Classes,
    Contrast,
    ContrastSettings,
    ExitSettings,
    LabelledRow,
    MaskedContext,
    MaskingSettings,
    PairedRows,
)
from harness import UsageError
from tests.distill.made_encoders import small_encoder

pytestmark = pytest.mark.hf


def test_depth_weights_are_the_papers() -> None:
    assert depth_weights((4, 9, 18, 27, 36)) == (1 / 9, 1 / 4, 1 / 2, 3 / 4, 1.0)


def test_masked_tokens_and_classes_by_hand() -> None:
    # Scores (0, ln 3): the probability of 1 is 3/4, of 0 is 1/4.
    logits = torch.tensor([[0.0, math.log(3)]] * 2)
    expected = (math.log(4 / 3) + math.log(4)) / 2
    assert masked_tokens(logits, torch.tensor([1, 0])).item() == pytest.approx(expected)
    assert classified(logits, torch.tensor([1, 0])).item() == pytest.approx(expected)
    assert masked_tokens(logits[:0], torch.zeros(0, dtype=torch.long)).item() == 0.0


def test_contrastive_by_hand_in_both_directions() -> None:
    # Scores 10 q k^T = [[10, 6], [0, 8]]: rows ask for codes, columns for queries.
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    codes = torch.tensor([[1.0, 0.0], [0.6, 0.8]])

    def missed(gap: float) -> float:
        return math.log(1 + math.exp(-gap))

    by_query, by_code = (missed(4) + missed(8)) / 2, (missed(10) + missed(2)) / 2
    assert contrastive(queries, codes).item() == pytest.approx((by_query + by_code) / 2, rel=1e-5)
    assert contrastive(queries, codes, scale=20.0).item() == pytest.approx(
        (missed(8) + missed(16) + missed(20) + missed(4)) / 4, rel=1e-5
    )


def test_a_hard_negative_stands_beside_the_codes_of_the_batch() -> None:
    # Of one query and one code, scores (10, 6) for the code and what is wrong; the code has no other query.
    query, code, wrong = (torch.tensor([row]) for row in ([1.0, 0.0], [1.0, 0.0], [0.6, 0.8]))
    found = contrastive(query, code, wrong_ND=wrong)
    assert found.item() == pytest.approx(math.log(1 + math.exp(-4)) / 2, rel=1e-5)


def test_divergence_by_hand_and_towards_the_last_exit_alone() -> None:
    # At temperature 0.5: softmax(last / T) is (3/4, 1/4), softmax(inner / T) is (1/2, 1/2).
    last = torch.tensor([[0.5 * math.log(3), 0.0]], requires_grad=True)
    inner = torch.zeros(1, 2, requires_grad=True)
    found = divergence(inner, last, temperature=0.5)
    assert found.item() == pytest.approx(0.5 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)))
    found.backward()
    assert last.grad is None
    assert inner.grad is not None
    assert divergence(last, last).item() == pytest.approx(0.0)


def rows_of(tokenizer: Any) -> list[LabelledRow]:
    sep, cls = tokenizer.sep_token_id, tokenizer.cls_token_id
    packed = [(sep, 10, 11, 12, cls), (sep, 20, 21, sep, 22, 23, cls)]
    return [LabelledRow(tokens=tokens, label=label) for label, tokens in enumerate(packed)]


def learnt(objective: Any, model: Any, rows: Any, pad: int) -> tuple[float, dict[str, float]]:
    torch.manual_seed(3)
    found = objective.loss(model, objective.collate(rows, pad))
    return found.item(), objective.measures()


@pytest.mark.parametrize(
    ("exits", "weights"),
    [
        (ExitSettings(), {1: 0.25, 2: 0.5, 4: 1.0}),
        (ExitSettings(weights="equal"), {1: 1.0, 2: 1.0, 4: 1.0}),
        (ExitSettings(only=2), {2: 1.0}),
    ],
)
def test_objectives_add_up_the_exits_by_their_weights(exits: ExitSettings, weights: dict[int, float]) -> None:
    model, tokenizer = small_encoder()
    rows, pad = rows_of(tokenizer), tokenizer.pad_token_id
    masking = MaskedContext(MaskingSettings(rate=0.5, context=2.0), exits, tokenizer)
    total, noted = learnt(masking, model, rows, pad)
    assert set(noted) == {f"{name}/{number}" for name in ("tokens", "context") for number in weights}
    parts = [weight * (noted[f"tokens/{one}"] + 2 * noted[f"context/{one}"]) for one, weight in weights.items()]
    assert total == pytest.approx(sum(parts))
    total, noted = learnt(Classes(exits), model, rows, pad)
    assert total == pytest.approx(sum(weight * noted[f"classes/{one}"] for one, weight in weights.items()))
    pairs = [PairedRows(query=one.tokens[:3], code=one.tokens, altered=one.tokens) for one in rows]
    total, noted = learnt(Contrast(ContrastSettings(), exits), model, pairs, pad)
    assert total == pytest.approx(sum(weight * noted[f"contrast/{one}"] for one, weight in weights.items()))


def test_training_for_one_exit_computes_and_moves_nothing_behind_it() -> None:
    model, tokenizer = small_encoder()
    objective = Classes(ExitSettings(only=2))
    objective.loss(model, objective.collate(rows_of(tokenizer), tokenizer.pad_token_id)).backward()
    moved = [any(one.grad is not None for one in layer.parameters()) for layer in model.layers]
    assert moved == [True, True, False, False]
    with pytest.raises(UsageError, match="layer 3 is no exit"):
        Classes(ExitSettings(only=3)).loss(model, objective.collate(rows_of(tokenizer), 0))


def test_only_tokens_of_texts_are_masked() -> None:
    model, tokenizer = small_encoder()
    objective = MaskedContext(MaskingSettings(rate=0.999999), ExitSettings(), tokenizer)
    batch = objective.collate(rows_of(tokenizer), tokenizer.pad_token_id)
    assert batch["weights"].tolist() == [[0, 0, 0, 1, 1, 1, 0], [0, 1, 1, 0, 1, 1, 0]]
    assert batch["same"].tolist() == [0, 1]
    seen: list[Any] = []
    model.embed_tokens.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    objective.loss(model, batch)
    assert torch.equal(seen[0] == tokenizer.mask_token_id, batch["weights"] == 1)
    assert torch.equal(seen[0] != tokenizer.mask_token_id, batch["input_ids"] == seen[0])
    assert "same" not in MaskedContext(MaskingSettings(context=0.0), ExitSettings(), tokenizer).collate(
        [LabelledRow(tokens=(1, 2, 3), label=None)], 0
    )


def test_a_divergence_between_exits_and_other_names_are_options() -> None:
    model, tokenizer = small_encoder()
    rows = rows_of(tokenizer)
    pairs = [PairedRows(query=one.tokens[:3], code=one.tokens, altered=(*one.tokens[:2], 30)) for one in rows]
    plain, _ = learnt(Contrast(ContrastSettings(replace=0.0), ExitSettings()), model, pairs, 0)
    pulled, noted = learnt(Contrast(ContrastSettings(replace=0.0, divergence=2.0), ExitSettings()), model, pairs, 0)
    assert set(noted) >= {"divergence/1", "divergence/2"}
    assert "divergence/4" not in noted
    assert pulled == pytest.approx(plain + 2 * (noted["divergence/1"] + noted["divergence/2"]))
    other, _ = learnt(Contrast(ContrastSettings(replace=1.0), ExitSettings()), model, pairs, 0)
    hard = [PairedRows(query=one.query, code=one.code, altered=one.code, wrong=(*one.code[:2], 31)) for one in pairs]
    assert learnt(Contrast(ContrastSettings(replace=0.0), ExitSettings()), model, hard, 0)[0] > plain
    renamed = [PairedRows(query=one.query, code=one.altered, altered=one.altered) for one in pairs]
    assert other == pytest.approx(learnt(Contrast(ContrastSettings(replace=0.0), ExitSettings()), model, renamed, 0)[0])
    assert other != pytest.approx(plain, abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        (ExitSettings, {"weights": "shallow"}),
        (ExitSettings, {"only": 2, "weights": "equal"}),
        (MaskingSettings, {"rate": 1.0}),
        (MaskingSettings, {"context": -1.0}),
        (ContrastSettings, {"scale": 0.0}),
        (ContrastSettings, {"divergence_temperature": 0.5}),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: Any, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(reversed(values))):
        settings(**values)
