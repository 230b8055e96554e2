"""The losses of pairs beside TRL's trainers: the same tiny models, the same tokens, one batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    pytest.importorskip("trl")

import torch

from distill.pairs import Contrastive, Pair, PairObjective, PairSettings, with_references
from distill.scratch import ModelRecipe, TokenizerRecipe, build_model, make_tokenizer
from distill.training import Row

pytestmark = [pytest.mark.hf, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # TRL warns, and imports slowly

TEXTS = [
    {"prompt": "add a b:", "chosen": "a+b", "rejected": "a-b+0"},
    {"prompt": "neg:", "chosen": "return -a", "rejected": "a"},
    {"prompt": "one:", "chosen": "1", "rejected": "return one or two"},
]
SHAPE = ModelRecipe(
    family="llama",
    fields={
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,  # far from uniform, so that a wrong mask shows
    },
)
WEIGHT, TOLERANCE = 0.25, 1e-5
TOKENIZER = make_tokenizer(TokenizerRecipe(kind="characters"), ("".join(text.values()) for text in TEXTS))


def model_of(seed: int) -> Any:
    return build_model(SHAPE, TOKENIZER, seed)


def settings_of(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": len(TEXTS),
        "max_length": 64,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
    }


def pair_of(prompt: list[int], chosen: list[int], rejected: list[int]) -> Pair:
    weights = (0.0,) * len(prompt) + (1.0,) * len(chosen)
    return Pair(
        prompt=len(prompt), chosen=Row(tokens=(*prompt, *chosen), weights=weights), rejected=(*prompt, *rejected)
    )


def loss_and_gradient(model: Any, loss: Callable[[], Any]) -> tuple[float, torch.Tensor]:
    model.zero_grad()
    value = loss()
    value.backward()
    return value.item(), torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def agree(ours: tuple[float, torch.Tensor], theirs: tuple[float, torch.Tensor]) -> None:
    assert ours[0] == pytest.approx(theirs[0], abs=TOLERANCE)
    assert torch.allclose(ours[1], theirs[1], atol=TOLERANCE)
    assert ours[1].abs().max() > 100 * TOLERANCE


def test_dpo_with_the_supervised_loss_is_trls(tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    model, reference = model_of(1), model_of(2)
    arguments = DPOConfig(
        **settings_of(tmp_path),
        beta=0.3,
        loss_type=["sigmoid", "sft"],
        loss_weights=[WEIGHT, 1.0],
        disable_dropout=True,
    )
    trainer = DPOTrainer(
        model=model,
        ref_model=reference,
        args=arguments,
        train_dataset=Dataset.from_list(TEXTS),
        processing_class=TOKENIZER,
    )
    rows = [trainer.train_dataset[place] for place in range(len(TEXTS))]
    batch = trainer.data_collator(rows)
    theirs = loss_and_gradient(model, lambda: trainer.compute_loss(model, batch))
    pairs = [pair_of(row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]) for row in rows]
    assert all(pair.tokens[-1] == pair.rejected[-1] == TOKENIZER.eos_token_id for pair in pairs)
    ours = PairObjective(PairSettings(contrastive=Contrastive.DPO, dpo_beta=0.3, weight=WEIGHT))
    collated = ours.collate(with_references(reference, pairs, 0), 0)
    agree(loss_and_gradient(model, lambda: ours.loss(model, collated)), theirs)


def test_the_margin_loss_with_the_supervised_loss_is_trls_simpo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    from datasets import Dataset
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    model = model_of(1)
    arguments = CPOConfig(
        **settings_of(tmp_path),
        beta=2.0,
        loss_type="simpo",
        simpo_gamma=0.5,
        cpo_alpha=1 / WEIGHT,  # TRL weighs the supervised loss, and we the other
        max_completion_length=32,
        remove_unused_columns=False,
    )
    trainer = CPOTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(TEXTS), processing_class=TOKENIZER
    )
    rows = [trainer.train_dataset[place] for place in range(len(TEXTS))]
    batch = trainer.data_collator(rows)
    theirs = loss_and_gradient(model, lambda: WEIGHT * trainer.compute_loss(model, batch))
    pairs = []
    for row in rows:
        prompt = row["prompt_input_ids"]
        answers = (row[f"{side}_input_ids"] for side in ("chosen", "rejected"))
        pairs.append(pair_of(prompt, *(answer[len(prompt) :] for answer in answers)))
    ours = PairObjective(PairSettings(contrastive=Contrastive.MARGIN, weight=WEIGHT))
    collated = ours.collate(pairs, 0)
    agree(loss_and_gradient(model, lambda: ours.loss(model, collated)), theirs)
    measured, logged = ours.measures(), trainer._stored_metrics["train"]
    for name in ("logps/chosen", "logps/rejected"):
        assert measured[name] == pytest.approx(logged[name][0], abs=TOLERANCE)
