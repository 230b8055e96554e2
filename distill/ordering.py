"""How difficult each training example is: by its program, by its length, or by what a model makes of it.

Every function returns a number per example, larger is harder, for `distill.curriculum`. Those that ask a model take
one of transformers' causal language models and rows of tokens, go through them in batches of like length, and leave
the model as it was. What a model's numbers mean is a matter of which model it is: the one to be trained before it has
learned anything says little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any

from distill.training import Row, collate
from harness import UsageError, measure

BATCH = 64


class Difficulty(StrEnum):
    """What difficulty is measured by; a function of this module for each."""

    METRIC = "metric"
    LENGTH = "length"
    LOSS = "loss"
    ATTENTION = "attention"
    MODELS = "models"


def by_metric(programs: Sequence[str]) -> list[float]:
    """Return the Code Difficulty Metric: (cyclomatic complexity + token-based Halstead difficulty) / 2.

    Source: arXiv 2407.10194, section 4. Raises UsageError for a program that does not parse.
    """
    difficulties = []
    for place, program in enumerate(programs):
        measured = measure(program)
        if measured is None:
            raise UsageError(f"example {place} is no Python program, so the metric does not apply: order by length")
        difficulties.append(measured.overall)
    return difficulties


def by_length(rows: Sequence[Row]) -> list[float]:
    """Return the number of tokens. Source: Kim & Lee (arXiv 2405.07490), where the length is the prompt's."""
    return [float(len(row.tokens)) for row in rows]


def by_loss(model: Any, rows: Sequence[Row], pad: int, batch_size: int = BATCH) -> list[float]:
    """Return the model's mean loss: sum_t w_t (-log p(y_t | y_<t)) / sum_t w_t, in nats, w the row's weights.

    Zero for a row of which no token counts. Source: Kim & Lee (arXiv 2405.07490), "loss".
    """
    import torch

    def losses(batch: dict[str, Any]) -> Any:
        logits = _run(model, batch).logits
        targets, weights = batch["input_ids"][:, 1:], _counted(batch)
        each = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), targets, reduction="none")
        return (each * weights).sum(1) / weights.sum(1).clamp(min=torch.finfo(weights.dtype).tiny)

    return _for_each(model, rows, pad, batch_size, losses)


def by_attention(model: Any, rows: Sequence[Row], pad: int, batch_size: int = BATCH) -> list[float]:
    """Return the mean over layers, heads and positions of the variance of an attention row.

    Position t (from 1) of a head attends to the t tokens up to it with weights a_1..a_t that add up to 1; their
    variance is sum_s a_s^2 / t - 1 / t^2. Our reading of Kim & Lee (arXiv 2405.07490), "attention": they describe a
    statistic of variance, and we found no formula. The model must have been loaded with
    `attn_implementation="eager"`, since others keep no weights; raises UsageError otherwise.
    """
    import torch

    if getattr(model.config, "_attn_implementation", None) != "eager":
        raise UsageError('ordering by attention needs a model loaded with attn_implementation="eager"')

    def variances(batch: dict[str, Any]) -> Any:
        attentions = torch.stack(_run(model, batch, output_attentions=True).attentions)  # layers, rows, heads, T, T
        mask = batch["attention_mask"]
        seen = torch.arange(1, mask.shape[1] + 1, device=mask.device)
        of_positions = attentions.pow(2).sum(-1) / seen - 1 / seen**2
        return (of_positions.mean((0, 2)) * mask).sum(1) / mask.sum(1)

    return _for_each(model, rows, pad, batch_size, variances)


def by_models(
    models: Sequence[Any], rows: Sequence[Row], answers: Sequence[int], pad: int, batch_size: int = BATCH
) -> list[float]:
    """Return the share of the models that fail an example, in 0..1.

    `answers` says where each row's answer begins. A model fails when its likeliest token is wrong anywhere in the
    answer: exactly then greedy decoding would not write it. Source: Yang et al. (arXiv 2408.07888), where difficulty is
    the share of language models that answer wrongly.
    """
    if not models or len(answers) != len(rows):
        raise UsageError(f"{len(models)} models and {len(answers)} answers for {len(rows)} rows: at least one model")
    if any(not 0 < start < len(row.tokens) for start, row in zip(answers, rows, strict=True)):
        raise UsageError("an example's answer begins outside of it, or with its first token")
    marked = [
        Row(tokens=row.tokens, weights=(0.0,) * start + (1.0,) * (len(row.tokens) - start))
        for start, row in zip(answers, rows, strict=True)
    ]

    def fails(model: Any) -> list[float]:
        def wrong(batch: dict[str, Any]) -> Any:
            likeliest = _run(model, batch).logits[:, :-1].argmax(-1)
            return ((likeliest != batch["input_ids"][:, 1:]) * _counted(batch)).amax(1)

        return _for_each(model, marked, pad, batch_size, wrong)

    return [sum(failed) / len(models) for failed in zip(*map(fails, models), strict=True)]


def _counted(batch: dict[str, Any]) -> Any:
    return batch["weights"][:, 1:]


def _run(model: Any, batch: dict[str, Any], **options: Any) -> Any:
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    return model(**inputs, use_cache=False, **options)


def _for_each(
    model: Any, rows: Sequence[Row], pad: int, batch_size: int, values: Callable[[dict[str, Any]], Any]
) -> list[float]:
    """Return what `values` gives for each row, from batches of like length without gradients or dropout."""
    import torch

    found = [0.0] * len(rows)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for places in _of_like_length(rows, batch_size):
                batch = collate([rows[place] for place in places], pad)
                there = {name: tensor.to(model.device) for name, tensor in batch.items()}
                for place, value in zip(places, values(there).tolist(), strict=True):
                    found[place] = value
    finally:
        model.train(was_training)
    return found


def _of_like_length(rows: Sequence[Row], batch_size: int) -> Iterator[list[int]]:
    order = sorted(range(len(rows)), key=lambda place: len(rows[place].tokens))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
