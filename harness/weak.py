"""How each tier and each half of it fared, and whether it is weak: only when a 95 % interval says so.

By the default rule a tier is weak when its interval lies wholly below the pass rate of all tasks; or below a target;
or when the interval of its paired difference to a baseline run lies wholly below zero and the exact test (McNemar's,
or that of flipped signs) agrees, because the bootstrap of a few tasks is too narrow. A half is measured against its
own side alone: whether a tier's tune half is weak does not depend on any held-back task. Tiers are not corrected for
being several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness import metrics
from harness.half import Half, halves
from harness.paired import interval, p_beyond
from harness.scores import HalfScore, TierScore, WeakKind, WeakRule
from harness.tiers import NAMES

_ONE_SIDED = 0.025  # the side of a 95 % interval


@dataclass(frozen=True, slots=True, kw_only=True)
class TierScores:
    """The scores of all tiers and of both halves of all tasks (None: no judged task in it)."""

    tiers: tuple[TierScore, ...] = ()
    tune: HalfScore | None = None
    held_back: HalfScore | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """A weak rule with what it compares with: the rates of all tasks in question, and the baseline's."""

    rule: WeakRule
    rates: Mapping[str, float]
    baseline: Mapping[str, float] = field(default_factory=dict)

    def score(self, tasks: Iterable[str], side: Mapping[str, float]) -> HalfScore | None:
        """Return the score of those tasks that have a rate, held against a whole side."""
        inside = [task for task in tasks if task in self.rates]
        if not inside:
            return None
        estimate = metrics.estimate([self.rates[task] for task in inside])
        if self.rule.kind is WeakKind.BELOW_BASELINE:
            paired = [task for task in inside if task in self.baseline]
            before, after = [self.baseline[task] for task in paired], [self.rates[task] for task in paired]
            weak = bool(paired) and interval(before, after)[1] < 0 and p_beyond(before, after, 0.0) <= _ONE_SIDED
        elif self.rule.kind is WeakKind.BELOW_TARGET and self.rule.target is not None:
            weak = estimate.high < self.rule.target
        else:
            weak = estimate.high < sum(side.values()) / len(side)
        return HalfScore(tasks=len(inside), pass_at_1=estimate, weak=weak)


def score_tiers(
    tiers: Mapping[str, str],
    counts: Mapping[str, tuple[int, int]],
    rule: WeakRule | None = None,
    baseline: Mapping[str, float] | None = None,
) -> TierScores:
    """Return pass@1 of tiers and halves, from the tiers of tasks and the judged and passed samples of tasks.

    `tiers` are those of all tasks of the benchmark, also of tasks that were not run, since halves depend on them.
    They come in the order of `NAMES`, then those of other names as they come first among the tasks. `baseline` maps
    tasks to pass rates, for the rule that needs them.
    """
    rates = {task: passed / judged for task, (judged, passed) in counts.items() if judged}
    judge = _Judge(rule=rule or WeakRule(), rates=rates, baseline=baseline or {})
    side_of = halves(tiers)
    sides = {half: {task: rate for task, rate in rates.items() if side_of.get(task) is half} for half in Half}
    found = dict.fromkeys(tiers.values())
    scores = []
    for name in (*(name for name in NAMES if name in found), *(name for name in found if name not in NAMES)):
        inside = [task for task in rates if tiers.get(task) == name]
        whole = judge.score(inside, rates)
        if whole is None:
            continue
        tune, held_back = (judge.score([task for task in inside if task in side], side) for side in sides.values())
        scores.append(
            TierScore(
                tier=name,
                tasks=whole.tasks,
                pass_at_1=whole.pass_at_1,
                weak=whole.weak,
                tune=tune,
                held_back=held_back,
            )
        )
    tune, held_back = (judge.score(side, side) for side in sides.values())
    return TierScores(tiers=tuple(scores), tune=tune, held_back=held_back)


def weak_text(rule: WeakRule) -> str:
    """Return when a tier is weak, in words."""
    if rule.kind is WeakKind.BELOW_TARGET and rule.target is not None:
        return f"interval wholly below {rule.target:.1%}"
    if rule.kind is WeakKind.BELOW_BASELINE:
        return f"interval of the paired difference to {rule.baseline} wholly below zero"
    return "interval wholly below the pass rate of all tasks"
