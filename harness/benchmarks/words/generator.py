"""The generator of word problems: those of the test and dev sets, and an endless supply of others to train on.

As in the ladder, the split that a problem may be in follows from its skeleton: which sentences it is made of, in which
order. So no training problem is a test problem with other names, things and numbers. What still resembles a test
problem (`contamination`) is never handed out.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from harness.benchmarks import data
from harness.benchmarks.ladder.contamination import Watch
from harness.benchmarks.ladder.drafts import split_of
from harness.benchmarks.ladder.draw import Draw
from harness.benchmarks.words.phrases import (
    BOXES,
    CLOSINGS,
    LARGEST,
    LEAST,
    MIDDLES,
    MOST,
    NAMES,
    OPENINGS,
    THINGS,
    Phrase,
)
from harness.benchmarks.words.problems import FOLDER, TIERS, Problem, problem_from
from harness.records import Task

STEPS: Mapping[str, tuple[int, ...]] = {"easy": (1, 2, 2), "medium": (3,), "hard": (4, 5)}
SIZES = {"test": 1000, "dev": 300}
_EASY_ALIKE = 5
_SEEDS = {"test": 2026, "dev": 2027}


def shipped(split: str) -> data.DataFile:
    """Return the file of the test or the dev set. Raises `DataMissing`."""
    return data.read(FOLDER / f"{split}.jsonl")


def words_set(split: str, count: int | None = None) -> list[Problem]:
    """Return the test or the dev set, tiers in turn; no two problems of it differ in names, things and numbers alone,
    but for the easy ones, of which there are too few kinds: five there at most.
    """
    draw = Draw(_SEEDS[split])
    seen: Counter[str] = Counter()
    problems: list[Problem] = []
    while len(problems) < (SIZES[split] if count is None else count):
        problem = _problem(f"Words/{split}/{len(problems)}", TIERS[len(problems) % len(TIERS)], split, draw)
        if seen[problem.kind] < (_EASY_ALIKE if problem.tier == "easy" else 1):
            seen[problem.kind] += 1
            problems.append(problem)
    return problems


def words_train(seed: int, count: int, tiers: Sequence[str] = TIERS) -> Iterator[Task]:
    """Yield word problems to train on; the tiers take turns. None resembles a task of the test set.

    The i-th task depends on seed, tiers and i alone, not on `count`. Raises ValueError for a tier that does not exist.
    """
    if unknown := sorted(set(tiers) - set(TIERS)):
        raise ValueError(f"no tier {unknown[0]!r}: {', '.join(TIERS)}")
    if not tiers:
        raise ValueError("name at least one tier")
    for number in range(count):
        draw = Draw((seed << 40) + number)
        yield _clean(f"Words-train/{seed}-{number}", tiers[number % len(tiers)], draw)


def _clean(task_id: str, tier: str, draw: Draw) -> Task:
    while True:
        task = _problem(task_id, tier, "train", draw).to_task("train")
        if not any(_watch().leaks(task)):
            return task


@functools.cache
def _watch() -> Watch:
    """Return the watch over the test set as it is shipped."""
    return Watch(problem_from(record).to_task("test") for record in data.records_of(shipped("test")))


def _problem(task_id: str, tier: str, split: str, draw: Draw) -> Problem:
    while True:
        phrases = _phrases(draw.one_of(STEPS[tier]), draw)
        kind = " ".join(phrase.key for phrase in phrases)
        if split_of(f"words {kind}") == split and (problem := _filled(task_id, tier, kind, phrases, draw)):
            return problem


def _phrases(steps: int, draw: Draw) -> list[Phrase]:
    """Return the sentences of a problem of so many steps; none of those in the middle comes twice in a row."""
    while True:
        opening, closing = draw.one_of(OPENINGS), draw.one_of(CLOSINGS)
        middles = [draw.one_of(MIDDLES) for _ in range(steps - len(opening.steps) - len(closing.steps))]
        phrases = [opening, *middles, closing]
        fits = sum(len(phrase.steps) for phrase in phrases) == steps
        if fits and all(one is not other for one, other in pairwise(phrases)):
            return phrases


def _filled(task_id: str, tier: str, kind: str, phrases: Sequence[Phrase], draw: Draw) -> Problem | None:
    """Return the problem of these sentences, None where the numbers that are drawn do not fit them."""
    name, other = draw.two_of(NAMES)
    words = {"name": name, "other": other, "things": draw.one_of(THINGS), "boxes": draw.one_of(BOXES)}
    first = draw.between(LEAST, MOST)
    values, names, lines, sentences = [first], [str(first)], [], []
    for phrase in phrases:
        number = phrase.number(values[-1], draw)
        if number is None:
            return None
        sentences.append(phrase.text.format(n=first, k=number, **words))
        for step in phrase.steps:
            start = 1 if phrases[0].steps and len(values) > 1 else 0  # `{s}` is what the opening comes to
            before = max(len(values) - 2, 0)
            places = {"t": len(values) - 1, "u": before, "s": start}
            expression = step.format(n=first, k=number, **{mark: names[at] for mark, at in places.items()})
            value = _value(step, {"n": first, "k": number} | {mark: values[at] for mark, at in places.items()})
            if value is None:
                return None
            lines.append(expression)
            values.append(value)
            names.append(f"t{len(lines) - 1}")
    heads = [*names[1:-1], "answer"]
    program = "".join(f"{head} = {line}\n" for head, line in zip(heads, lines, strict=True))
    return Problem(
        task_id=task_id, question=" ".join(sentences), program=program, answer=values[-1], tier=tier, kind=kind
    )


def _value(step: str, numbers: Mapping[str, int]) -> int | None:
    """Return what a step comes to, None for nothing that there can be so many of."""
    left, sign, right = step.replace("{", "").replace("}", "").split()
    one, two = (numbers[part] if part in numbers else int(part) for part in (left, right))
    value = {"+": one + two, "-": one - two, "*": one * two, "/": one // two}[sign]
    return value if 0 < value <= LARGEST else None
