"""Keep or discard: a new student replaces the old one only when held-back tasks show that it is better.

Lessons were chosen by the tune half, so only the held-back half says anything about the new student.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from harness import (
    Baseline,
    Comparison,
    Difference,
    GateOutcome,
    GateRules,
    Half,
    TierComparison,
    UsageError,
    compare_baselines,
    gate_baselines,
)


class KeepRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a new student is kept, all by the held-back half of the tasks; or `always`, whatever that shows.

    The weak tiers together are better (one-sided, paired by task) at the round's part of `alpha`, which is the whole
    loop's: see `level_of_round`. And no drop beyond the allowed one (0..1) is shown at `alpha`, of all tasks or of any
    tier.
    """

    alpha: float = 0.05
    max_drop: float = 0.02
    tier_max_drop: float = 0.05
    always: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or not 0 <= self.max_drop <= 1 or not 0 <= self.tier_max_drop <= 1:
            raise ValueError("alpha lies between 0 and 1, and drops are shares from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Pass rates of the held-back tasks of a tier (or of several), before and after, with the paired difference."""

    subject: str
    tasks: int
    before: float
    after: float
    difference: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of a round. `student` is the one that goes on: the candidate if it is `kept`, else the old one.

    `run` is the folder of that student's evaluation. `changes` are those of all tiers, of the weak ones together
    ("weak tiers") and of everything ("all"); empty where nothing was trained. Their intervals are at `confidence`, each
    by itself. `alpha` is the level at which the gain was tested, 0 where none was.
    """

    round: int
    kept: bool
    reason: str
    student: str
    run: str
    weak: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    alpha: float = 0.0
    confidence: float = 0.95


def level_of_round(rule: KeepRule, spent: Sequence[float], rounds: int) -> float:
    """Return the level at which the next of so many rounds tests its gain.

    All rounds look at the same held-back tasks, so they share `rule.alpha` (Bonferroni): what is left of it is dealt
    out evenly to the rounds that are left. `spent` has the levels of the rounds before, 0 for one that tested nothing.
    However many rounds are asked for later, the levels add up to at most alpha, which bounds the probability that a
    teacher that teaches nothing is ever kept. Raises UsageError when nothing is left.
    """
    left = rule.alpha - sum(spent)
    if left <= rule.alpha * 1e-9:  # sums of floats
        raise UsageError(
            f"the {len(spent)} rounds before have used up keep.alpha ({rule.alpha:g}), and each round is one more look "
            "at the same held-back tasks. Begin another loop with --out, with the student that this one ended with"
        )
    return left / (rounds - len(spent))


def decide(
    before: Baseline, after: Baseline, weak: Sequence[str] | None, rule: KeepRule, alpha: float | None = None
) -> tuple[bool, str, tuple[Change, ...]]:
    """Return whether the model of the second run is to be kept, why, and the changes that say so.

    The `weak` tiers have to gain (None: all tasks together). The gain is tested at `alpha` (None: the rule's); drops
    and the intervals of changes are at the rule's.
    """
    level = rule.alpha if alpha is None else alpha
    old, new = held_back(before), held_back(after)
    whole = compare_baselines(old, new, rule.alpha)
    measured: list[tuple[str, Comparison | TierComparison]] = [(tier.tier, tier) for tier in whole.tiers]
    gaining = whole
    if weak is not None:
        gaining = compare_baselines(_only(old, weak), _only(new, weak), rule.alpha)
        measured.append(("weak tiers", gaining))
    measured.append(("all", whole))
    changes = tuple(
        Change(
            subject=subject,
            tasks=one.tasks,
            before=one.before.value,
            after=one.after.value,
            difference=one.difference,
        )
        for subject, one in measured
    )
    rules = GateRules(max_drop=rule.max_drop, tier_max_drop=rule.tier_max_drop, alpha=rule.alpha)
    lost = [
        finding
        for finding in gate_baselines([new], [old], rules).findings
        if finding.outcome in (GateOutcome.REGRESSED, GateOutcome.NOT_VALID)
    ]
    gain = gaining.difference
    where = "held-back half" if weak is None else "weak tiers' held-back half"
    points = f"{100 * gain.value:+.1f} points in the {where}"
    if rule.always:
        return True, f"every round is kept (keep.always): {points} (p = {gain.p_better:.2g})", changes
    said = f"{points} (p = {gain.p_better:.2g}, kept up to {level:.3g})"
    if lost:
        return False, f"{lost[0].subject}: {lost[0].reason}", changes
    if gain.p_better > level:
        return False, f"no gain is shown: {said}", changes
    return True, said, changes


def held_back(baseline: Baseline) -> Baseline:
    """Return the held-back half of a run."""
    tasks = {task for task, half in baseline.halves.items() if half is Half.HELD_BACK}
    return replace(baseline, counts={task: count for task, count in baseline.counts.items() if task in tasks})


def _only(baseline: Baseline, tiers: Sequence[str]) -> Baseline:
    counts = {task: count for task, count in baseline.counts.items() if baseline.tiers.get(task) in tiers}
    return replace(baseline, counts=counts)
