"""Training on rows of tokens, in the order that a curriculum's stages give: transformers' Trainer does the work.

A stage begins with a new optimizer and a new learning-rate schedule. Weights of tokens let a loss leave a prompt out,
or count it a little. With a folder, checkpoints are kept there, and the same call goes on where a killed one was.
"""

from __future__ import annotations

import gc
import random
import tempfile
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from distill.checkpoints import last_checkpoint
from distill.curriculum import Stage, draws
from distill.fitting import fitted
from distill.objective import Example, Objective, measures_of, trainer_class
from distill.progress import follower
from distill.train_settings import TrainSettings as TrainSettings
from harness import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One text to train on. `weights` is how much each token counts as a target (None: all 1; the first never does)."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...] | None = None

    @property
    def length(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What was noted at a step, counted over all stages: means over the steps since the note before."""

    step: int
    loss: float
    measures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What training took. `tokens` without padding; `losses` are those of the notes.

    `left_out` counts the rows that were too long (`TrainSettings.max_length`).
    """

    steps: int
    tokens: int
    seconds: float
    losses: tuple[float, ...]
    notes: tuple[Note, ...] = ()
    left_out: int = 0


def train(
    model: Any,
    rows: Sequence[Example],
    stages: Sequence[Stage],
    settings: TrainSettings,
    pad: int,
    folder: Path | None = None,
    objective: Objective | None = None,
) -> TrainResult:
    """Train a causal language model in place, stage by stage, on its device.

    `pad` is the token to fill up a batch with. Without an objective, the loss is the mean cross-entropy of the next
    token (nats) over a step's examples, weighted by `Row.weights`. Raises UsageError when there is nothing to train on,
    and what `fitted` raises.
    """
    if not rows or not any(len(row.tokens) > 1 for row in rows):
        raise UsageError("nothing to train on: no row has two tokens")
    started = time.monotonic()
    minimised: Objective = objective or Supervised()
    fitting = within(rows, stages, settings.max_length)
    total = settings.steps_for(_count(fitting))
    notes: list[Note] = []
    tokens = before = 0
    with fitted(model, settings, folder) as learner:
        for number, (stage, steps) in enumerate(zip(fitting, steps_of(fitting, total), strict=True)):
            if not steps:
                continue
            examples = _examples(rows, stage, settings, steps, settings.first_seed + number)
            tokens += sum(map(minimised.tokens_seen, examples))
            place = folder / f"stage-{number:02}" if folder else None
            for note in _train_stage(learner, examples, settings, steps, pad, place, minimised):
                notes.append(Note(step=before + int(note["step"]), loss=note["loss"], measures=measures_of(note)))
            before += steps
    gc.collect()  # the optimizer's memory hangs in reference cycles of Trainer's, and what comes next may need it
    return TrainResult(
        steps=total,
        tokens=tokens,
        seconds=round(time.monotonic() - started, 3),
        losses=tuple(note.loss for note in notes),
        notes=tuple(notes),
        left_out=_count(stages) - _count(fitting),
    )


def within(rows: Sequence[Example], stages: Sequence[Stage], max_length: int | None) -> Sequence[Stage]:
    """Return stages without the rows of more than `max_length` tokens. Raises UsageError when that leaves one empty."""
    if max_length is None:
        return stages
    short = [
        replace(stage, examples=tuple(one for one in stage.examples if rows[one].length <= max_length))
        for stage in stages
    ]
    if empty := [stage.name for stage in short if not stage.examples]:
        raise UsageError(f"all rows of {empty[0]} have more than max_length {max_length} tokens: raise it")
    return short


def _count(stages: Sequence[Stage]) -> int:
    return len({example for stage in stages for example in stage.examples})


def steps_of(stages: Sequence[Stage], steps: int) -> list[int]:
    """Return each stage's optimizer steps: its share of all, rounded so that they add up."""
    bounds = [0]
    total = sum(stage.share for stage in stages)
    share = 0.0
    for stage in stages:
        share += stage.share
        bounds.append(round(steps * share / total))
    return [after - before for before, after in pairwise(bounds)]


def _examples(
    rows: Sequence[Example], stage: Stage, settings: TrainSettings, steps: int, seed: int
) -> Sequence[Example]:
    """Return what the optimizer sees in this stage, in order: `steps` batches."""
    if settings.window is None:
        lengths = [len(row.tokens) for row in rows]
        return [rows[index] for index in draws(stage, lengths, settings.examples_per_step, steps, seed)]
    if not stage.shuffled:
        raise UsageError(f"stage {stage.name} has an order, and random windows have none: leave the window out")
    chosen = [row for index in stage.examples if isinstance(row := rows[index], Row)]
    if len(chosen) < len(stage.examples):
        raise UsageError("random windows are cut from plain rows: leave the window out")
    return _Windows(chosen, settings.window, steps * settings.examples_per_step, seed)


class _Windows(Sequence[Row]):
    """Random windows of the stream of all rows, each cut when it is asked for: the paper's 8 million fill no memory."""

    def __init__(self, rows: Sequence[Row], width: int, count: int, seed: int) -> None:
        self._width = width
        self._tokens = array("l", chain.from_iterable(row.tokens for row in rows))
        each = (row.weights or (1.0,) * len(row.tokens) for row in rows)
        self._weights = array("f", chain.from_iterable(each)) if any(row.weights for row in rows) else None
        if (room := len(self._tokens) - width) < 0:
            raise UsageError(f"all rows together have {len(self._tokens)} tokens: fewer than one window of {width}")
        chance = random.Random(seed)
        self._starts = array("l", (chance.randrange(room + 1) for _ in range(count)))

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: Any) -> Any:
        start = self._starts[place]
        within = slice(start, start + self._width)
        return Row(
            tokens=tuple(self._tokens[within]),
            weights=None if self._weights is None else tuple(self._weights[within]),
        )


