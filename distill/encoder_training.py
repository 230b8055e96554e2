"""Training the multi-exit encoder: pretraining, retrieval, and telling clones, in the one training loop there is.

Each writes an ordinary checkpoint with `encoder.yaml` (the settings) and `training.json` (`EncoderReport`) beside it.
Killed and called again it goes on; called again when it is done, it returns what it came to.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from distill.code_data import PYTHON, Split
from distill.code_rows import clone_rows, clone_rows_of_folder, context_rows, pair_rows
from distill.code_sources import CodeData, code_data, described
from distill.code_translations import translations
from distill.config import dump
from distill.curriculum import Stage
from distill.decontaminate import Decontamination
from distill.encoder_files import save_encoder
from distill.encoder_input import MEAN
from distill.encoder_objectives import Bags, Classes, Contrast, MaskedContext, PairedRows
from distill.encoder_scores import Asking, ExitMeasures, Learning, Settings, exit_measures, shown_as
from distill.encoder_settings import BagSettings, PretrainEncoder, TuneClasses, TuneRetrieval
from distill.encoder_start import started
from distill.objective import Example
from distill.training import TrainResult, train
from harness import UsageError, digest_of, find_checkpoint

REPORT, SETTINGS, TRAINING = "training.json", "encoder.yaml", "training"
_LEARNT = (Split.TRAIN, Split.DEV)
Made = Callable[[Any, Any], Learning]  # from an encoder and its tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What an encoder learns of: texts to make tokens of, and the SHA-256 over all of it.

    Of all that was `read`, `duplicates` were left out, and what `contamination` lists.
    """

    texts: Sequence[str] = ()
    digest: str = ""
    read: int = 0
    duplicates: int = 0
    contamination: Decontamination | None = None


class EncoderReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a training saw and came to. `inputs` is the SHA-256 of settings, first weights and code.

    Of the snippets `read`, `duplicates` were left out, and what `contamination` lists.
    """

    inputs: str
    parameters: int
    rows: int
    steps: int
    tokens: int
    seconds: float
    last_loss: float | None
    exits: tuple[ExitMeasures, ...]
    read: int = 0
    duplicates: int = 0
    contamination: Decontamination | None = None


def pretrain_encoder(config: PretrainEncoder, out: Path) -> EncoderReport:
    """Train on masked tokens and contexts. Raises UsageError where there is too little code."""
    data = code_data(config.data, documented=False)

    def learning(model: Any, tokenizer: Any) -> Learning:
        longest, chance = longest_text(model, config), random.Random(config.seed)
        rows = context_rows(tokenizer, data.train, config.snippets, longest, chance)
        looked_at = _dev_contexts(tokenizer, data, config, longest)
        return Learning(
            rows=rows, looked_at=looked_at, objective=MaskedContext(config.masking, config.exits, tokenizer)
        )

    return trained_encoder(config, out, _material(data), learning)


def _dev_contexts(tokenizer: Any, data: CodeData, config: PretrainEncoder, longest: int) -> Sequence[Example]:
    if len({one.package for one in data.dev}) < config.snippets:
        return ()
    return context_rows(tokenizer, data.dev, config.snippets, longest, random.Random(config.seed))


def tune_retrieval(config: TuneRetrieval, out: Path) -> EncoderReport:
    """Train descriptions to find their functions, and programs their translations.

    The report has the MRR of each exit on what is only looked at: `mrr`, and `mrr_translations` for code to code.
    """
    data = code_data(config.data, documented=True)
    asked, shown = config.query_instruction, config.code_instruction
    translated = translations(config.translations, config.seed) if config.translations else []
    kinds = (
        Asking(name="mrr", snippets=data.train + data.dev, instructions=(asked, shown)),
        Asking(name="mrr_translations", snippets=translated, instructions=(shown_as(shown, PYTHON), shown)),
    )

    def learning(model: Any, tokenizer: Any) -> Learning:
        model.config.query_instruction, model.config.code_instruction = asked, shown
        train, dev = ([part for kind in kinds if (part := _of_split(kind, split)).snippets] for split in _LEARNT)
        longest, chance = longest_text(model, config), random.Random(config.seed)
        rows, looked_at = (_pairs(tokenizer, parts, config, longest, chance) for parts in (train, dev))
        if config.bag is not None:
            learn_bags(model, rows, config.bag, config, tokenizer.pad_token_id)
        objective = Contrast(config.contrast, config.exits)
        return Learning(rows=rows, looked_at=looked_at, objective=objective, asking=dev)

    return trained_encoder(config, out, _material(data), learning)


def learn_bags(model: Any, rows: Sequence[PairedRows], bag: BagSettings, config: TuneRetrieval, pad: int) -> None:
    """Learn the embeddings of tokens by what `config` has pairs told by, before any layer. Nothing of it is kept.

    Raises UsageError for an encoder that pools otherwise.
    """
    if model.config.pooling != MEAN:
        raise UsageError("bag: tokens alone say nothing where <cls> stands for a text; set start.fields.pooling=mean")
    how = msgspec.structs.replace(
        config.training,
        steps=bag.steps,
        epochs=None,
        batch_size=bag.batch_size,
        gradient_accumulation_steps=1,
        learning_rate=bag.learning_rate,
        lr_schedule="linear",
        warmup_steps=0,
    )
    everything = Stage(name="bags", examples=tuple(range(len(rows))), share=1.0, shuffled=True)
    train(model, rows, (everything,), how, pad, None, Bags(config.contrast, config.exits))


def _of_split(kind: Asking, split: Split) -> Asking:
    return Asking(
        name=kind.name, instructions=kind.instructions, snippets=[one for one in kind.snippets if one.split is split]
    )


def _pairs(
    tokenizer: Any, parts: Sequence[Asking], config: TuneRetrieval, longest: int, chance: random.Random
) -> list[PairedRows]:
    hard, renamed = config.contrast.hard_negatives, config.contrast.replace > 0
    return [
        row
        for part in parts
        for row in pair_rows(tokenizer, part.snippets, longest, part.instructions, hard, chance, renamed)
    ]


def tune_classes(config: TuneClasses, out: Path) -> EncoderReport:
    """Train to tell clones from other pairs of code."""
    data = None if config.clones else code_data(config.data, documented=False)

    def learning(model: Any, tokenizer: Any) -> Learning:
        longest, chance = longest_text(model, config), random.Random(config.seed)
        if data is None:
            rows, looked_at = clone_rows_of_folder(tokenizer, Path(str(config.clones)), longest), []
        else:
            rows, looked_at = (clone_rows(tokenizer, some, longest, chance) for some in (data.train, data.dev))
        return Learning(rows=rows, looked_at=looked_at, objective=Classes(config.exits))

    return trained_encoder(config, out, _material(data), learning)


def _material(data: CodeData | None) -> Material:
    if data is None:
        return Material()
    return Material(
        texts=described(data),
        digest=data.digest,
        read=data.read,
        duplicates=data.duplicates,
        contamination=data.leaks,
    )


def trained_encoder(config: Settings, out: Path, material: Material, learning: Made) -> EncoderReport:
    """Make or load the encoder, train it on what `learning` makes of it and its tokenizer, and write the checkpoint.

    Raises UsageError for a folder with an encoder of other settings or other material.
    """
    inputs = _digest(config, material)
    if (done := _finished(out, inputs)) is not None:
        return done
    model, tokenizer = started(config.start, material.texts, config.seed)
    learnt = learning(model, tokenizer)
    everything = Stage(name="rows", examples=tuple(range(len(learnt.rows))), share=1.0, shuffled=True)
    folder = out / TRAINING / inputs[:16]
    result = train(model, learnt.rows, (everything,), config.training, tokenizer.pad_token_id, folder, learnt.objective)
    exits = exit_measures(model, tokenizer, learnt, config)
    save_encoder(model, tokenizer, out, config.save_as)
    (out / SETTINGS).write_text(dump(config), encoding="utf-8")
    report = _report(inputs, model, result, learnt, exits, material)
    (out / REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    shutil.rmtree(out / TRAINING)  # only needed to go on
    return report


def _report(
    inputs: str,
    model: Any,
    result: TrainResult,
    learnt: Learning,
    exits: tuple[ExitMeasures, ...],
    material: Material,
) -> EncoderReport:
    return EncoderReport(
        inputs=inputs,
        parameters=int(model.num_parameters()),
        rows=len(learnt.rows),
        steps=result.steps,
        tokens=result.tokens,
        seconds=result.seconds,
        last_loss=result.losses[-1] if result.losses else None,
        exits=exits,
        read=material.read,
        duplicates=material.duplicates,
        contamination=material.contamination,
    )


def _digest(config: Settings, material: Material) -> str:
    first = digest_of(find_checkpoint(config.start.model).folder) if config.start.model else ""
    return hashlib.sha256(f"{dump(config)}\n{first}\n{material.digest}".encode()).hexdigest()


def _finished(out: Path, inputs: str) -> EncoderReport | None:
    path = out / REPORT
    if not path.is_file():
        return None
    report = msgspec.json.decode(path.read_bytes(), type=EncoderReport)
    if report.inputs != inputs:
        raise UsageError(f"{out} holds an encoder of other settings or other code: give another --out")
    return report


def longest_text(model: Any, config: Settings) -> int:
    """Return how many tokens of a text are read. Raises UsageError for more than the encoder's context holds."""
    context = int(model.config.max_position_embeddings)
    if config.max_length is not None and config.max_length > context:
        raise UsageError(f"max_length {config.max_length}: the encoder's context holds {context} tokens")
    return config.max_length or context
