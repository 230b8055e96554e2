"""Which training examples a model meets when: the schedules of curriculum learning, and the draws that they lead to.

Any training run can use them. `plan` turns a schedule and the difficulty of each example into stages; `draws` turns
a stage into the sequence of examples that an optimizer consumes. Difficulty is any number per example, larger is
harder (`distill.ordering` has some). Nothing here trains, and nothing knows what an example is.

Sources: "Curriculum Learning for Small Code Language Models" (arXiv 2407.10194) for sequential, incremental and
hybrid; Yang et al. (arXiv 2408.07888) for blocked and interleaved; Kim & Lee (arXiv 2405.07490) for ordered.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, count, islice, pairwise

from harness import UsageError

PARTS = 3  # that `interleaved` cuts each category into
_BATCHES_SORTED_TOGETHER = 16


class Strategy(StrEnum):
    """A way to order training; see `plan`."""

    RANDOM = "random"
    RANDOM_RESTARTS = "random-restarts"
    SEQUENTIAL = "sequential"
    INCREMENTAL = "incremental"
    HYBRID = "hybrid"
    INTERLEAVED = "interleaved"
    BLOCKED = "blocked"
    ORDERED = "ordered"


# Where the stages of the paper's three levels end, of its 120,000 iterations.
_PAPER_ENDS = {
    Strategy.SEQUENTIAL: (0, 40, 80, 120),
    Strategy.INCREMENTAL: (0, 25, 55, 120),
    Strategy.HYBRID: (0, 20, 50, 120),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stretch of training with an optimizer and a learning-rate schedule of its own.

    `examples` are places in the training rows, `share` its part of all optimizer steps (those of a plan add up to 1).
    A shuffled stage draws from its examples epoch by epoch, another passes over them once in their order.
    """

    name: str
    examples: tuple[int, ...]
    share: float
    shuffled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A strategy with its options.

    `hybrid_share` is how much of each earlier level `hybrid` keeps, the hardest of it. `easy_first` puts easy before
    hard in `blocked` (inside each category) and `interleaved` (all categories' easy examples, then the next level's).
    `restarts_like` is the schedule whose stages `random-restarts` has the lengths of.
    """

    strategy: Strategy
    hybrid_share: float = 0.5
    easy_first: bool = False
    restarts_like: Strategy = Strategy.HYBRID

    def __post_init__(self) -> None:
        if not 0 <= self.hybrid_share <= 1:
            raise UsageError(f"hybrid_share {self.hybrid_share:g}: a share is 0 to 1")
        if self.easy_first and self.strategy not in (Strategy.BLOCKED, Strategy.INTERLEAVED):
            raise UsageError(f"easy-first is for blocked and interleaved, {self.strategy} has its own order")
        if self.restarts_like not in _PAPER_ENDS:
            raise UsageError(f"restarts_like {self.restarts_like}: use one of {', '.join(_PAPER_ENDS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What a plan is made from, an entry per example: its difficulty, its level (0 is easiest) and its category.

    Categories are needed by `blocked` and `interleaved` only.
    """

    difficulties: Sequence[float]
    levels: Sequence[int]
    categories: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        if not self.difficulties:
            raise UsageError("no examples to plan a training with")
        if len(self.levels) != len(self.difficulties) or len(self.categories) not in (0, len(self.difficulties)):
            raise UsageError(
                f"{len(self.difficulties)} difficulties, {len(self.levels)} levels and {len(self.categories)} "
                "categories: each example needs one of each"
            )
        if any(map(math.isnan, self.difficulties)):
            raise UsageError("an example's difficulty is not a number")

    def by_level(self) -> list[list[int]]:
        """Return the examples of each level, in order. Raises UsageError for a level without any."""
        members: list[list[int]] = [[] for _ in range(max(self.levels) + 1)]
        for example, level in enumerate(self.levels):
            members[level].append(example)
        if [] in members:
            raise _empty(members.index([]), len(members))
        return members

    def by_category(self) -> dict[str, list[int]]:
        """Return the examples of each category, categories by name. Raises UsageError without categories."""
        if not self.categories:
            raise UsageError("blocked and interleaved need a category for each example")
        members: dict[str, list[int]] = {name: [] for name in sorted(set(self.categories))}
        for example, category in enumerate(self.categories):
            members[category].append(example)
        return members

    def easiest_first(self, examples: Sequence[int]) -> list[int]:
        """Return examples by ascending difficulty; those that are alike stay in order."""
        return sorted(examples, key=self.difficulties.__getitem__)


