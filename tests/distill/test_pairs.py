"""Training on pairs: what it does to both sides, in which order, and going on after a kill."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import torch

from distill.curriculum import Stage, draws
from distill.pairs import (
    Contrastive,
    Pair,
    PairLogProbs,
    PairObjective,
    PairSettings,
    log_probs_of,
    pairs_of,
    train_on_pairs,
    with_references,
)
from distill.rows import rows_of
from distill.scratch import ModelRecipe, TokenizerRecipe, build_model, make_tokenizer
from distill.training import Row, TrainSettings, train
from harness import UsageError

pytestmark = pytest.mark.hf

SHAPE = ModelRecipe(
    family="llama",
    fields={
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
    },
)
TEXTS = [(f"{a}{b}=", a + b + "+" * place, a + "-" + b) for place, (a, b) in enumerate(["ab", "ba", "cd", "da"])]
TOKENIZER = make_tokenizer(TokenizerRecipe(kind="characters"), ["abcd=+-"])
PAIRS = pairs_of(TOKENIZER, TEXTS, prompt_weight=0.1)
ROWS = rows_of(TOKENIZER, [("c=", "cc"), ("d=", "dd")])
SETTINGS = TrainSettings(steps=12, batch_size=4, learning_rate=1e-2, save_steps=5, seed=3)


def stage(examples: int, share: float = 1.0, shuffled: bool = True) -> Stage:
    return Stage(name="all", examples=tuple(range(examples)), share=share, shuffled=shuffled)


def model_of(seed: int = 0) -> Any:
    return build_model(SHAPE, TOKENIZER, seed)


def weights_of(model: Any) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def trained(
    how: PairSettings, examples: Sequence[Pair | Row] = PAIRS, settings: TrainSettings = SETTINGS
) -> tuple[Any, Any]:
    model = model_of()
    return model, train_on_pairs(model, examples, (stage(len(examples)),), settings, 0, None, how)


def margins(model: Any) -> float:
    return sum(one.chosen_mean - one.rejected_mean for one in log_probs_of(model, PAIRS, 0)) / len(PAIRS)


class Recording(PairObjective):
    """Notes which prompts the loss sees, and ends the process's training at a step if it is told to."""

    def __init__(self, how: PairSettings, dies_at: int | None = None) -> None:
        super().__init__(how)
        self.seen: list[list[int]] = []
        self.dies_at = dies_at

    def loss(self, model: Any, batch: dict[str, Any]) -> Any:
        if len(self.seen) == self.dies_at:
            raise KeyboardInterrupt
        self.seen.append(batch["input_ids"][:4, :2].tolist())
        return super().loss(model, batch)


def test_pairs_have_one_prompt_and_two_answers_with_their_ends() -> None:
    pair = pairs_of(TOKENIZER, [("ab=", "a", "bb")], prompt_weight=0.25)[0]
    assert TOKENIZER.decode(pair.tokens) == "ab=a<|endoftext|>"
    assert TOKENIZER.decode(pair.rejected) == "ab=bb<|endoftext|>"
    assert (pair.prompt, pair.chosen.weights) == (3, (0.25, 0.25, 0.25, 1.0, 1.0))


@pytest.mark.parametrize(
    ("prompt", "rejected", "message"),
    [(2, (1, 9, 3), "different prompts"), (0, (1, 2, 3), "at least 1"), (2, (1, 2), "at least 1")],
)
def test_sides_that_make_no_pair_are_said(prompt: int, rejected: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Pair(prompt=prompt, chosen=Row(tokens=(1, 2, 4)), rejected=rejected)


def test_a_batch_has_all_correct_sides_then_the_faulty_ones() -> None:
    pair = Pair(
        prompt=1,
        chosen=Row(tokens=(1, 2, 3), weights=(0.0, 1.0, 1.0)),
        rejected=(1, 2, 4, 5),
        reference=PairLogProbs(chosen=-1.0, rejected=-2.0, chosen_mean=-0.5, rejected_mean=-0.7),
    )
    objective = PairObjective(PairSettings(unlikelihood=0.1))
    batch = objective.collate([Row(tokens=(7, 8)), pair], pad=9)
    assert batch["input_ids"].tolist() == [[7, 8, 9, 9], [1, 2, 3, 9], [1, 2, 4, 5]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert batch["weights"].tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert batch["answers"].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]]
    assert batch["span"].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]
    assert batch["paired"].tolist() == [1]
    assert batch["reference"].tolist() == [[-1.0, -2.0]]
    assert objective.tokens_seen(pair) == 7
    without = PairObjective(PairSettings(contrastive=Contrastive.CHOSEN_ONLY))
    assert len(without.collate([pair], pad=9)["input_ids"]) == 1
    assert without.tokens_seen(pair) == 3


