"""What each exit of an encoder comes to on rows that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import msgspec
import numpy as np

from distill.code_data import Snippet
from distill.encoder_settings import PretrainEncoder, TuneClasses, TuneRetrieval, TuneTiers
from distill.objective import Example, Objective

Settings = PretrainEncoder | TuneRetrieval | TuneClasses | TuneTiers
Instructions = tuple[str | None, str | None]


class ExitMeasures(msgspec.Struct, frozen=True, kw_only=True):
    """What an exit came to on the packages that are looked at: means by name; an `mrr` is over all their pairs."""

    exit: int
    measures: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Descriptions that each ask for their own code among all of it, behind the instructions for either."""

    name: str
    snippets: Sequence[Snippet]
    instructions: Instructions


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What is learnt from what: rows to train on, rows to look at, and the objective; `asking` for its MRR."""

    rows: Sequence[Example]
    looked_at: Sequence[Example]
    objective: Objective
    asking: Sequence[Asking] = ()


def exit_measures(model: Any, tokenizer: Any, learnt: Learning, config: Settings) -> tuple[ExitMeasures, ...]:
    """Return the objective's measures of each exit that learns on the rows to look at, without dropout, and its MRR."""
    exits = model.config.exit_layers if config.exits.only is None else [config.exits.only]
    found: dict[int, dict[str, list[float]]] = {exit: {} for exit in exits}
    for name, value in _measured(model, tokenizer, learnt, config):
        kind, _, exit = name.partition("/")
        found[int(exit)].setdefault(kind, []).append(value)
    return tuple(
        ExitMeasures(
            exit=exit,
            measures={kind: sum(values) / len(values) for kind, values in measured.items()}
            | {asking.name: reciprocal_rank(model, tokenizer, exit, asking) for asking in learnt.asking},
        )
        for exit, measured in found.items()
    )


def _measured(model: Any, tokenizer: Any, learnt: Learning, config: Settings) -> list[tuple[str, float]]:
    """Return what the objective measures on whole batches of the rows to look at, by its names."""
    import torch

    found: list[tuple[str, float]] = []
    rows = learnt.looked_at
    size = min(config.training.batch_size, max(1, len(rows)))
    training = model.training
    model.eval()
    learnt.objective.measures()  # what the training has left over
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(config.seed)
        for start in range(0, len(rows) - size + 1, size):
            batch = learnt.objective.collate(rows[start : start + size], tokenizer.pad_token_id)
            learnt.objective.loss(model, {name: tensor.to(model.device) for name, tensor in batch.items()})
            found += learnt.objective.measures().items()
    model.train(training)
    return found


def reciprocal_rank(model: Any, tokenizer: Any, exit: int, asking: Asking) -> float:
    """Return the mean of 1/rank of each description's own code among all of it; what is equally near ranks before."""
    asked, shown = asking.instructions
    snippets = sorted(asking.snippets, key=lambda one: one.language)
    queries = model.encode([one.description for one in snippets], tokenizer=tokenizer, exit=exit, instruction=asked)
    codes = np.concatenate(
        [
            model.encode(
                [one.code for one in some], tokenizer=tokenizer, exit=exit, instruction=shown_as(shown, language)
            )
            for language, some in groupby(snippets, key=lambda one: one.language)
        ]
    )
    scores = queries @ codes.T
    return float((1 / (scores >= scores.diagonal()[:, None]).sum(1)).mean())


def shown_as(instruction: str | None, language: str) -> str | None:
    """Return an instruction with the language in the place of `{language}`."""
    return instruction and instruction.replace("{language}", language)
