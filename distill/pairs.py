"""Training on correct and faulty answers to the same prompts, and what a model makes of the two.

Plain rows may stand among the pairs: they are questions without a known fault. All examples' correct sides make the
supervised loss. The terms of the pairs are added up and divided by the number of examples in the batch, so that a pair
teaches as much in whatever company it is drawn; with pairs alone that is their mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from distill import losses
from distill.curriculum import Stage
from distill.rows import prompt_tokens, rows_of
from distill.training import Row, TrainResult, TrainSettings, collate, train
from harness import UsageError

BATCH = 64


class Contrastive(StrEnum):
    """What the pairs add to the supervised loss on their correct side; see `distill.losses`."""

    NONE = "none"
    CHOSEN_ONLY = "chosen-only"
    MARGIN = "margin"
    DPO = "dpo"


class PairSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to train on pairs: L = L_sl + weight * L_cl + unlikelihood * L_ul.

    No contrastive term is the default, since none was measured to be worth its cost (docs/results.md). `beta` and
    `gamma` are those of the margin loss, `dpo_beta` that of DPO. `by_row` has L_sl count each answer alike, instead of
    each token. With `none` and no unlikelihood a training is, bit by bit, that of the correct sides as rows.
    """

    contrastive: Contrastive = Contrastive.NONE
    weight: float = 0.1
    beta: float = 2.0
    gamma: float = 0.5
    dpo_beta: float = 0.1
    unlikelihood: float = 0.0
    by_row: bool = False

    def __post_init__(self) -> None:
        if min(self.weight, self.unlikelihood, self.gamma) < 0 or min(self.beta, self.dpo_beta) <= 0:
            raise ValueError("weight, unlikelihood and gamma are at least 0, beta and dpo_beta above 0")

    @property
    def needs_faulty(self) -> bool:
        """Say whether the faulty sides have to go through the model at all."""
        return self.contrastive in (Contrastive.MARGIN, Contrastive.DPO) or self.unlikelihood > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLogProbs:
    """A model's log-probabilities of a pair's answers: of all their tokens, and the mean over them."""

    chosen: float
    rejected: float
    chosen_mean: float
    rejected_mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A prompt with a correct and a faulty answer. Both sides begin with the prompt's tokens, `prompt` many.

    `chosen.weights` count in the supervised loss alone; answers are all that follows the prompt. `reference` is what
    the model makes of the pair before training, for DPO.
    """

    prompt: int
    chosen: Row
    rejected: tuple[int, ...]
    reference: PairLogProbs | None = None

    def __post_init__(self) -> None:
        if not 0 < self.prompt < min(len(self.chosen.tokens), len(self.rejected)):
            raise UsageError(f"a prompt of {self.prompt} tokens: at least 1, and both answers at least 1 more")
        if self.chosen.tokens[: self.prompt] != self.rejected[: self.prompt]:
            raise UsageError("the correct and the faulty answer of a pair have different prompts")

    @property
    def tokens(self) -> tuple[int, ...]:
        """The correct side: batches are drawn by its length, so that all losses see the same batches."""
        return self.chosen.tokens

    @property
    def length(self) -> int:
        return max(len(self.chosen.tokens), len(self.rejected))


def pairs_of(tokenizer: Any, texts: Iterable[tuple[str, str, str]], prompt_weight: float = 0.0) -> list[Pair]:
    """Return a pair for each prompt, correct and faulty answer; see `rows_of` for the tokens and weights."""
    prompts, correct, faulty = map(list, zip(*texts, strict=True))
    lengths = [len(tokens) for tokens in prompt_tokens(tokenizer, prompts)]
    chosen = rows_of(tokenizer, zip(prompts, correct, strict=True), prompt_weight)
    rejected = rows_of(tokenizer, zip(prompts, faulty, strict=True))
    return [
        Pair(prompt=length, chosen=right, rejected=wrong.tokens)
        for length, right, wrong in zip(lengths, chosen, rejected, strict=True)
    ]


def train_on_pairs(
    model: Any,
    examples: Sequence[Pair | Row],
    stages: Sequence[Stage],
    settings: TrainSettings,
    pad: int,
    folder: Path | None = None,
    how: PairSettings | None = None,
) -> TrainResult:
    """Train a model in place on pairs, among which there may be plain rows; otherwise as `train` does.

    For DPO the model as it is given is the reference, so that a killed training must be called again with that one.
    `TrainResult.notes` have the measures of `PairObjective`.
    """
    how = how or PairSettings()
    if how.contrastive is Contrastive.DPO:
        # What fits on a device is known of the training's batches alone, once rows have a bound.
        batch_size = BATCH if settings.max_length is None else settings.batch_size
        examples = with_references(model, examples, pad, batch_size, settings.max_length)
    return train(model, examples, stages, settings, pad, folder, PairObjective(how))


def with_references(
    model: Any, examples: Sequence[Pair | Row], pad: int, batch_size: int = BATCH, max_length: int | None = None
) -> list[Pair | Row]:
    """Return the examples with the model's log-probabilities in those pairs that have none yet.

    Pairs of more than `max_length` tokens, which no training will see, stay without.
    """

    def is_bare(one: Pair | Row) -> bool:
        fits = max_length is None or one.length <= max_length
        return isinstance(one, Pair) and one.reference is None and fits

    bare = [one for one in examples if isinstance(one, Pair) and is_bare(one)]
    found = iter(log_probs_of(model, bare, pad, batch_size))
    return [replace(one, reference=next(found)) if isinstance(one, Pair) and is_bare(one) else one for one in examples]


def log_probs_of(model: Any, pairs: Sequence[Pair], pad: int, batch_size: int = BATCH) -> list[PairLogProbs]:
    """Return what a model makes of each pair, without gradients and dropout."""
    import torch

    objective = PairObjective(PairSettings(contrastive=Contrastive.MARGIN))  # both sides go through the model
    found = []
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(pairs), batch_size):
                batch = objective.collate(pairs[start : start + batch_size], pad)
                there = {name: tensor.to(model.device) for name, tensor in batch.items()}
                answers = losses.answer_log_probs(_log_probs(model, there), there["answers"][:, 1:])
                sides = torch.stack([answers.sum_B, answers.mean_B]).view(2, 2, -1)  # sum or mean, side, pair
                found += sides.flatten(0, 1).T.tolist()
    finally:
        model.train(was_training)
    return [
        PairLogProbs(chosen=chosen, rejected=rejected, chosen_mean=chosen_mean, rejected_mean=rejected_mean)
        for chosen, rejected, chosen_mean, rejected_mean in found
    ]


class PairObjective:
    """The objective of pairs, which goes through the model once with both sides, correct ones first.

    Measures: `loss/supervised`, `loss/contrastive` and `loss/unlikelihood` without their weights; `logps/chosen` and
    `logps/rejected`, means over the pairs of the mean log-probability of an answer's token; `logps/accuracy`, the share
    of pairs whose correct side has the higher mean. What has to do with faulty sides is there only when they are seen.
    """

    def __init__(self, how: PairSettings) -> None:
        self._how = how
        self._spans: dict[Pair, tuple[int, ...]] = {}
        self._noted: dict[str, list[Any]] = defaultdict(list)

    def tokens_seen(self, example: Pair | Row) -> int:
        faulty = len(example.rejected) if isinstance(example, Pair) and self._how.needs_faulty else 0
        return len(example.tokens) + faulty

    def collate(self, examples: Sequence[Pair | Row], pad: int) -> dict[str, Any]:
        """Return a batch: a row per example, then one per faulty side if they are needed.

        `answers` marks the answers' tokens of pairs and `span` what is wrong in the faulty ones (each rows x longest
        row), `paired` has the places of the pairs among the examples, and `reference` two sums for each of them.
        """
        import torch

        pairs = [one for one in examples if isinstance(one, Pair)]
        faulty = pairs if self._how.needs_faulty else []
        rows = [one.chosen if isinstance(one, Pair) else one for one in examples]
        rows += [Row(tokens=one.rejected, weights=(0.0,) * len(one.rejected)) for one in faulty]
        batch = collate(rows, pad)
        answers, span = (torch.zeros(batch["input_ids"].shape) for _ in range(2))
        paired = [place for place, one in enumerate(examples) if isinstance(one, Pair)]
        for place, one in zip(paired, pairs, strict=True):
            answers[place, one.prompt : len(one.tokens)] = 1
        for place, one in enumerate(faulty, len(examples)):
            answers[place, one.prompt : len(one.rejected)] = 1
            if self._how.unlikelihood:
                span[place, list(self._span(one))] = 1
        batch |= {"answers": answers, "span": span, "paired": torch.tensor(paired, dtype=torch.long)}
        references = [(one.reference.chosen, one.reference.rejected) for one in pairs if one.reference]
        return batch | {"reference": torch.tensor(references).view(-1, 2)}

    def loss(self, model: Any, batch: dict[str, Any]) -> Any:
        """Return L_sl + weight L_cl + unlikelihood L_ul."""
        how = self._how
        paired = batch["paired"]
        log_probs = _log_probs(model, batch)
        count = len(log_probs) - (len(paired) if how.needs_faulty else 0)
        total = losses.supervised(log_probs[:count], batch["weights"][:count, 1:], by_row=how.by_row)
        if not how.by_row:
            total = total * batch.get("share", 1.0)
        self._note("loss/supervised", total[None])
        if not len(paired):
            return total
        answers = losses.answer_log_probs(log_probs, batch["answers"][:, 1:])
        self._note("logps/chosen", answers.mean_B[paired])
        if how.needs_faulty:
            self._note("logps/rejected", answers.mean_B[count:])
            self._note("logps/accuracy", (answers.mean_B[paired] > answers.mean_B[count:]).float())
        if how.contrastive is not Contrastive.NONE:
            each = self._contrastive(answers, paired, count, batch["reference"])
            self._note("loss/contrastive", each)
            total = total + how.weight * each.sum() / count
        if how.unlikelihood:
            each = losses.unlikelihood(log_probs[count:], batch["span"][count:, 1:])
            self._note("loss/unlikelihood", each)
            total = total + how.unlikelihood * each.sum() / count
        return total

    def measures(self) -> dict[str, float]:
        import torch

        means = {name: torch.cat(values).mean().item() for name, values in self._noted.items()}
        self._noted.clear()
        return means

    def _contrastive(self, answers: losses.AnswerLogProbs, paired: Any, count: int, reference: Any) -> Any:
        how = self._how
        if how.contrastive is Contrastive.CHOSEN_ONLY:
            return losses.chosen_only(answers.mean_B[paired])
        if how.contrastive is Contrastive.MARGIN:
            return losses.margin(answers.mean_B[paired], answers.mean_B[count:], how.beta, how.gamma)
        if len(reference) != len(paired):
            raise UsageError("DPO needs the reference log-probabilities of every pair: see `with_references`")
        policy = answers.sum_B[paired], answers.sum_B[count:]
        return losses.dpo(policy, (reference[:, 0], reference[:, 1]), how.dpo_beta)

    def _span(self, pair: Pair) -> tuple[int, ...]:
        if pair not in self._spans:
            places = losses.differing_places(pair.chosen.tokens[pair.prompt :], pair.rejected[pair.prompt :])
            self._spans[pair] = tuple(pair.prompt + place for place in places)
        return self._spans[pair]

    def _note(self, name: str, values: Any) -> None:
        self._noted[name].append(values.detach())


def _log_probs(model: Any, batch: dict[str, Any]) -> Any:
    tokens = batch["input_ids"]
    outputs = model(input_ids=tokens, attention_mask=batch["attention_mask"], use_cache=False)
    return losses.token_log_probs(outputs.logits, tokens)