def test_log_probabilities_are_those_of_each_text_alone() -> None:
    model = model_of()
    for pair, found in zip(PAIRS, log_probs_of(model, PAIRS, 0, batch_size=3), strict=True):
        for tokens, total, mean in (
            (pair.tokens, found.chosen, found.chosen_mean),
            (pair.rejected, found.rejected, found.rejected_mean),
        ):
            logits = model(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)
            each = [logits[place - 1, tokens[place]].item() for place in range(pair.prompt, len(tokens))]
            assert total == pytest.approx(sum(each), abs=1e-4)
            assert mean == pytest.approx(sum(each) / len(each), abs=1e-5)


def test_the_whole_loss_is_the_sum_of_its_terms_over_the_examples_of_the_batch() -> None:
    how = PairSettings(contrastive=Contrastive.MARGIN, weight=0.3, unlikelihood=0.2)
    objective, model = PairObjective(how), model_of()
    examples = [*PAIRS[:2], *ROWS]
    loss = objective.loss(model, objective.collate(examples, 0)).item()
    terms = objective.measures()
    pairs_share = 2 / 4
    expected = terms["loss/supervised"] + pairs_share * (
        0.3 * terms["loss/contrastive"] + 0.2 * terms["loss/unlikelihood"]
    )
    assert loss == pytest.approx(expected, abs=1e-5)
    assert objective.measures() == {}


@pytest.mark.slow
def test_without_a_contrastive_loss_it_is_training_on_rows_bit_by_bit() -> None:
    model, result = trained(PairSettings(contrastive=Contrastive.NONE))
    plain = model_of()
    expected = train(plain, [pair.chosen for pair in PAIRS], (stage(len(PAIRS)),), SETTINGS, 0)
    assert torch.equal(weights_of(model), weights_of(plain))
    assert (result.losses, result.tokens) == (expected.losses, expected.tokens)


@pytest.mark.slow
@pytest.mark.parametrize("contrastive", [Contrastive.MARGIN, Contrastive.DPO])
def test_a_contrastive_loss_raises_the_margin_beyond_that_of_the_correct_side_alone(contrastive: Contrastive) -> None:
    before = margins(model_of())
    alone, _ = trained(PairSettings(contrastive=Contrastive.CHOSEN_ONLY, weight=1.0))
    both, result = trained(PairSettings(contrastive=contrastive, weight=1.0, dpo_beta=0.5))
    assert margins(both) > margins(alone) > before
    first, last = result.notes[0].measures, result.notes[-1].measures
    assert last["logps/chosen"] > first["logps/chosen"]
    assert last["logps/chosen"] - last["logps/rejected"] > first["logps/chosen"] - first["logps/rejected"]
    assert last["logps/accuracy"] == 1.0


@pytest.mark.slow
def test_unlikelihood_makes_the_wrong_tokens_less_likely() -> None:
    plain, _ = trained(PairSettings(contrastive=Contrastive.NONE))
    model, result = trained(PairSettings(contrastive=Contrastive.NONE, unlikelihood=1.0))
    wrong = [sum(one.rejected for one in log_probs_of(each, PAIRS, 0)) for each in (plain, model)]
    assert wrong[1] < wrong[0]
    assert result.notes[-1].measures["loss/unlikelihood"] < result.notes[0].measures["loss/unlikelihood"]


