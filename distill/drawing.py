"""Drawing questions for a plan: from a generator by seed, from a list at random, first those that nobody was asked."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass

from distill.question_sources import GENERATORS, Question, listed
from distill.seeds import Wanted
from harness import Task, UsageError

_SEEDS = 100  # more than a plan has parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How to draw from a file: `label` seeds it, and `share` bounds what is taken of a tier's questions.

    Those in `avoid` are not there; those in `later` are drawn where nothing else is left.
    """

    label: str
    avoid: Container[str]
    later: Container[str] = ()
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplied:
    task: Task
    family: str
    part: int


def everything(source: str) -> tuple[list[Wanted], list[Supplied]]:
    """Return all questions of a list or file, in its order, and a plan that asks for just them."""
    questions = listed(source)
    counts = Counter(question.task.tier or "" for question in questions)
    place = {tier: number for number, tier in enumerate(counts)}
    found = [Supplied(task=one.task, family=one.family, part=place[one.task.tier or ""]) for one in questions]
    return [Wanted(tier=tier, count=count) for tier, count in counts.items()], found


def supplied(source: str, plan: Sequence[Wanted], seed: int, first: int, draw: Drawing) -> list[Supplied]:
    """Return questions for a plan: `first` tells the draws of a generator apart in which the seed is the same."""
    if generator := GENERATORS.get(source):
        # A seed of its own for each part, since task ids are made of seed and number.
        return [
            Supplied(task=question.task, family=question.family, part=place)
            for place, part in enumerate(plan)
            for question in generator.draw(
                seed * _SEEDS + first + place, part.count, (part.tier,), part.families or None
            )
        ]
    return _from_list(source, plan, draw)


def _from_list(source: str, plan: Sequence[Wanted], draw: Drawing) -> list[Supplied]:
    by_tier: dict[str, list[Question]] = {}
    for question in listed(source):
        by_tier.setdefault(question.task.tier or "", []).append(question)
    families = {one.task.task_id: one.family for some in by_tier.values() for one in some}
    chosen: dict[str, Supplied] = {}
    for place, part in enumerate(plan):
        if part.count and part.tier not in by_tier:
            raise UsageError(f"{source} has no questions of the tier {part.tier}: it has {', '.join(sorted(by_tier))}")
        there = [
            one.task
            for one in by_tier.get(part.tier, [])
            if (not part.families or one.family in part.families)
            and one.task.task_id not in chosen
            and one.task.prompt not in draw.avoid
        ]
        for task in _drawn(there, part, draw):
            chosen[task.task_id] = Supplied(task=task, family=families[task.task_id], part=place)
    return list(chosen.values())


def _drawn(there: Sequence[Task], part: Wanted, draw: Drawing) -> list[Task]:
    """Draw a part's questions, first from those that nobody was asked."""
    chance = random.Random(" ".join((draw.label, part.tier, *part.families)))
    new = [task for task in there if task.prompt not in draw.later]
    old = [task for task in there if task.prompt in draw.later]
    most = min(part.count, int(len(there) * draw.share))
    drawn = chance.sample(new, min(most, len(new)))
    return drawn + chance.sample(old, min(most - len(drawn), len(old)))
