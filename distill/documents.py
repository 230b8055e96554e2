"""What models are trained on from scratch: documents of solved tasks, and of questions that nobody solves.

A document of several tasks is what a few-shot prompt looks like: questions with their programs, one behind the other.
The first program of such a document does not count in the loss. So what a model writes behind a single question is
learnt from the documents of questions alone, which go on with another question: it solves a task behind solved ones, as
a few-shot teacher does, and is of no use without them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from distill.question_sources import GENERATORS, LADDER, LISTS, WORDS, listed
from distill.rows import rows_of
from distill.training import Row
from harness import Task, UsageError, words_train

Item = TypeVar("Item")
_APART = 1_000_000  # seeds between the solved tasks and those that are not
_FOR_TOKENS = 1000  # word problems that a tokenizer is made of


class PretrainData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tasks: so many of each tier, drawn from a source of training questions by `seed`.

    They stand in documents of `problems` tasks each, beside so many documents of as many questions without programs
    (`unsolved`).
    """

    tiers: dict[str, int]
    source: str = LADDER
    seed: int = 1
    problems: int = 1
    unsolved: int = 0

    def __post_init__(self) -> None:
        if self.source not in (*GENERATORS, *LISTS):
            raise ValueError(f"source {self.source!r}: one of {', '.join((*GENERATORS, *LISTS))}")
        if self.problems < 1 or self.unsolved < 0 or min(self.tiers.values(), default=0) < 0:
            raise ValueError("problems is at least 1, unsolved and the number of tasks of a tier at least 0")
        if self.unsolved and self.problems == 1:
            raise ValueError("documents of questions alone have several: give problems above 1")


def tasks_of(data: PretrainData) -> list[Task]:
    """Return the tasks that are solved, tier after tier. Raises UsageError where a list has too few of a tier."""
    return [task for tier, count in data.tiers.items() for task in _drawn(data, tier, count, data.seed)]


def _drawn(data: PretrainData, tier: str, count: int, seed: int) -> Sequence[Task]:
    if generator := GENERATORS.get(data.source):
        try:
            return [question.task for question in generator.draw(seed, count, (tier,), None)]
        except ValueError as error:
            raise UsageError(f"data.tiers of {data.source}: {error}") from error
    there = [
        question.task for question in listed(data.source) if question.task.tier == tier and question.task.reference
    ]
    if count > len(there):
        raise UsageError(f"{data.source} has {len(there)} solved questions of the tier {tier}: {count} are too many")
    return random.Random(f"{seed} {tier}").sample(there, count)


def texts_for_tokens(data: PretrainData, tasks: Iterable[Task]) -> Iterator[str]:
    """Yield the texts that a tokenizer is made of.

    Of word problems and of lists they are the same for all data, so that models of different data share a tokenizer.
    """
    if data.source == WORDS:
        tasks = words_train(seed=0, count=_FOR_TOKENS)
    elif data.source in LISTS:
        tasks = (question.task for question in listed(data.source))
    return (task.reference or task.prompt for task in tasks)


def documents_of(tokenizer: Any, data: PretrainData, tasks: Sequence[Task], prompt_weight: float) -> list[Row]:
    """Return a row for each document: tokens of answers count 1, those of prompts as given."""
    pairs = [(task.prompt, _answer(task)) for task in tasks]
    if data.problems == 1:
        return rows_of(tokenizer, pairs, prompt_weight)
    random.Random(data.seed).shuffle(pairs)
    solved = [_solved(tokenizer, some, prompt_weight) for some in _grouped(pairs, data.problems)]
    unsolved = [_unsolved(tokenizer, some) for some in _grouped(_questions(data), data.problems)]
    return solved + unsolved


def _grouped(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _answer(task: Task) -> str:
    return task.reference.removeprefix(task.prompt)


def _questions(data: PretrainData) -> list[str]:
    """Return the prompts of other tasks than those that are solved, as many of each tier."""
    count = data.unsolved * data.problems
    each = -(-count // len(data.tiers)) if data.tiers else 0
    prompts = [task.prompt for tier in data.tiers for task in _drawn(data, tier, each, data.seed + _APART)]
    random.Random(data.seed).shuffle(prompts)
    return prompts[:count]


def _solved(tokenizer: Any, pairs: Sequence[tuple[str, str]], prompt_weight: float) -> Row:
    """Return the row of tasks with their programs, a blank line between two; the first program does not count."""
    last = len(pairs) - 1
    texts = [(prompt, answer if place == last else f"{answer}\n") for place, (prompt, answer) in enumerate(pairs)]
    rows = rows_of(tokenizer, texts, prompt_weight)
    first = Row(tokens=rows[0].tokens, weights=(0.0,) * rows[0].length)
    return _joined([first, *rows[1:]], tokenizer)


def _unsolved(tokenizer: Any, prompts: Sequence[str]) -> Row:
    """Return the row of questions, all of which count but the first."""
    rows = rows_of(tokenizer, [("", prompt) for prompt in prompts])
    return _joined([Row(tokens=rows[0].tokens, weights=(0.0,) * rows[0].length), *rows[1:]], tokenizer)


def _joined(rows: Sequence[Row], tokenizer: Any) -> Row:
    """Return rows as one, which ends where the last one does: the others' ends of text are left out."""
    ends = 0 if tokenizer.eos_token_id is None else 1
    kept = [row.length - ends for row in rows[:-1]] + [rows[-1].length]
    tokens = [token for row, length in zip(rows, kept, strict=True) for token in row.tokens[:length]]
    weights = [weight for row, length in zip(rows, kept, strict=True) for weight in (row.weights or ())[:length]]
    return Row(tokens=tuple(tokens), weights=tuple(weights))
