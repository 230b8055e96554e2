"""Difficulty tiers of a benchmark: which tasks are easy, medium and hard, by their reference programs.

A tier is a third of the tasks by the Code Difficulty Metric (thresholds that are absolute numbers do not move from
one corpus to another: all of HumanEval would be hard by those of the paper), or lies between two thresholds given. A
benchmark that was made in tiers, such as the ladder, brings its own. Tiers from earlier runs and from ratings are
`harness.measured_tiers`'.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from harness.difficulty import Difficulty, Weights, familiar_constructs, measure
from harness.errors import UsageError
from harness.records import Benchmark
from harness.scores import TierKind, TierSource

NAMES = ("easy", "medium", "hard", "expert")  # in the order of reports; the metric gives the first three
PAPER_THRESHOLDS = (2.0, 4.0)  # arXiv 2407.10194, for its own small language


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRule:
    """How tiers are made: the metric's weights, and two thresholds (None: the benchmark's own, or its tertiles)."""

    weights: Weights = field(default_factory=Weights)
    thresholds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTier:
    """One task's tier, and what it was measured by.

    `difficulty` is that of its reference (None: it does not parse, and counts as hard; or other things were measured).
    `hardness` is what the tiers were cut by, higher for harder: the overall metric, a failure rate, a mean rating.
    `evidence` counts the samples or ratings behind it, `pass_rate` is that of these samples.
    """

    task_id: str
    tier: str
    difficulty: Difficulty | None = None
    hardness: float | None = None
    evidence: int | None = None
    pass_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiers:
    """The tiers of all tasks of a benchmark, in the order of the tasks, and where they come from."""

    benchmark: str
    dataset_digest: str
    source: TierSource
    tasks: tuple[TaskTier, ...]

    def by_task(self) -> dict[str, str]:
        """Return the tier of each task."""
        return {one.task_id: one.tier for one in self.tasks}

    def digest(self) -> str:
        """Return the SHA-256 over all of it, as 64 hex digits."""
        return hashlib.sha256(json.dumps(msgspec.to_builtins(self), sort_keys=True).encode()).hexdigest()


def tiers_of(benchmark: Benchmark, rule: TierRule | None = None) -> tuple[TaskTier, ...]:
    """Return the tier of every task, in the order of the tasks: its own if it has one and no thresholds are given.

    Raises UsageError for thresholds out of order.
    """
    rule = rule or TierRule()
    sources = [task.reference for task in benchmark.tasks]
    familiar = familiar_constructs(sources) if rule.weights.unfamiliar else frozenset()
    measured = [measure(source, rule.weights, familiar) for source in sources]
    overall = [one.overall for one in measured if one is not None]
    low, high = in_order(rule.thresholds) or benchmark.tier_thresholds or tertiles(overall)
    return tuple(
        TaskTier(
            task_id=task.task_id,
            tier=task.tier if task.tier and not rule.thresholds else _tier(one, low, high),
            difficulty=one,
            hardness=one.overall if one else None,
        )
        for task, one in zip(benchmark.tasks, measured, strict=True)
    )


def static_tiers(benchmark: Benchmark, rule: TierRule | None = None) -> Tiers:
    """Return the tiers of `tiers_of` with their source. Raises UsageError as it does."""
    rule = rule or TierRule()
    tasks = tiers_of(benchmark, rule)
    if not rule.thresholds and benchmark.tasks and all(task.tier for task in benchmark.tasks):
        source = TierSource(kind=TierKind.OWN, digest=benchmark.digest)
    else:
        cut = rule.thresholds or benchmark.tier_thresholds
        settings = {"cut": cut_text(cut), "halstead": rule.weights.halstead.value}
        for name in ("length", "unfamiliar"):
            if weight := getattr(rule.weights, name):
                settings[name] = f"{weight:g}"
        source = TierSource(kind=TierKind.STATIC, settings=settings, digest=benchmark.digest)
    return Tiers(benchmark=benchmark.name, dataset_digest=benchmark.digest, source=source, tasks=tasks)


def source_text(source: TierSource) -> str:
    """Return where tiers come from, in words."""
    what = {
        TierKind.STATIC: "difficulty of the reference solutions",
        TierKind.OWN: "the benchmark's own",
        TierKind.RUNS: "pass rates of earlier runs",
        TierKind.RATINGS: "ratings",
        TierKind.PREDICTED: "predicted",
    }[source.kind]
    names = [source.settings[key] for key in ("runs", "rated_by", "predicted_by", "cut") if key in source.settings]
    return f"{what} ({'; '.join(names)})" if names else what


def in_order(thresholds: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the thresholds as they are. Raises UsageError unless they are numbers, the first not the larger."""
    if thresholds and not thresholds[0] <= thresholds[1]:
        raise UsageError(f"thresholds {thresholds[0]:g} and {thresholds[1]:g}: the first is to be the smaller")
    return thresholds


def cut_text(thresholds: tuple[float, float] | None) -> str:
    """Return how tiers were cut, in words."""
    return f"thresholds {thresholds[0]:g} and {thresholds[1]:g}" if thresholds else "tertiles"


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