def levels_of(difficulties: Sequence[float], thresholds: Sequence[float]) -> list[int]:
    """Return each example's level: how many thresholds it reaches.

    Raises UsageError for thresholds that do not ascend, or that leave a level without examples.
    """
    if any(low >= high for low, high in pairwise(thresholds)):
        raise UsageError(f"thresholds {', '.join(f'{one:g}' for one in thresholds)}: each above the one before")
    levels = [bisect_right(thresholds, difficulty) for difficulty in difficulties]
    for level in range(len(thresholds) + 1):
        if level not in levels:
            raise _empty(level, len(thresholds) + 1)
    return levels


def _empty(level: int, levels: int) -> UsageError:
    return UsageError(f"level {level + 1} of {levels} has no examples: use other thresholds, or fewer levels")


def levels_by_rank(difficulties: Sequence[float], levels: int = 3) -> list[int]:
    """Return each example's level when all are cut, by ascending difficulty, into so many parts of like size.

    Three parts are tertiles. Equally difficult examples may be parted, in their order. Raises UsageError for fewer
    examples than levels.
    """
    if not 1 <= levels <= len(difficulties):
        raise UsageError(f"{levels} levels of {len(difficulties)} examples: at least 1 level, and an example in each")
    found = [0] * len(difficulties)
    for rank, example in enumerate(sorted(range(len(difficulties)), key=difficulties.__getitem__)):
        found[example] = rank * levels // len(difficulties)
    return found


def plan(schedule: Schedule, graded: Graded, seed: int = 0) -> tuple[Stage, ...]:
    """Return the stages of a schedule. Shares of stages are those of the paper (see `shares`).

    random            all examples, one stage
    random-restarts   all examples in every stage: what the restarts of a curriculum do without the curriculum
    sequential        level 1, then 2, then 3
    incremental       level 1, then 1 and 2, then all
    hybrid            level k with the hardest `hybrid_share` of each earlier level
    blocked           category after category, one pass
    interleaved       each category cut into three parts; the first parts of all, the second, the third; one pass
    ordered           ascending difficulty, one pass

    `seed` orders what the last three but `ordered` leave open. Raises UsageError for levels or categories that a
    schedule needs and that are empty.
    """
    strategy = schedule.strategy
    everything = tuple(range(len(graded.difficulties)))
    if strategy is Strategy.RANDOM:
        return (Stage(name="all", examples=everything, share=1.0, shuffled=True),)
    if strategy is Strategy.ORDERED:
        return (_passed_over("ascending", graded.easiest_first(everything)),)
    if strategy is Strategy.BLOCKED:
        return (_passed_over("blocked", _blocked(schedule, graded, random.Random(seed))),)
    if strategy is Strategy.INTERLEAVED:
        return (_passed_over("interleaved", _interleaved(schedule, graded, random.Random(seed))),)
    members = graded.by_level()
    is_control = strategy is Strategy.RANDOM_RESTARTS
    stages = []
    for level, share in enumerate(shares(schedule.restarts_like if is_control else strategy, len(members))):
        examples = everything if is_control else _up_to(level, members, _kept(schedule), graded)
        stages.append(Stage(name=f"stage {level + 1}", examples=tuple(examples), share=share, shuffled=True))
    return tuple(stages)


def shares(strategy: Strategy, levels: int) -> list[float]:
    """Return the share of all steps that each stage of a curriculum has.

    For three levels those of arXiv 2407.10194: sequential 40:40:40, incremental 25:30:65, hybrid 20:30:70. For other
    numbers our own rule: stage k of n ends where the paper's training is at k/n of its three stages, with straight
    lines between their ends (incremental with two levels: 40:80).
    """
    ends = [_interpolated(_PAPER_ENDS[strategy], 3 * level / levels) for level in range(levels + 1)]
    return [(after - before) / ends[-1] for before, after in pairwise(ends)]


