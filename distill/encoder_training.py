"""Training the multi-exit encoder: pretraining, retrieval, and telling clones, in the one training loop there is.

Each writes an ordinary checkpoint with `encoder.yaml` (the settings) and `training.json` (`EncoderReport`) beside it.
Killed and called again it goes on; called again when it is done, it returns what it came to.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from distill.code_data import Snippet
from distill.code_rows import clone_rows, clone_rows_of_folder, context_rows, pair_rows
from distill.code_sources import CodeData, code_data, described
from distill.config import dump
from distill.curriculum import Stage
from distill.decontaminate import Decontamination
from distill.encoder_files import save_encoder
from distill.encoder_objectives import Classes, Contrast, MaskedContext
from distill.encoder_settings import EncoderStart, EncoderTokenizer, PretrainEncoder, TuneClasses, TuneRetrieval
from distill.objective import Example, Objective
from distill.scratch import bpe_tokenizer
from distill.training import TrainResult, train
from harness import MissingDependency, UsageError, digest_of, find_checkpoint

REPORT, SETTINGS, TRAINING = "training.json", "encoder.yaml", "training"
Settings = PretrainEncoder | TuneRetrieval | TuneClasses


class ExitMeasures(msgspec.Struct, frozen=True, kw_only=True):
    """What an exit came to on the packages that are looked at: means by name; `mrr` is over all pairs of them."""

    exit: int
    measures: dict[str, float]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learning:
    """What is learnt from what: rows to train on, rows to look at, and the objective. `dev` are described snippets."""

    rows: Sequence[Example]
    looked_at: Sequence[Example]
    objective: Objective
    dev: Sequence[Snippet] = ()


def pretrain_encoder(config: PretrainEncoder, out: Path) -> EncoderReport:
    """Train on masked tokens and contexts. Raises UsageError where there is too little code."""
    data = code_data(config.data, documented=False)

    def learning(model: Any, tokenizer: Any) -> _Learning:
        longest, chance = _longest(model, config), random.Random(config.seed)
        rows = context_rows(tokenizer, data.train, config.snippets, longest, chance)
        looked_at = _dev_contexts(tokenizer, data, config, longest)
        return _Learning(
            rows=rows, looked_at=looked_at, objective=MaskedContext(config.masking, config.exits, tokenizer)
        )

    return _trained(config, out, data, learning)


def _dev_contexts(tokenizer: Any, data: CodeData, config: PretrainEncoder, longest: int) -> Sequence[Example]:
    if len({one.package for one in data.dev}) < config.snippets:
        return ()
    return context_rows(tokenizer, data.dev, config.snippets, longest, random.Random(config.seed))


def tune_retrieval(config: TuneRetrieval, out: Path) -> EncoderReport:
    """Train descriptions to find their functions. The report has the MRR of each exit on the dev packages' pairs."""
    data = code_data(config.data, documented=True)
    asked = config.query_instruction, config.code_instruction

    def learning(model: Any, tokenizer: Any) -> _Learning:
        model.config.query_instruction, model.config.code_instruction = asked
        longest, chance = _longest(model, config), random.Random(config.seed)
        rows, looked_at = (
            pair_rows(tokenizer, some, longest, asked, config.contrast.hard_negatives, chance) if some else []
            for some in (data.train, data.dev)
        )
        objective = Contrast(config.contrast, config.exits)
        return _Learning(rows=rows, looked_at=looked_at, objective=objective, dev=data.dev)

    return _trained(config, out, data, learning)


def tune_classes(config: TuneClasses, out: Path) -> EncoderReport:
    """Train to tell clones from other pairs of code."""
    data = None if config.clones else code_data(config.data, documented=False)

    def learning(model: Any, tokenizer: Any) -> _Learning:
        longest, chance = _longest(model, config), random.Random(config.seed)
        if data is None:
            rows, looked_at = clone_rows_of_folder(tokenizer, Path(str(config.clones)), longest), []
        else:
            rows, looked_at = (clone_rows(tokenizer, some, longest, chance) for some in (data.train, data.dev))
        return _Learning(rows=rows, looked_at=looked_at, objective=Classes(config.exits))

    return _trained(config, out, data, learning)


