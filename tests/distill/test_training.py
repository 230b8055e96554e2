"""The training core: the loss by hand, the order of what is seen, the schedule, and going on after a kill."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import torch

from distill.curriculum import Stage
from distill.rows import rows_of, text_rows
from distill.scratch import ModelRecipe, TokenizerRecipe, build_model, make_tokenizer, save
from distill.training import Row, TrainSettings, _Windows, collate, steps_of, train, weighted_loss
from harness import UsageError
from tests.distill.killing import killed_training

pytestmark = pytest.mark.hf

TEXTS = ["abc abd", "bca", "cab cab"]
SHAPE = ModelRecipe(
    family="llama",
    fields={
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
    },
)


def stage(examples: int, share: float = 1.0, shuffled: bool = True) -> Stage:
    return Stage(name="all", examples=tuple(range(examples)), share=share, shuffled=shuffled)


def small(seed: int = 0) -> tuple[Any, Any]:
    tokenizer = make_tokenizer(TokenizerRecipe(kind="characters"), TEXTS)
    return tokenizer, build_model(SHAPE, tokenizer, seed)


def weights_of(model: Any) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_the_loss_is_the_weighted_mean_over_targets() -> None:
    # Two tokens, logits (0, ln 3): the probability of token 1 is 3/4, of token 0 is 1/4.
    logits = torch.tensor([[[0.0, math.log(3)]] * 4])
    tokens = torch.tensor([[1, 1, 0, 1]])
    weights = torch.tensor([[5.0, 1.0, 0.5, 0.0]])  # the first token is no target, the last does not count
    expected = (-math.log(3 / 4) - 0.5 * math.log(1 / 4)) / 1.5
    assert weighted_loss(logits, tokens, weights).item() == pytest.approx(expected, abs=1e-6)


def test_without_a_target_the_loss_is_zero() -> None:
    assert weighted_loss(torch.zeros(1, 3, 2), torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3)).item() == 0.0


def test_a_batch_is_filled_up_on_the_right_and_padding_does_not_count() -> None:
    batch = collate([Row(tokens=(1, 2, 3), weights=(0.0, 0.5, 1.0)), Row(tokens=(4, 5))], pad=9)
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 5, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["weights"].tolist() == [[0.0, 0.5, 1.0], [1.0, 1.0, 0.0]]


def test_rows_end_with_the_end_of_the_text_and_weigh_the_prompt_as_told() -> None:
    tokenizer, _ = small()
    (row,) = rows_of(tokenizer, [("ab", "c")], prompt_weight=0.25)
    assert tokenizer.decode(row.tokens) == "abc<|endoftext|>"
    assert row.weights == (0.25, 0.25, 1.0, 1.0)


def test_steps_add_up_and_follow_the_shares() -> None:
    assert steps_of([stage(1, 20), stage(1, 30), stage(1, 70)], 120) == [20, 30, 70]
    assert sum(steps_of([stage(1)] * 7, 100)) == 100


@pytest.mark.slow
def test_the_same_seed_trains_the_same_model_and_another_does_not() -> None:
    ends = []
    for seed in (1, 1, 2):
        tokenizer, model = small()
        rows = text_rows(tokenizer, TEXTS * 4)
        result = train(model, rows, (stage(len(rows)),), TrainSettings(steps=6, batch_size=4, seed=seed), 0)
        assert result.steps == 6
        assert result.losses
        ends.append(weights_of(model))
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_training_lowers_the_loss() -> None:
    tokenizer, model = small()
    rows = text_rows(tokenizer, TEXTS)
    settings = TrainSettings(steps=60, batch_size=3, learning_rate=1e-2)
    losses = train(model, rows, (stage(len(rows)),), settings, 0).losses
    assert losses[-1] < losses[0] / 2


def test_weights_of_zero_teach_nothing_about_the_prompt() -> None:
    tokenizer, _ = small()
    batch = collate(rows_of(tokenizer, [("abc", "abd")]), pad=0)
    counted = batch["weights"][0].tolist()
    assert counted == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(("schedule", "expected"), [("paper", [1, 1, 1, 1, 1, 1, 1, 0.1, 0.01, 0.001])])
def test_the_papers_schedule_steps_down_at_70_80_and_90_percent(schedule: str, expected: list[float]) -> None:
    rates: list[float] = []
    tokenizer, model = small()
    rows = text_rows(tokenizer, TEXTS)
    original = torch.optim.AdamW.step

    def noted(self: Any, *arguments: Any, **options: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return original(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", noted)
        settings = TrainSettings(steps=10, batch_size=2, learning_rate=1.0, lr_schedule=schedule)
        train(model, rows, (stage(len(rows)),), settings, 0)
    assert rates == pytest.approx(expected)


def test_each_stage_begins_with_a_new_schedule() -> None:
    rates: list[float] = []
    tokenizer, model = small()
    rows = text_rows(tokenizer, TEXTS)
    original = torch.optim.AdamW.step

    def noted(self: Any, *arguments: Any, **options: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return original(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", noted)
        train(model, rows, (stage(3), stage(3)), TrainSettings(steps=4, batch_size=2, learning_rate=1.0), 0)
    assert rates == pytest.approx([1.0, 0.5, 1.0, 0.5])


def test_windows_are_cut_from_the_stream_of_the_stage() -> None:
    tokenizer, model = small()
    rows = text_rows(tokenizer, TEXTS)
    settings = TrainSettings(steps=3, batch_size=2, window=5)
    result = train(model, rows, (stage(len(rows)),), settings, 0)
    assert result.tokens == 3 * 2 * 5
    stream = [token for row in rows for token in row.tokens]
    windows = _Windows(rows, 5, 50, seed=0)
    assert {window.tokens for window in windows} == {tuple(stream[at : at + 5]) for at in range(len(stream) - 4)}
    assert windows[0].weights is None
    weighted = [Row(tokens=(7, 8), weights=(0.5, 1.0)), Row(tokens=(9,))]
    assert [window.weights for window in _Windows(weighted, 3, 1, seed=0)] == [(0.5, 1.0, 1.0)]
    with pytest.raises(UsageError, match="fewer than one window"):
        train(model, rows, (stage(len(rows)),), TrainSettings(steps=1, window=500), 0)
    with pytest.raises(UsageError, match="has an order"):
        train(model, rows, (stage(len(rows), shuffled=False),), settings, 0)


def test_nothing_to_train_on_is_said() -> None:
    _, model = small()
    with pytest.raises(UsageError, match="nothing to train on"):
        train(model, [Row(tokens=(1,))], (stage(1),), TrainSettings(steps=1), 0)


def test_biases_that_a_shape_has_not_stay_zero() -> None:
    tokenizer = make_tokenizer(TokenizerRecipe(kind="characters"), TEXTS)
    shape = ModelRecipe(
        family="gpt2", fields={"n_embd": 12, "n_layer": 1, "n_head": 2, "n_positions": 32}, biases=False
    )
    model = build_model(shape, tokenizer, 0)
    rows = text_rows(tokenizer, TEXTS)
    train(model, rows, (stage(3),), TrainSettings(steps=3, batch_size=2, learning_rate=0.1), 0)
    biases = [parameter for name, parameter in model.named_parameters() if name.endswith(".bias")]
    assert biases
    assert all(not parameter.any() for parameter in biases)


def test_a_field_that_the_family_has_not_is_said() -> None:
    tokenizer, _ = small()
    with pytest.raises(UsageError, match="has no 'hidden_sise'"):
        build_model(ModelRecipe(family="llama", fields={"hidden_sise": 3}), tokenizer, 0)
    with pytest.raises(UsageError, match="no lama model"):
        build_model(ModelRecipe(family="lama"), tokenizer, 0)


RESUMED = TrainSettings(steps=16, batch_size=4, save_steps=3, seed=5)


def resumed(folder: Path) -> torch.Tensor:
    """Return the weights of a small model after a training in two stages that goes on where it was."""
    tokenizer, model = small()
    rows = text_rows(tokenizer, TEXTS * 4)
    stages = (stage(len(rows), 0.25), stage(len(rows), 0.75))
    train(model, rows, stages, RESUMED, 0, folder)
    return weights_of(model)


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_model(tmp_path: Path) -> None:
    killed_training(resumed, 7, tmp_path / "t")
    assert any(path.name.startswith("checkpoint-") for path in (tmp_path / "t" / "stage-01").iterdir())
    ends = [resumed(folder) for folder in (tmp_path / "t", tmp_path / "whole")]
    assert torch.equal(*ends)


def test_a_checkpoint_is_one_that_the_harness_loads(tmp_path: Path) -> None:
    from harness import find_checkpoint, load_weights

    tokenizer, model = small()
    save(model, tokenizer, tmp_path / "m", "float16")
    loaded = load_weights(
        str(find_checkpoint(str(tmp_path / "m")).folder), "m", dtype="auto", device="cpu", trust=False
    )
    assert torch.allclose(weights_of(loaded.model), weights_of(model), atol=1e-3)
    assert loaded.tokenizer("abc")["input_ids"] == tokenizer("abc")["input_ids"]
    assert (tmp_path / "m" / "model.safetensors").stat().st_size < 4 * sum(p.numel() for p in model.parameters())
