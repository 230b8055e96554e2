"""The generator of the ladder: the tasks of the test set, and an endless supply of others to train on.

Test and training tasks differ in more than their numbers: which split a task may be in follows from its skeleton
(`drafts.split_of`), and what still resembles a test task (`contamination`) is never handed out.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from harness.benchmarks import data
from harness.benchmarks.ladder import easy, expert, hard, medium
from harness.benchmarks.ladder.cases import checked_cases, quick_cases, rung_of
from harness.benchmarks.ladder.contamination import Watch, cases_of
from harness.benchmarks.ladder.drafts import Draft, Families, Family, split_of
from harness.benchmarks.ladder.draw import Draw
from harness.benchmarks.ladder.programs import Function, function_of, passes
from harness.benchmarks.ladder.rungs import SEED, SHIPPED, TIERS, Rung, rung_from
from harness.records import Task

FAMILIES: Mapping[str, Families] = {
    "easy": easy.FAMILIES,
    "medium": medium.FAMILIES,
    "hard": hard.FAMILIES,
    "expert": expert.FAMILIES,
}
PER_TIER = 60
_RELATIVES = 8
_PROMPT_CHARACTERS = 330


def ladder_test(seed: int = SEED, per_tier: int = PER_TIER) -> list[Rung]:
    """Return the test set: as many tasks of each tier, one tier after the other within each four.

    No two tasks have the same sentence but for names and numbers, the same program but for names, most of their
    phrases in common, or solutions that pass each other's tests. Takes seconds.
    """
    watch = Watch(())
    solutions: list[Function] = []
    columns = []
    for place, tier in enumerate(TIERS):
        draw = Draw(seed * len(TIERS) + place)
        families = tuple(FAMILIES[tier].values())
        column: list[Rung] = []
        while len(column) < per_tier:
            family = families[len(column) % len(families)]  # in turns, so that none fills the tier
            rung = _test_rung(family, f"Ladder/{len(TIERS) * len(column) + place}", tier, draw)
            if rung is None:
                continue
            task = rung.to_task()
            cases = cases_of(task)
            if any(watch.leaks(task)) or any(passes(other, cases) for other in solutions):
                continue
            watch.add(task)
            solutions.append(function_of(task.reference, task.entry_point))
            column.append(rung)
        columns.append(column)
    return list(chain.from_iterable(zip(*columns, strict=True)))


def ladder_train(
    seed: int,
    count: int,
    tiers: Sequence[str] = TIERS,
    split: str = "train",
    families: Sequence[str] | None = None,
) -> Iterator[Task]:
    """Yield tasks to train on; `split` "dev" yields others, to choose by. None resembles a task of the test set.

    The tiers take turns. `families` are the only ones to be drawn from (None: all of a tier), by the names that
    `Rung.family` has. The i-th task depends on seed, tiers, split, families and i alone, not on `count`. Raises
    ValueError for a tier, split or family that does not exist, and for a tier that none of the families is of.
    """
    return (rung.to_task(split) for rung in train_rungs(seed, count, tiers, split, families))


def train_rungs(
    seed: int,
    count: int,
    tiers: Sequence[str] = TIERS,
    split: str = "train",
    families: Sequence[str] | None = None,
) -> Iterator[Rung]:
    """Yield what `ladder_train` yields, as rungs, which tell family and solution."""
    if unknown := sorted(set(tiers) - set(TIERS)):
        raise ValueError(f"no tier {unknown[0]!r}: {', '.join(TIERS)}")
    if not tiers or split not in ("train", "dev"):
        raise ValueError(f"no split {split!r}: train or dev" if tiers else "name at least one tier")
    allowed = {tier: _of_tier(tier, families) for tier in tiers}
    for number in range(count):
        tier = tiers[number % len(tiers)]
        yield _train_rung(seed, number, tier, split, allowed[tier])


def ladder_families(tier: str) -> tuple[str, ...]:
    """Return the names of a tier's families. Raises ValueError for a tier that does not exist."""
    if tier not in FAMILIES:
        raise ValueError(f"no tier {tier!r}: {', '.join(TIERS)}")
    return tuple(FAMILIES[tier])


def _of_tier(tier: str, families: Sequence[str] | None) -> tuple[Family, ...]:
    """Return the families of a tier that are asked for."""
    known = {name for named in FAMILIES.values() for name in named}
    if unknown := sorted(set(families or ()) - known):
        raise ValueError(f"no family {unknown[0]!r}: {', '.join(FAMILIES[tier])}")
    found = tuple(make for name, make in FAMILIES[tier].items() if families is None or name in families)
    if not found:
        raise ValueError(f"none of the families is of the tier {tier}: {', '.join(FAMILIES[tier])}")
    return found


def _train_rung(seed: int, number: int, tier: str, split: str, families: tuple[Family, ...]) -> Rung:
    draw = Draw((seed << 40) + (number << 1) + (split == "dev"))
    family = draw.one_of(families)
    while True:
        draft = _draft(family, split, draw)
        chosen = quick_cases(draft, draw)
        if chosen is None:
            continue
        rung = rung_of(draft, chosen, f"Ladder-{split}/{seed}-{number}", tier)
        if not any(_shipped().leaks(rung.to_task(split))):
            return rung


@functools.cache
def _shipped() -> Watch:
    """Return the watch over the test set as it is shipped."""
    return Watch(rung_from(record).to_task() for record in data.records_of(data.read(SHIPPED)))


def _draft(family: Family, split: str, draw: Draw) -> Draft:
    while True:
        draft = family(draw)
        if draft and split_of(draft.skeleton) == split:
            return draft


def _test_rung(family: Family, task_id: str, tier: str, draw: Draw) -> Rung | None:
    """Return a test task of a family, or None if the draft that comes is no good one."""
    draft = _draft(family, "test", draw)
    drafts = (family(draw) for _ in range(_RELATIVES * 4))
    relatives = [one for one in drafts if one and one.arguments == draft.arguments][:_RELATIVES]
    chosen = checked_cases(draft, relatives, draw)
    if chosen is None:
        return None
    rung = rung_of(draft, chosen, task_id, tier)
    return rung if len(rung.prompt) <= _PROMPT_CHARACTERS else None