def _trained(config: Settings, out: Path, data: CodeData | None, learning: Any) -> EncoderReport:
    """Make or load the encoder, train it on what `learning` makes of it and its tokenizer, and write the checkpoint."""
    inputs = _digest(config, data)
    if (done := _finished(out, inputs)) is not None:
        return done
    model, tokenizer = started(config.start, described(data) if data else [], config.seed)
    learnt: _Learning = learning(model, tokenizer)
    everything = Stage(name="rows", examples=tuple(range(len(learnt.rows))), share=1.0, shuffled=True)
    folder = out / TRAINING / inputs[:16]
    result = train(model, learnt.rows, (everything,), config.training, tokenizer.pad_token_id, folder, learnt.objective)
    exits = looked_at(model, tokenizer, learnt, config)
    save_encoder(model, tokenizer, out, config.save_as)
    (out / SETTINGS).write_text(dump(config), encoding="utf-8")
    report = _report(inputs, model, result, learnt, exits, data)
    (out / REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    shutil.rmtree(out / TRAINING)  # only needed to go on
    return report


def _report(
    inputs: str,
    model: Any,
    result: TrainResult,
    learnt: _Learning,
    exits: tuple[ExitMeasures, ...],
    data: CodeData | None,
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
        read=data.read if data else 0,
        duplicates=data.duplicates if data else 0,
        contamination=data.leaks if data else None,
    )


def _digest(config: Settings, data: CodeData | None) -> str:
    first = digest_of(find_checkpoint(config.start.model).folder) if config.start.model else ""
    return hashlib.sha256(f"{dump(config)}\n{first}\n{data.digest if data else ''}".encode()).hexdigest()


def _finished(out: Path, inputs: str) -> EncoderReport | None:
    path = out / REPORT
    if not path.is_file():
        return None
    report = msgspec.json.decode(path.read_bytes(), type=EncoderReport)
    if report.inputs != inputs:
        raise UsageError(f"{out} holds an encoder of other settings or other code: give another --out")
    return report


def _longest(model: Any, config: Settings) -> int:
    context = int(model.config.max_position_embeddings)
    if config.max_length is not None and config.max_length > context:
        raise UsageError(f"max_length {config.max_length}: the encoder's context holds {context} tokens")
    return config.max_length or context


def started(start: EncoderStart, texts: Sequence[str], seed: int) -> tuple[Any, Any]:
    """Return the encoder to train and its tokenizer. Random weights are the same for the same seed.

    Raises UsageError for a shape that makes no sense or a checkpoint that is none, MissingDependency without
    transformers 5.
    """
    import torch

    try:
        from distill.encoder import MultiExitEncoder, MultiExitEncoderConfig, load_encoder
    except ImportError as error:
        raise MissingDependency(
            f"encoders need transformers 5: pip install 'code-harness[retrieval]' ({error})"
        ) from error

    torch.manual_seed(seed)  # for heads too that a checkpoint has in another size
    if start.model is not None:
        return load_encoder(find_checkpoint(start.model).folder, **start.fields)
    tokenizer = _tokenizer(start.tokenizer or EncoderTokenizer(vocabulary=257), texts)
    known = vars(MultiExitEncoderConfig())
    if unknown := sorted(field for field in start.fields if field not in known):
        raise UsageError(f"an encoder has no {unknown[0]!r} in its configuration")
    try:
        config = MultiExitEncoderConfig(
            **{"pad_token_id": tokenizer.pad_token_id} | start.fields | {"vocab_size": len(tokenizer)}
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"no encoder of that shape: {str(error).splitlines()[0]}") from error
    return MultiExitEncoder(config), tokenizer


def _tokenizer(recipe: EncoderTokenizer, texts: Sequence[str]) -> Any:
    from transformers import AutoTokenizer

    from distill.encoder_input import with_special_tokens

    if recipe.vocabulary is not None:
        if not texts:
            raise UsageError("start.tokenizer.vocabulary makes tokens of code, and there is none: give a name")
        return with_special_tokens(bpe_tokenizer(texts, recipe.vocabulary))
    return with_special_tokens(AutoTokenizer.from_pretrained(str(find_checkpoint(str(recipe.name)).folder)))


def looked_at(model: Any, tokenizer: Any, learnt: _Learning, config: Settings) -> tuple[ExitMeasures, ...]:
    """Return the objective's measures of each exit on the rows that are only looked at, without dropout."""
    import torch

    found: dict[int, dict[str, list[float]]] = {one: {} for one in _learning_exits(model, config)}
    training, size = model.training, min(config.training.batch_size, max(1, len(learnt.looked_at)))
    model.eval()
    learnt.objective.measures()  # what the training has left over
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(config.seed)
        for start in range(0, len(learnt.looked_at) - size + 1, size):
            batch = learnt.objective.collate(learnt.looked_at[start : start + size], tokenizer.pad_token_id)
            learnt.objective.loss(model, {name: tensor.to(model.device) for name, tensor in batch.items()})
            for name, value in learnt.objective.measures().items():
                kind, _, exit = name.partition("/")
                found[int(exit)].setdefault(kind, []).append(value)
    model.train(training)
    mrr = _mrr(model, tokenizer, learnt.dev, found, config) if isinstance(config, TuneRetrieval) and learnt.dev else {}
    return tuple(
        ExitMeasures(
            exit=exit,
            measures={kind: sum(values) / len(values) for kind, values in by_kind.items()} | mrr.get(exit, {}),
        )
        for exit, by_kind in found.items()
    )


def _learning_exits(model: Any, config: Settings) -> Sequence[int]:
    return model.config.exit_layers if config.exits.only is None else [config.exits.only]


def _mrr(
    model: Any, tokenizer: Any, dev: Sequence[Snippet], exits: Any, config: TuneRetrieval
) -> dict[int, dict[str, float]]:
    """Return the mean reciprocal rank of each description's own function among all, by exit; ties rank last."""
    found = {}
    for exit in exits:
        queries = model.encode(
            [one.description for one in dev], tokenizer=tokenizer, exit=exit, instruction=config.query_instruction
        )
        asked = (config.code_instruction or "").replace("{language}", dev[0].language) or None
        codes = model.encode([one.code for one in dev], tokenizer=tokenizer, exit=exit, instruction=asked)
        scores = queries @ codes.T
        ranks = (scores >= scores.diagonal()[:, None]).sum(1)
        found[exit] = {"mrr": float((1 / ranks).mean())}
    return found
