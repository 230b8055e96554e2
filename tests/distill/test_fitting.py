"""What lets a training fit: accumulation, adapters, types, recomputed values, and how long rows and trainings are."""

from __future__ import annotations

import gc
import os
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    pytest.importorskip("peft")

import msgspec
import torch

from distill.curriculum import Stage
from distill.fitting import ADAPTER, see_that_peft_is_there
from distill.pairs import Contrastive, PairSettings, pairs_of, train_on_pairs
from distill.rows import rows_of
from distill.scratch import ModelRecipe, TokenizerRecipe, build_model, make_tokenizer, save
from distill.training import Row, TrainSettings, train
from harness import MissingDependency, UsageError, find_checkpoint, load_weights
from tests.distill.killing import killed_training

pytestmark = pytest.mark.hf
ROOT = Path(__file__).resolve().parents[2]

ANSWERS = [("ab", "c"), ("b", "cabcab"), ("cab", "ba"), ("a", "abcabcabcabc"), ("bc", "a"), ("ca", "bbbbb")]
SHAPE = ModelRecipe(
    family="llama",
    fields={
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "initializer_range": 0.2,
    },
)
LORA = {"r": 2, "alpha": 4}


def small() -> tuple[Any, Any]:
    tokenizer = make_tokenizer(TokenizerRecipe(kind="characters"), ["abc"])
    return tokenizer, build_model(SHAPE, tokenizer, 0)


def everything(count: int) -> tuple[Stage]:
    return (Stage(name="all", examples=tuple(range(count)), share=1.0, shuffled=True),)


def settings(**changes: Any) -> TrainSettings:
    return msgspec.convert({"steps": 4, "batch_size": 4, "learning_rate": 1e-2, **changes}, TrainSettings)


