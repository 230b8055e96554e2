"""From seeds to a plan: how many new questions of which tier and kind, by how the student copes with questions it met.

The third stage of IterKD (arXiv 2408.03680): where the student fails, more of the same kind; where it copes, fewer
and other ones. How many of each the paper does not say; the weights are ours. A kind is the family of a ladder task, or
the `family` of a file's line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import msgspec

from distill.levels import Level, QuestionLevel
from harness import UsageError


class QuestionsBy(StrEnum):
    """What decides which questions are asked.

    `weak-tiers`: the tiers that the evaluation flags. `levels`: how the student copes with probes (IterKD).
    `same-tiers`: as many of each tier as by levels, of any kind. `none`: as many of each tier. `random-tier`: as by
    weak tiers, with as many tiers drawn at random in their place.
    """

    WEAK_TIERS = "weak-tiers"
    LEVELS = "levels"
    SAME_TIERS = "same-tiers"
    NONE = "none"
    RANDOM_TIER = "random-tier"

    @property
    def needs_probes(self) -> bool:
        """Say whether the student has to try questions first."""
        return self in (QuestionsBy.LEVELS, QuestionsBy.SAME_TIERS)


class LevelWeights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the like of a seed question is asked, by its level."""

    easy: float = 0.1
    medium: float = 1.0
    hard: float = 3.0

    def __post_init__(self) -> None:
        if min(self.easy, self.medium, self.hard) < 0 or not self.easy + self.medium + self.hard > 0:
            raise ValueError("the weights of levels are at least 0, and one is above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedQuestion:
    """A question that the student tried. `family` is its kind, or empty where nobody knows."""

    tier: str
    family: str
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A part of a plan: so many questions of a tier, of one of the `families` (empty: any). `why` is for readers."""

    tier: str
    count: int
    families: tuple[str, ...] = ()
    why: str = ""


def seeds_of(levels: Iterable[QuestionLevel], families: Mapping[str, str]) -> list[SeedQuestion]:
    """Return the questions whose level is known."""
    return [
        SeedQuestion(tier=one.tier, family=families.get(one.task_id, ""), level=one.level)
        for one in levels
        if one.level is not None
    ]


def wanted_of_tiers(count: int, weak: Sequence[str], other: Sequence[str], replay: float) -> list[Wanted]:
    """Return as many questions of each weak tier, and the share `replay` for the others."""
    replayed = round(count * replay) if other else 0
    counts = {**dealt(count - replayed, weak), **dealt(replayed, other)}
    return [Wanted(tier=tier, count=number) for tier, number in counts.items()]


def random_tiers(weak: Sequence[str], other: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """Return as many tiers as are weak, drawn at random from all, and the others."""
    import random

    everything = sorted([*weak, *other])
    drawn = random.Random(f"{seed} tiers").sample(everything, len(weak))
    return drawn, [tier for tier in everything if tier not in drawn]


def wanted_by_levels(
    seeds: Sequence[SeedQuestion],
    count: int,
    weights: LevelWeights,
    widen: float,
    kinds: Collection[tuple[str, str]],
) -> list[Wanted]:
    """Return a plan for `count` questions from seeds; `kinds` are the tiers and families that there are.

    The share `widen` goes to the easy seeds alike, as questions of their tier of any other kind (of any kind where
    there is no other); the rest to all seeds by their weight, as questions of their tier and kind. What nobody has a
    claim on goes to the other part, unless that one's share is none: a plan may be empty. Raises UsageError without a
    seed.
    """
    if not seeds:
        raise UsageError("no probe has a level, so nothing says what to ask: see why none was judged, or ask for more")
    drill: dict[tuple[str, str], float] = {}
    wide: dict[tuple[str, str], float] = {}
    weight_of = {Level.EASY: weights.easy, Level.MEDIUM: weights.medium, Level.HARD: weights.hard}
    for seed in seeds:
        key = seed.tier, seed.family
        drill[key] = drill.get(key, 0.0) + weight_of[seed.level]
        if seed.level is Level.EASY:
            wide[key] = wide.get(key, 0.0) + 1.0
    widened = round(count * widen)
    drilled = count - widened
    if not wide:
        drilled, widened = (count if widen < 1 else 0), 0
    elif not any(drill.values()):
        drilled, widened = 0, (count if widen > 0 else 0)
    plan = [
        Wanted(tier=tier, count=number, families=(family,) if family else (), why="more of the same kind")
        for (tier, family), number in apportioned(drilled, drill).items()
    ]
    for (tier, family), number in apportioned(widened, wide).items():
        others = tuple(sorted(name for at, name in kinds if at == tier and name and name != family))
        plan.append(
            Wanted(tier=tier, count=number, families=others, why=f"easy: other kinds than {family or 'before'}")
        )
    return [part for part in plan if part.count]


def dealt(count: int, tiers: Sequence[str]) -> dict[str, int]:
    """Deal a count out to tiers, the first ones getting what is left over."""
    return {tier: count // len(tiers) + (place < count % len(tiers)) for place, tier in enumerate(tiers)}


def apportioned(count: int, weights: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], int]:
    """Return whole numbers that add up to `count`, in proportion to weights: largest remainders, ties by name."""
    exact = {key: Fraction(weight) for key, weight in sorted(weights.items())}
    total = sum(exact.values())
    if not total or not count:
        return dict.fromkeys(exact, 0)
    shares = {key: count * weight / total for key, weight in exact.items()}
    counts = {key: int(share) for key, share in shares.items()}
    left = count - sum(counts.values())
    for key in sorted(shares, key=lambda key: (counts[key] - shares[key], key))[:left]:
        counts[key] += 1
    return counts