def test_what_is_measured_says_the_step_and_both_sides() -> None:
    _, result = trained(PairSettings(contrastive=Contrastive.MARGIN), [*PAIRS, *ROWS])
    assert [note.step for note in result.notes] == list(range(1, 13))
    assert {"loss/supervised", "loss/contrastive", "logps/chosen", "logps/rejected", "logps/accuracy"} == {
        name for note in result.notes for name in note.measures
    }
    assert result.tokens > sum(len(pair.tokens) for pair in PAIRS)


def test_a_batch_of_plain_rows_alone_is_a_supervised_one() -> None:
    model, result = trained(PairSettings(contrastive=Contrastive.MARGIN), ROWS)
    plain = model_of()
    train(plain, ROWS, (stage(len(ROWS)),), SETTINGS, 0)
    assert torch.equal(weights_of(model), weights_of(plain))
    assert set(result.notes[0].measures) == {"loss/supervised"}


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [True, False])
@pytest.mark.parametrize("contrastive", [Contrastive.NONE, Contrastive.MARGIN])
def test_batches_come_in_the_order_of_the_draws_whatever_the_loss(shuffled: bool, contrastive: Contrastive) -> None:
    examples = [*PAIRS, *ROWS]
    stages = (stage(4, 0.5, shuffled), stage(6, 0.5, shuffled))
    recording = Recording(PairSettings(contrastive=contrastive))
    train(model_of(), examples, stages, SETTINGS, 0, None, recording)
    lengths = [len(one.tokens) for one in examples]
    drawn = [place for number, one in enumerate(stages) for place in draws(one, lengths, 4, 6, SETTINGS.seed + number)]
    expected = [list(examples[place].tokens[:2]) for place in drawn]
    assert [prompt for batch in recording.seen for prompt in batch] == expected
    assert len(recording.seen) == SETTINGS.steps


@pytest.mark.slow
@pytest.mark.parametrize("contrastive", [Contrastive.MARGIN, Contrastive.DPO])
def test_a_training_that_was_ended_goes_on_to_the_same_model(tmp_path: Path, contrastive: Contrastive) -> None:
    how = PairSettings(contrastive=contrastive, weight=1.0)
    stages = (stage(4, 0.25), stage(6, 0.75))
    examples = [*PAIRS, *ROWS]
    model, dying = model_of(), Recording(how, dies_at=10)
    known = with_references(model, examples, 0)
    with pytest.raises(KeyboardInterrupt):
        train(model, known, stages, SETTINGS, 0, tmp_path / "ended", dying)
    assert [path.name for path in (tmp_path / "ended" / "stage-01").glob("checkpoint-*")] == ["checkpoint-5"]
    ends = []
    for folder in ("ended", "whole"):
        model = model_of()
        result = train_on_pairs(model, examples, stages, SETTINGS, 0, tmp_path / folder, how)
        ends.append((weights_of(model), [note.step for note in result.notes]))
    assert torch.equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1] == list(range(1, 13))


def test_references_are_those_of_the_model_and_stay_once_known() -> None:
    known = PairLogProbs(chosen=-1.0, rejected=-2.0, chosen_mean=-0.5, rejected_mean=-1.0)
    model, first, second = model_of(), PAIRS[0], replace(PAIRS[1], reference=known)
    found = with_references(model, [first, ROWS[0], second], 0)
    assert found == [replace(first, reference=log_probs_of(model, [first], 0)[0]), ROWS[0], second]


def test_dpo_without_references_and_windows_of_pairs_are_refused() -> None:
    objective = PairObjective(PairSettings(contrastive=Contrastive.DPO))
    with pytest.raises(UsageError, match="with_references"):
        objective.loss(model_of(), objective.collate(PAIRS, 0))
    with pytest.raises(UsageError, match="leave the window out"):
        trained(PairSettings(contrastive=Contrastive.MARGIN), settings=TrainSettings(steps=1, window=4))


def test_settings_are_read_from_a_recipe_and_checked() -> None:
    read = msgspec.json.decode(b'{"contrastive": "chosen-only", "weight": 0.2}', type=PairSettings)
    assert (read.contrastive, read.weight, read.needs_faulty) == (Contrastive.CHOSEN_ONLY, 0.2, False)
    for wrong in (b'{"weight": -1}', b'{"beta": 0}', b'{"lambda": 1}', b'{"contrastive": "simpo"}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(wrong, type=PairSettings)