def trained(folder: Path | None = None, **changes: Any) -> dict[str, torch.Tensor]:
    """Return the weights of a small model after a training on answers of very different lengths."""
    tokenizer, model = small()
    rows = rows_of(tokenizer, ANSWERS)
    train(model, rows, everything(len(rows)), settings(**changes), tokenizer.pad_token_id, folder)
    return weights_of(model)


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def apart(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> float:
    """Return the largest difference between weights of the same name."""
    assert some.keys() == others.keys()
    return max((some[name].float() - others[name].float()).abs().max().item() for name in some)


def test_accumulated_gradients_are_those_of_the_bigger_batch() -> None:
    whole = trained()
    assert apart(trained(batch_size=2, gradient_accumulation_steps=2), whole) < 1e-5
    assert apart(trained(batch_size=1, gradient_accumulation_steps=4), whole) < 1e-5
    assert apart(trained(batch_size=2), whole) > 1e-3


@pytest.mark.parametrize(
    ("contrastive", "by_row"), [(Contrastive.MARGIN, False), (Contrastive.MARGIN, True), (Contrastive.DPO, False)]
)
def test_so_are_those_of_pairs(contrastive: Contrastive, by_row: bool) -> None:
    how = PairSettings(contrastive=contrastive, weight=0.5, by_row=by_row, unlikelihood=0.1)
    ends = []
    for batch_size in (4, 2):
        tokenizer, model = small()
        examples: list[Any] = [
            *pairs_of(tokenizer, [(prompt, right, right[::-1] + "b") for prompt, right in ANSWERS[:4]]),
            *rows_of(tokenizer, ANSWERS[4:]),
        ]
        wanted = settings(batch_size=batch_size, gradient_accumulation_steps=4 // batch_size, learning_rate=1e-3)
        train_on_pairs(model, examples, everything(len(examples)), wanted, tokenizer.pad_token_id, None, how)
        ends.append(weights_of(model))
    assert apart(*ends) < 1e-5


def test_recomputed_values_give_the_same_weights() -> None:
    tokenizer, model = small()
    passes = []
    model.model.layers[0].mlp.register_forward_pre_hook(lambda *_: passes.append(1))
    rows = rows_of(tokenizer, ANSWERS)
    train(model, rows, everything(len(rows)), settings(gradient_checkpointing=True), tokenizer.pad_token_id)
    assert len(passes) == 2 * 4  # forwards, and once more for the gradient
    assert apart(weights_of(model), trained()) < 1e-6
    train(model, rows, everything(len(rows)), settings(steps=1), tokenizer.pad_token_id)
    assert len(passes) == 2 * 4 + 1
    with torch.inference_mode():
        model(input_ids=torch.tensor([[1, 2]]))


def test_bf16_computes_in_bfloat16_and_keeps_the_weights_type() -> None:
    tokenizer, model = small()
    seen = set()
    model.model.layers[0].self_attn.q_proj.register_forward_hook(lambda _, __, made: seen.add(made.dtype))
    rows = rows_of(tokenizer, ANSWERS)
    train(model, rows, everything(len(rows)), settings(bf16=True), tokenizer.pad_token_id)
    assert seen == {torch.bfloat16}
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
    assert 0 < apart(weights_of(model), trained()) < 0.05
    seen.clear()
    model(input_ids=torch.tensor([[1, 2]]))
    assert seen == {torch.float32}  # the training is over


def test_the_type_of_the_weights_is_the_settings() -> None:
    after = trained(dtype="bfloat16")
    assert {tensor.dtype for tensor in after.values()} == {torch.bfloat16}
    assert 0 < apart(after, trained()) < 0.2
    tokenizer, model = small()
    rows = rows_of(tokenizer, ANSWERS)
    train(model, rows, everything(len(rows)), settings(dtype="bfloat16"), tokenizer.pad_token_id)
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32


def test_lora_changes_the_chosen_layers_by_the_adapter_alone(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    _, model = small()
    before = weights_of(model)
    lora = {**LORA, "target_modules": ["q_proj", "down_proj"]}
    after = trained(tmp_path, lora=lora)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "q_proj" in name or "down_proj" in name}
    adapter = load_file(tmp_path / ADAPTER / "adapter_model.safetensors")
    for name in changed:
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        added = 4 / 2 * adapter[f"{stem}.lora_B.weight"] @ adapter[f"{stem}.lora_A.weight"]
        assert torch.allclose(after[name], before[name] + added, atol=1e-6)
    assert (tmp_path / ADAPTER / "adapter_config.json").is_file()
    everywhere = trained(lora=LORA)
    assert {name for name in before if not torch.equal(before[name], everywhere[name])} == {
        name for name in before if "_proj" in name
    }
    assert apart(trained(lora={**LORA, "dropout": 0.5}), everywhere) > 1e-6


def test_a_student_with_a_merged_adapter_is_an_ordinary_one(tmp_path: Path) -> None:
    tokenizer, model = small()
    rows = rows_of(tokenizer, ANSWERS)
    stages = everything(len(rows))
    train(model, rows, stages, settings(lora=LORA), tokenizer.pad_token_id)
    save(model, tokenizer, tmp_path / "m")
    place = str(find_checkpoint(str(tmp_path / "m")).folder)
    loaded = load_weights(place, "m", dtype="auto", device="cpu", trust=False)
    assert type(loaded.model) is type(model)
    tokens = torch.tensor([[1, 2, 3]])
    assert torch.allclose(loaded.model(tokens).logits, model.eval()(tokens).logits, atol=1e-6)
    merged = weights_of(model)
    train(model, rows, stages, settings(steps=1), tokenizer.pad_token_id)  # all of it learns again
    assert all(not torch.equal(merged[name], tensor) for name, tensor in weights_of(model).items())


def test_adapters_on_bfloat16_weights_train_in_float32(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    after = trained(tmp_path, lora=LORA, dtype="bfloat16", bf16=True)
    assert {tensor.dtype for tensor in after.values()} == {torch.bfloat16}
    adapter = load_file(tmp_path / ADAPTER / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in adapter.values()} == {torch.float32}


def test_the_reference_of_dpo_is_the_student_without_its_adapter() -> None:
    ends = []
    for lora in (None, LORA):
        tokenizer, model = small()
        pairs = pairs_of(tokenizer, [(prompt, right, right[::-1] + "b") for prompt, right in ANSWERS])
        how = PairSettings(contrastive=Contrastive.DPO, weight=5.0, dpo_beta=2.0)
        result = train_on_pairs(
            model,
            pairs,
            everything(len(pairs)),
            settings(lora=lora, steps=12, batch_size=6),
            tokenizer.pad_token_id,
            None,
            how,
        )
        first, *rest = (note.measures["loss/contrastive"] for note in result.notes)
        assert first == pytest.approx(0.693147, abs=1e-4)  # ln 2: student and reference are one
        assert min(rest) < first / 2
        ends.append(weights_of(model))
    assert apart(*ends) > 1e-3


def test_layers_that_are_not_there_and_a_missing_peft_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"training.lora.target_modules: .*nowhere"):
        trained(lora={**LORA, "target_modules": ["nowhere"]})
    monkeypatch.setattr("distill.fitting.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install 'code-harness\[lora\]'"):
        see_that_peft_is_there()
    with pytest.raises(MissingDependency):
        trained(lora=LORA)


def test_rows_that_are_too_long_are_left_out_and_counted() -> None:
    tokenizer, model = small()
    rows = rows_of(tokenizer, ANSWERS)  # 4, 8, 6, 14, 4 and 8 tokens
    seen = []
    model.register_forward_pre_hook(lambda _, __, named: seen.append(named["input_ids"].shape[1]), with_kwargs=True)
    stages = everything(len(rows))
    pad = tokenizer.pad_token_id
    assert train(model, rows, stages, settings(max_length=8), pad).left_out == 1
    assert max(seen) == 8
    assert train(model, rows, stages, settings(), pad).left_out == 0
    assert max(seen) == 14
    with pytest.raises(UsageError, match="more than max_length 3 tokens"):
        train(model, rows, stages, settings(max_length=3), pad)


def test_a_pair_is_as_long_as_its_longer_side() -> None:
    tokenizer, model = small()
    pairs = pairs_of(tokenizer, [("a", "b", "cbcbcbcbcb"), ("a", "b", "cc"), ("b", "c", "a")])
    seen = []
    model.register_forward_pre_hook(lambda _, __, named: seen.append(named["input_ids"].shape), with_kwargs=True)
    how = PairSettings(contrastive=Contrastive.DPO)
    wanted = settings(max_length=6, batch_size=1, steps=2)
    result = train_on_pairs(model, pairs, everything(3), wanted, tokenizer.pad_token_id, None, how)
    assert result.left_out == 1
    assert max(width for _, width in seen) == 4  # for the reference, too
    assert {rows for rows, _ in seen} == {2}  # which is computed in batches of the training's size


def test_epochs_and_shares_of_warmup_become_steps() -> None:
    assert settings(steps=None, epochs=3, batch_size=2, gradient_accumulation_steps=4).steps_for(20) == 8
    assert settings(steps=None, epochs=0.5).steps_for(1) == 1
    assert settings(steps=7).steps_for(20) == 7
    assert [settings(warmup_steps=share).warmup_of(200) for share in (0, 0.03, 1, 20)] == [0, 6, 1, 20]
    tokenizer, model = small()
    rows = rows_of(tokenizer, ANSWERS)
    wanted = settings(steps=None, epochs=2, batch_size=2, max_length=8)
    assert train(model, rows, everything(len(rows)), wanted, tokenizer.pad_token_id).steps == 5  # 2 x 5 rows / 2


def test_a_share_of_warmup_is_a_share_of_the_steps() -> None:
    rates: list[float] = []
    original = torch.optim.AdamW.step

    def noted(self: Any, *arguments: Any, **options: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return original(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", noted)
        trained(steps=8, warmup_steps=0.25, learning_rate=1.0, lr_schedule="constant")
    assert rates == pytest.approx([0.0, 0.5, *[1.0] * 6])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": None}, "either steps or epochs"),
        ({"epochs": 1}, "either steps or epochs"),
        ({"steps": 0}, "at least 1"),
        ({"gradient_accumulation_steps": 0}, "at least 1"),
        ({"steps": None, "epochs": 0}, "epochs is above 0"),
        ({"warmup_steps": -1}, "at least 0"),
        ({"dtype": "float16"}, "one of float32, bfloat16"),
        ({"max_length": 0}, "at least 2 tokens"),
        ({"window": 8, "max_length": 8}, "give steps, and no max_length"),
        ({"window": 8, "steps": None, "epochs": 1}, "give steps, and no max_length"),
        ({"lora": {"r": 0}}, "r and alpha are at least 1"),
        ({"lora": {"dropout": 1}}, "below 1"),
        ({"lora": {"target_modules": []}}, "names of layers"),
        ({"lora": {"rank": 4}}, "unknown field `rank`"),
    ],
)
def test_settings_that_make_no_sense_are_said(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        settings(**changes)


def test_after_a_training_its_optimizer_is_gone() -> None:
    made: list[weakref.ref[Any]] = []
    original = torch.optim.AdamW.__init__

    def noted(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        made.append(weakref.ref(self))

    gc.disable()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.optim.AdamW, "__init__", noted)
            trained()
        assert [one() for one in made] == [None]
    finally:
        gc.enable()


RESUMED = {"steps": 8, "batch_size": 1, "gradient_accumulation_steps": 3, "save_steps": 3, "lora": LORA, "seed": 5}


def _resumed(folder: Path) -> dict[str, torch.Tensor]:
    return trained(folder, **RESUMED)


@pytest.mark.slow
def test_a_killed_training_of_adapters_goes_on_to_the_same_student(tmp_path: Path) -> None:
    killed_training(_resumed, 5, tmp_path / "killed")
    assert (tmp_path / "killed" / "stage-00" / "checkpoint-3" / "adapter_config.json").is_file()
    steps: list[int] = []
    original = torch.optim.AdamW.step

    def noted(self: Any, *arguments: Any, **options: Any) -> Any:
        steps.append(1)
        return original(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", noted)
        killed = _resumed(tmp_path / "killed")
    assert len(steps) == 5  # behind the checkpoint
    assert apart(killed, _resumed(tmp_path / "whole")) == 0


def test_a_finished_training_of_adapters_called_again_gives_the_same_student(tmp_path: Path) -> None:
    first = trained(tmp_path, lora=LORA, save_steps=2)  # as when killed before the student is saved
    assert apart(trained(tmp_path, lora=LORA, save_steps=2), first) == 0


def test_a_row_is_as_long_as_its_tokens() -> None:
    assert replace(Row(tokens=(1, 2)), tokens=(1, 2, 3)).length == 3
