"""An encoder that tells the tiers of tasks: the head for classes, trained on tasks whose tiers are known.

A prediction is what the head finds likeliest at one of the exits. Tasks whose tier was learnt are refused.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.config import load_file
from distill.encoder_input import batches_by_length, packed, padded, text_tokens
from distill.encoder_objectives import Classes, LabelledRow
from distill.encoder_scores import Learning
from distill.encoder_settings import TuneTiers
from distill.encoder_training import SETTINGS, EncoderReport, Material, longest_text, trained_encoder
from distill.lessons import LeakageError
from distill.tier_tasks import TieredTask, TierTasks, tier_tasks, told_by
from harness import (
    Benchmark,
    TaskTier,
    TierKind,
    Tiers,
    TierSource,
    UsageError,
    digest_of,
    find_checkpoint,
    write_whole,
)

LEARNT = "learnt.jsonl"
_BATCH_SIZE = 32


def tune_tiers(config: TuneTiers, out: Path) -> EncoderReport:
    """Train to tell the tiers of tasks, and write which tasks were learnt beside the checkpoint.

    Raises what `distill.tier_tasks.tier_tasks` and `distill.encoder_training.trained_encoder` do.
    """
    tasks = tier_tasks(config)
    material = Material(texts=_texts(tasks), digest=tasks.digest, read=tasks.read, contamination=tasks.leaks)

    def learning(model: Any, tokenizer: Any) -> Learning:
        _name_classes(model, tasks.tiers)
        longest = longest_text(model, config)
        rows, looked_at = (_rows(tokenizer, some, tasks.tiers, longest) for some in (tasks.train, tasks.dev))
        # Whole batches are measured, and one source comes behind another.
        random.Random(config.seed).shuffle(looked_at)
        return Learning(rows=rows, looked_at=looked_at, objective=Classes(config.exits))

    report = trained_encoder(config, out, material, learning)
    lines = [json.dumps({"task_id": one.name, "tier": one.tier}) + "\n" for one in (*tasks.train, *tasks.dev)]
    write_whole(out / LEARNT, "".join(lines))
    return report


def predicted_tiers(benchmark: Benchmark, model: str, exit: int | None = None) -> Tiers:
    """Return the tiers that an encoder of `tune_tiers` tells at an exit (None: the last that has learnt).

    Raises UsageError for a model that is none or an exit that has not learnt, LeakageError for a task that was learnt.
    """
    from distill.encoder import load_encoder

    folder = find_checkpoint(model).folder
    if not (folder / LEARNT).is_file():
        raise UsageError(f"{model} has learnt no tiers: train one with `harness distill encoder tiers`")
    config = load_file(folder / SETTINGS, TuneTiers)
    learnt = {json.loads(line)["task_id"] for line in (folder / LEARNT).read_bytes().splitlines()}
    if known := sorted(learnt.intersection(task.task_id for task in benchmark.tasks)):
        raise LeakageError(f"the tier of {known[0]} is one that {model} has learnt: predict those of other tasks")
    encoder, tokenizer = load_encoder(folder)
    chosen = encoder.config.exit_layers[encoder.exit_place(config.exits.only if exit is None else exit)]
    if config.exits.only not in (None, chosen):
        raise UsageError(f"exit {chosen} of {model} has learnt no tiers: use {config.exits.only}")
    parts = [told_by(task, config.sees) for task in benchmark.tasks]
    tiers = _told(encoder, tokenizer, parts, chosen, longest_text(encoder, config))
    settings = {
        "predicted_by": f"{model}, exit {chosen}",
        "sees": config.sees.value,
        "learnt_of": ", ".join(one.tasks for one in config.known),
    }
    return Tiers(
        benchmark=benchmark.name,
        dataset_digest=benchmark.digest,
        source=TierSource(kind=TierKind.PREDICTED, settings=settings, digest=digest_of(folder)),
        tasks=tuple(
            TaskTier(task_id=task.task_id, tier=tier) for task, tier in zip(benchmark.tasks, tiers, strict=True)
        ),
    )


def _texts(tasks: TierTasks) -> list[str]:
    return ["\n".join(one.parts) for one in tasks.train]


def _name_classes(model: Any, names: Sequence[str]) -> None:
    """Give the encoder a class for each tier, whatever it told apart before."""
    from torch import nn

    shared, _ = model.class_head
    out = nn.Linear(model.config.hidden_size, len(names))
    nn.init.normal_(out.weight, std=model.config.initializer_range)
    nn.init.zeros_(out.bias)
    model.class_head = nn.ModuleList([shared, out.to(device=model.device, dtype=model.dtype)])
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: place for place, name in enumerate(names)}


def _rows(tokenizer: Any, tasks: Sequence[TieredTask], tiers: Sequence[str], longest: int) -> list[LabelledRow]:
    packed_parts = _packed(tokenizer, [one.parts for one in tasks], longest)
    return [
        LabelledRow(tokens=row, label=tiers.index(one.tier))
        for row, one in zip(packed_parts, tasks, strict=True)
        if one.tier in tiers
    ]


def _packed(tokenizer: Any, parts: Sequence[Sequence[str]], longest: int) -> list[tuple[int, ...]]:
    """Return `<sep> part <sep> part <cls>` for each task; what does not fit loses its end."""
    flat = text_tokens(tokenizer, [part for one in parts for part in one], longest)
    each = len(parts[0]) if parts else 1
    return [packed(tokenizer, flat[start : start + each], longest) for start in range(0, len(flat), each)]


def _told(model: Any, tokenizer: Any, parts: Sequence[Sequence[str]], exit: int, longest: int) -> list[str]:
    """Return the likeliest class of each task at an exit."""
    import torch

    rows = _packed(tokenizer, parts, longest)
    found = [""] * len(rows)
    place = model.exit_place(exit)
    model.eval()
    with torch.inference_mode():
        for chosen in batches_by_length(rows, _BATCH_SIZE):
            batch = padded([rows[one] for one in chosen], tokenizer.pad_token_id)
            here = {name: tensor.to(model.device) for name, tensor in batch.items()}
            likeliest = model.class_logits(model(**here, exit=exit).exit_vectors[-1], place).argmax(-1)
            for one, label in zip(chosen, likeliest.tolist(), strict=True):
                found[one] = model.config.id2label[label]
    return found
