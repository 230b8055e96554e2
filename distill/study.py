"""Training a student on lessons: on answers, on pairs where faulty sides are at hand, or with a teacher's logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.curriculum import Stage
from distill.lessons import Lesson
from distill.logits import LogitObjective, context_of, taught_rows, teacher_of
from distill.loop import LoopConfig
from distill.pairs import Pair, pairs_of, train_on_pairs
from distill.rows import pad_of, rows_of
from distill.training import Row, TrainResult, train


def study(
    model: Any,
    tokenizer: Any,
    lessons: Sequence[Lesson],
    config: LoopConfig,
    folder: Path,
    asked: Mapping[str, str] | None = None,
) -> TrainResult:
    """Train a model in place on lessons; killed and called again with the model as it was, it goes on in `folder`.

    `asked` is the text that the teacher went on from, by task, where its probabilities are to be those behind it.

    Without any faulty side this is, bit by bit, the training on right answers, unless these count alike (`by_row`).
    """
    examples = examples_of(tokenizer, lessons, config.prompt_weight)
    everything = (Stage(name="lessons", examples=tuple(range(len(examples))), share=1.0, shuffled=True),)
    pad = pad_of(tokenizer)
    if config.logits is not None:
        teacher = teacher_of(config.teacher.name, str(model.device))
        objective = LogitObjective(teacher, config.logits)
        if not config.logits.teacher_prompt:
            return train(model, examples, everything, config.training, pad, folder, objective)
        texts = [(one.prompt, (asked or {})[one.task_id], one.completion) for one in lessons]
        taught = taught_rows(tokenizer, texts, config.prompt_weight, context_of(teacher))
        return train(model, taught, everything, config.training, pad, folder, objective)
    if not config.pairs.by_row and not any(isinstance(one, Pair) for one in examples):
        return train(model, examples, everything, config.training, pad, folder)
    return train_on_pairs(model, examples, everything, config.training, pad, folder, config.pairs)


def examples_of(tokenizer: Any, lessons: Sequence[Lesson], prompt_weight: float) -> list[Pair | Row]:
    """Return a pair for each lesson with a faulty side, and a row for each other one, in their order.

    A prompt that shows a wrong program counts nothing, or the wrong program would be learnt.
    """
    rows = iter(rows_of(tokenizer, [(one.prompt, one.completion) for one in lessons], prompt_weight))
    texts = [(one.prompt, one.completion, one.fault.completion) for one in lessons if one.fault is not None]
    pairs = iter(pairs_of(tokenizer, texts, prompt_weight) if texts else ())
    shown = [(one.prompt, one.completion) for one in lessons if one.mends is not None]
    mending = iter(rows_of(tokenizer, shown) if shown else ())
    return [
        next(pairs) if lesson.fault is not None else row if lesson.mends is None else next(mending)
        for lesson, row in zip(lessons, rows, strict=True)
    ]
