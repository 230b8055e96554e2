"""Train a model from scratch on training tasks: how the embedded demo models and those of word problems are made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from distill.config import dump
from distill.curriculum import Stage
from distill.documents import PretrainData, documents_of, tasks_of, texts_for_tokens
from distill.scratch import SAVED_TYPES, ModelRecipe, TokenizerRecipe, build_model, make_tokenizer, save
from distill.training import TrainResult, TrainSettings, train


class PretrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model from scratch. `prompt_weight` is how much a prompt's tokens count in the loss, beside 1 for the answer's.

    With `alone`, such a share of the steps (0..1) comes first, on each task by itself, and the documents of several
    after it: what a program takes from its question is soon learnt from short texts, and late or never from long ones.
    `save_as` is the type of the saved weights; `seed` makes the first weights.
    """

    tokenizer: TokenizerRecipe
    model: ModelRecipe
    data: PretrainData
    training: TrainSettings
    prompt_weight: float = 0.0
    alone: float = 0.0
    save_as: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.save_as not in SAVED_TYPES:
            raise ValueError(f"save_as {self.save_as!r}: one of {', '.join(SAVED_TYPES)}")
        if not 0 <= self.alone < 1:
            raise ValueError("alone is a share of the steps: at least 0 and below 1")
        if self.alone and self.data.problems == 1:
            raise ValueError("alone: each task is a document of its own anyway; give data.problems above 1")


def pretrain(config: PretrainConfig, out: Path) -> TrainResult:
    """Train as the recipe says and write the checkpoint to `out`, with `pretrain.yaml` and `training.json` beside it.

    The same recipe gives the same model on the same machine and versions. Killed and called again it goes on from
    its last checkpoint, in `out`/training.
    """
    tasks = tasks_of(config.data)
    tokenizer = make_tokenizer(config.tokenizer, texts_for_tokens(config.data, tasks))
    model = build_model(config.model, tokenizer, config.seed)
    rows = documents_of(tokenizer, config.data, tasks, config.prompt_weight)
    stages = [_stage("documents", range(len(rows)), 1 - config.alone)]
    if config.alone:
        by_itself = msgspec.structs.replace(config.data, problems=1, unsolved=0)
        rows = rows + documents_of(tokenizer, by_itself, tasks, config.prompt_weight)
        stages.insert(0, _stage("alone", range(len(rows) - len(tasks), len(rows)), config.alone))
    result = train(model, rows, stages, config.training, tokenizer.pad_token_id, out / "training")
    save(model, tokenizer, out, config.save_as)
    (out / "pretrain.yaml").write_text(dump(config), encoding="utf-8")
    (out / "training.json").write_text(_summary(model, result, rows), encoding="utf-8")
    shutil.rmtree(out / "training")  # only needed to go on
    return result


def _stage(name: str, rows: range, share: float) -> Stage:
    return Stage(name=name, examples=tuple(rows), share=share, shuffled=True)


def _summary(model: Any, result: TrainResult, rows: Sequence[Any]) -> str:
    facts = {
        "parameters": int(model.num_parameters()),
        "rows": len(rows),
        "steps": result.steps,
        "tokens": result.tokens,
        "seconds": result.seconds,
        "last_loss": result.losses[-1] if result.losses else None,
    }
    return json.dumps(facts, indent=2) + "\n"