def _interpolated(ends: Sequence[int], place: float) -> float:
    below = min(int(place), len(ends) - 2)
    return ends[below] + (place - below) * (ends[below + 1] - ends[below])


def _kept(schedule: Schedule) -> float:
    """Return how much of each earlier level a stage keeps."""
    return {Strategy.SEQUENTIAL: 0.0, Strategy.INCREMENTAL: 1.0}.get(schedule.strategy, schedule.hybrid_share)


def _up_to(level: int, members: list[list[int]], kept: float, graded: Graded) -> list[int]:
    """Return a level's examples with the hardest share of each earlier level, in the order of the training rows."""
    chosen = list(members[level])
    for earlier in members[:level]:
        most = math.floor(kept * len(earlier) + 0.5)
        hardest_first = sorted(earlier, key=lambda example: -graded.difficulties[example])
        chosen += hardest_first[:most]
    return sorted(chosen)


def _passed_over(name: str, order: list[int]) -> Stage:
    return Stage(name=name, examples=tuple(order), share=1.0, shuffled=False)


def _blocked(schedule: Schedule, graded: Graded, chance: random.Random) -> list[int]:
    order = []
    for members in graded.by_category().values():
        chance.shuffle(members)
        order += graded.easiest_first(members) if schedule.easy_first else members
    return order


def _interleaved(schedule: Schedule, graded: Graded, chance: random.Random) -> list[int]:
    categories = list(graded.by_category().values())
    for members in categories:
        chance.shuffle(members)
    if schedule.easy_first:
        levels = range(max(graded.levels) + 1)
        parts = [[[one for one in some if graded.levels[one] == level] for level in levels] for some in categories]
    else:
        cuts = [[part * len(some) // PARTS for part in range(PARTS + 1)] for some in categories]
        parts = [[some[a:b] for a, b in pairwise(cut)] for some, cut in zip(categories, cuts, strict=True)]
    return [example for turn in zip(*parts, strict=True) for part in turn for example in part]


def draws(stage: Stage, lengths: Sequence[int], batch_size: int, steps: int, seed: int) -> list[int]:
    """Return the examples that a stage's optimizer steps consume, in order: `steps` batches of `batch_size`.

    A shuffled stage: epoch after epoch, each a seeded permutation. So that little is padding, what belongs to 16
    batches is sorted by length (`lengths` is of all training rows), cut into batches, and these are shuffled.

    Another stage: batch b of B is the slice of its n examples that starts at round(b (n - batch_size) / (B - 1)), so
    any number of steps passes over the order exactly once, from start to end: steps fewer than an epoch's leave gaps
    of even size, more overlap. Fewer examples than a batch holds are repeated.
    """
    examples = list(stage.examples)
    if not examples:
        raise UsageError(f"stage {stage.name} has no examples")
    if stage.shuffled:
        return _shuffled(examples, lengths, batch_size, steps, random.Random(seed))
    if len(examples) < batch_size:
        examples = (examples * math.ceil(batch_size / len(examples)))[:batch_size]
    room = len(examples) - batch_size
    starts = (round(step * room / max(steps - 1, 1)) for step in range(steps))
    return [example for start in starts for example in examples[start : start + batch_size]]


def _shuffled(
    examples: list[int], lengths: Sequence[int], batch_size: int, steps: int, chance: random.Random
) -> list[int]:
    epochs = chain.from_iterable(chance.sample(examples, len(examples)) for _ in count())
    drawn: list[int] = []
    while (left := steps - len(drawn) // batch_size) > 0:
        group = min(_BATCHES_SORTED_TOGETHER, left) * batch_size
        taken = sorted(islice(epochs, group), key=lengths.__getitem__)
        batches = [taken[start : start + batch_size] for start in range(0, group, batch_size)]
        chance.shuffle(batches)
        drawn += chain.from_iterable(batches)
    return drawn