def _train_stage(
    model: Any,
    examples: Sequence[Example],
    settings: TrainSettings,
    steps: int,
    pad: int,
    folder: Path | None,
    objective: Objective,
) -> list[dict[str, float]]:
    """Train one stage and return what was logged on the way, a note for each loss."""
    from transformers import PrinterCallback, TrainingArguments
    from transformers.utils import logging

    logging.disable_progress_bar()  # transformers shows one for every checkpoint

    with tempfile.TemporaryDirectory() as scratch:  # Trainer wants a folder even where it keeps nothing
        arguments = TrainingArguments(
            output_dir=str(folder or scratch),
            max_steps=steps,
            per_device_train_batch_size=settings.batch_size,
            gradient_accumulation_steps=settings.gradient_accumulation_steps,
            learning_rate=settings.learning_rate,
            lr_scheduler_type=_HF_SCHEDULES[settings.lr_schedule],
            warmup_steps=settings.warmup_of(steps),
            weight_decay=settings.weight_decay,
            adam_beta1=settings.adam_beta1,
            adam_beta2=settings.adam_beta2,
            max_grad_norm=settings.max_grad_norm,
            seed=settings.first_seed,
            bf16=settings.bf16,
            train_sampling_strategy="sequential",  # the order is ours: `draws`
            remove_unused_columns=False,
            save_strategy="steps" if folder else "no",
            save_steps=settings.save_steps,
            save_total_limit=1,
            logging_steps=max(1, steps // 100),
            report_to="none",
            disable_tqdm=True,
            use_cpu=model.device.type == "cpu",
            dataloader_pin_memory=model.device.type != "cpu",
        )
        trainer = trainer_class(settings.lr_schedule, objective)(
            model=model,
            args=arguments,
            train_dataset=examples,
            data_collator=partial(objective.collate, pad=pad),
            callbacks=[follower(steps)],
        )
        trainer.remove_callback(PrinterCallback)
        objective.measures()  # what a stage before has left over
        trainer.train(resume_from_checkpoint=last_checkpoint(folder) if folder else None)
        trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # or the next stage computes as this one did
        return [note for note in trainer.state.log_history if "loss" in note]


_HF_SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant_with_warmup",
    "paper": "constant_with_warmup",  # replaced: see `trainer_class`
}


def collate(examples: Sequence[Row], pad: int) -> dict[str, Any]:
    """Return a batch: `input_ids`, `attention_mask` and `weights`, each rows x longest row, filled up on the right."""
    import torch

    width = max(len(row.tokens) for row in examples)
    ids = torch.full((len(examples), width), pad)
    mask = torch.zeros((len(examples), width), dtype=torch.long)
    weights = torch.zeros((len(examples), width))
    for place, row in enumerate(examples):
        length = len(row.tokens)
        ids[place, :length] = torch.tensor(row.tokens)
        mask[place, :length] = 1
        weights[place, :length] = 1.0 if row.weights is None else torch.tensor(row.weights)
    return {"input_ids": ids, "attention_mask": mask, "weights": weights}


def weighted_loss(logits: Any, tokens: Any, weights: Any) -> Any:
    """Return sum_t w_t (-log p(y_t | y_<t)) / sum_t w_t over a batch; the first token of a row is no target.

    `logits` is rows x tokens x vocabulary, the others rows x tokens. Zero where no token counts.
    """
    import torch

    targets, counted = tokens[:, 1:], weights[:, 1:]
    logits = logits[:, :-1].float()  # the logarithms of bfloat16 are too coarse
    each = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    return (each * counted).sum() / counted.sum().clamp(min=torch.finfo(counted.dtype).tiny)


class Supervised:
    """The objective of plain rows: the mean cross-entropy of their tokens, each as much as its weight says."""

    def tokens_seen(self, example: Row) -> int:
        return len(example.tokens)

    def collate(self, examples: Sequence[Row], pad: int) -> dict[str, Any]:
        return collate(examples, pad)

    def loss(self, model: Any, batch: dict[str, Any]) -> Any:
        tokens = batch["input_ids"]
        outputs = model(input_ids=tokens, attention_mask=batch["attention_mask"], use_cache=False)
        return weighted_loss(outputs.logits, tokens, batch["weights"]) * batch.get("share", 1.0)

    def measures(self) -> dict[str, float]:
        return {}
