"""Difficulty tiers of a benchmark: which tasks are easy, medium and hard, by their reference programs.

A tier is a third of the tasks by the Code Difficulty Metric (thresholds that are absolute numbers do not move from
one corpus to another: all of HumanEval would be hard by those of the paper), or lies between two thresholds given. A
benchmark that was made in tiers, such as the ladder, brings its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness import metrics
from harness.difficulty import Difficulty, Weights, familiar_constructs, measure
from harness.errors import UsageError
from harness.records import Benchmark, TierScore

NAMES = ("easy", "medium", "hard", "expert")  # in the order of reports; the metric gives the first three
PAPER_THRESHOLDS = (2.0, 4.0)  # arXiv 2407.10194, for its own small language


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRule:
    """How tiers are made: the metric's weights, and two thresholds (None: the benchmark's own, or its tertiles)."""

    weights: Weights = field(default_factory=Weights)
    thresholds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTier:
    """One task's tier, and what it was measured by (None: its reference does not parse, and it counts as hard)."""

    task_id: str
    tier: str
    difficulty: Difficulty | None


def tiers_of(benchmark: Benchmark, rule: TierRule | None = None) -> tuple[TaskTier, ...]:
    """Return the tier of every task, in the order of the tasks: its own if it has one and no thresholds are given.

    Raises UsageError for thresholds out of order.
    """
    rule = rule or TierRule()
    sources = [task.reference for task in benchmark.tasks]
    familiar = familiar_constructs(sources) if rule.weights.unfamiliar else frozenset()
    measured = [measure(source, rule.weights, familiar) for source in sources]
    overall = [one.overall for one in measured if one is not None]
    low, high = rule.thresholds or benchmark.tier_thresholds or tertiles(overall)
    if low > high:
        raise UsageError(f"thresholds {low:g} and {high:g}: the first is to be the smaller")
    return tuple(
        TaskTier(
            task_id=task.task_id,
            tier=task.tier if task.tier and not rule.thresholds else _tier(one, low, high),
            difficulty=one,
        )
        for task, one in zip(benchmark.tasks, measured, strict=True)
    )


def _tier(difficulty: Difficulty | None, low: float, high: float) -> str:
    if difficulty is None or difficulty.overall >= high:
        return NAMES[2]
    return NAMES[0] if difficulty.overall < low else NAMES[1]


def tertiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the values at which the second and the last third begin (0 and 0 without values)."""
    ordered = sorted(values)
    if not ordered:
        return 0.0, 0.0
    return ordered[len(ordered) // 3], ordered[2 * len(ordered) // 3]


def tier_scores(tiers: Mapping[str, str], counts: Mapping[str, tuple[int, int]]) -> tuple[TierScore, ...]:
    """Return pass@1 of each tier, from the tiers of tasks and the judged and passed samples of tasks.

    The tiers come in the order of `NAMES`, then those of other names, as they come first among the tasks.
    A tier is weak when its interval lies wholly below the pass rate of all tasks together.
    """
    rates = {task: passed / judged for task, (judged, passed) in counts.items() if judged}
    if not rates:
        return ()
    whole = sum(rates.values()) / len(rates)
    scores = []
    found = dict.fromkeys(tiers.values())
    for name in (*(name for name in NAMES if name in found), *(name for name in found if name not in NAMES)):
        inside = [rate for task, rate in rates.items() if tiers.get(task) == name]
        if inside:
            estimate = metrics.estimate(inside)
            scores.append(TierScore(tier=name, tasks=len(inside), pass_at_1=estimate, weak=estimate.high < whole))
    return tuple(scores)
