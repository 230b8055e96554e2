"""Difficulty tiers that were measured: from the pass rates of earlier runs, or from a teacher's ratings.

Tasks are ranked by their failure rate, drawn towards the mean as far as few samples leave it to luck
(`harness.shrinkage`), or by their mean rating, and cut into three. Equal tasks share a tier: a cut moves to the nearest
place where the value changes, so that tiers may be of unequal size, and with two values none is medium.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean

from harness.errors import UsageError
from harness.evidence import clean, shown
from harness.records import Benchmark
from harness.runs import Run
from harness.scores import TierKind, TierSource
from harness.shrinkage import fit
from harness.tiers import NAMES, TaskTier, Tiers, cut_text, in_order

Thresholds = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """How hard somebody finds a task: any finite number, higher for harder."""

    task_id: str
    rating: float


def tiers_from_runs(benchmark: Benchmark, runs: Sequence[Run], thresholds: Thresholds | None = None) -> Tiers:
    """Return tiers by the failure rates of tasks in finished runs, the samples of all runs counting alike.

    Tasks without a judged sample count as the mean task. `thresholds` are failure rates (None: tertiles of the tasks
    with samples). Raises UsageError for runs of other data, of different tasks, drawn alike or stopped early, and for
    runs in which tasks differ no more than by luck.
    """
    _see_runs_fit(benchmark, runs)
    counts = {task.task_id: (0, 0) for task in benchmark.tasks}
    inputs = []
    for run in runs:
        own = run.baseline().counts
        inputs.append({"model": run.config.model, "counts": sorted(own.items())})
        for task, (judged, passed) in own.items():
            before = counts[task]
            counts[task] = (before[0] + judged, before[1] + judged - passed)
    prior = fit(list(counts.values()))
    if prior is None:
        raise UsageError(_why_no_prior(max(judged for judged, _ in counts.values())))
    rates = {task: prior.rate(judged, failed) for task, (judged, failed) in counts.items()}
    there = [task for task, (judged, _) in counts.items() if judged]
    settings = {
        "runs": ", ".join(f"{clean(run.config.model, 200)} ({run.report.fingerprint:.12})" for run in runs),
        "cut": cut_text(thresholds),
        "samples": str(sum(judged for judged, _ in counts.values())),
        "prior_mean": f"{prior.mean:.4f}",
        "prior_samples": f"{prior.samples:.4f}",
        "reliability": f"{prior.reliability(list(counts.values())):.4f}",
        "tasks_without_samples": str(len(counts) - len(there)),
    }
    low, high = in_order(thresholds) or _cuts([rates[task] for task in there], "these runs")
    tasks = (
        TaskTier(
            task_id=task,
            tier=_tier(rate, low, high),
            hardness=rate,
            evidence=counts[task][0],
            pass_rate=1 - counts[task][1] / counts[task][0] if counts[task][0] else None,
        )
        for task, rate in rates.items()
    )
    source = TierSource(kind=TierKind.RUNS, settings=settings, digest=_digest(inputs))
    return Tiers(benchmark=benchmark.name, dataset_digest=benchmark.digest, source=source, tasks=tuple(tasks))


def tiers_from_ratings(
    benchmark: Benchmark, ratings: Iterable[Rating], thresholds: Thresholds | None = None, rated_by: str = ""
) -> Tiers:
    """Return tiers by the mean rating of each task; `thresholds` are ratings (None: tertiles).

    `rated_by` says in words who rated, and is kept with the source. Raises UsageError unless every task of the
    benchmark, and no other, is rated by finite numbers.
    """
    rated: dict[str, list[float]] = {task.task_id: [] for task in benchmark.tasks}
    for one in ratings:
        if one.task_id not in rated:
            raise UsageError(f"rating of {shown(one.task_id)}, which is no task of {benchmark.name}: take it out")
        if not math.isfinite(one.rating):
            raise UsageError(f"the rating of {shown(one.task_id)} is {one.rating}: give a finite number")
        rated[one.task_id].append(one.rating)
    missing = [task for task, given in rated.items() if not given]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(rated)} tasks of {benchmark.name} are not rated, e.g. {shown(missing[0])}: "
            "give every task a rating"
        )
    means = {task: fmean(given) for task, given in rated.items()}
    low, high = in_order(thresholds) or _cuts(list(means.values()), "these ratings")
    settings = {"cut": cut_text(thresholds), "ratings": str(sum(map(len, rated.values())))}
    if rated_by:
        settings["rated_by"] = clean(rated_by, 200)
    return Tiers(
        benchmark=benchmark.name,
        dataset_digest=benchmark.digest,
        source=TierSource(kind=TierKind.RATINGS, settings=settings, digest=_digest(_in_order(rated))),
        tasks=tuple(
            TaskTier(task_id=task, tier=_tier(mean, low, high), hardness=mean, evidence=len(rated[task]))
            for task, mean in means.items()
        ),
    )


def _in_order(rated: Mapping[str, list[float]]) -> list[tuple[str, list[float]]]:
    return sorted((task, sorted(given)) for task, given in rated.items())


def _digest(inputs: object) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _see_runs_fit(benchmark: Benchmark, runs: Sequence[Run]) -> None:
    if not runs:
        raise UsageError("name at least one finished run to take tiers from")
    drawn: dict[tuple[object, ...], Run] = {}
    for run in runs:
        config = run.config
        if (config.benchmark, config.dataset_digest) != (benchmark.name, benchmark.digest):
            raise UsageError(
                f"{run.folder} is a run of {shown(config.benchmark)} (data {clean(config.dataset_digest[:12])}), not "
                f"of {shown(benchmark.name)} (data {benchmark.digest[:12]}): leave it out, or evaluate its model again"
            )
        if run.report.stopped_early:
            raise UsageError(f"{run.folder} was stopped early: leave it out, or evaluate its model wholly")
        if _reached(run) != _reached(runs[0]):
            raise UsageError(
                f"{run.folder} and {runs[0].folder} are of different tasks, so that a task's rate would depend on who "
                "was asked it: leave one out, or evaluate both on the same tasks"
            )
        alike = (config.model, config.model_digest, config.protocol, config.temperature, config.top_p, config.seed)
        if alike in drawn:
            raise UsageError(
                f"{run.folder} and {drawn[alike].folder} hold samples of one model drawn alike, which would count "
                "twice: leave one out, or draw with another --seed"
            )
        drawn[alike] = run


def _reached(run: Run) -> frozenset[str]:
    return frozenset(run.config.task_ids) - frozenset(run.report.missing_tasks)


def _why_no_prior(most: int) -> str:
    if most < 2:
        return (
            "no task has two samples in these runs, so that luck cannot be told from difficulty: "
            "name more runs (--from-runs), or some with several samples a task (harness eval -n 10)"
        )
    return (
        "in these runs tasks differ no more than by luck, so they give no tiers: "
        "name more runs (--from-runs), or some with more samples a task (harness eval -n 10)"
    )


def _tier(value: float, low: float, high: float) -> str:
    return NAMES[2] if value >= high else NAMES[0] if value < low else NAMES[1]


def _cuts(values: Sequence[float], what: str) -> Thresholds:
    """Return where medium and hard begin. Raises UsageError when all values are equal."""
    numbers = Counter(values)
    distinct = sorted(numbers)
    if len(distinct) < 2:
        raise UsageError(f"by {what} all tasks are equally hard, so they give no tiers: give more of them")
    below = list(accumulate(numbers[value] for value in distinct))[:-1]  # tasks below each value but the first

    def away(edge: int, share: float) -> float:
        return abs(below[edge] - share * len(values))

    edges = range(len(below))
    low = min(edges, key=lambda edge: away(edge, 1 / 3))
    high = min(edges, key=lambda edge: away(edge, 2 / 3))
    if low == high and len(below) > 1:  # one of the two moves on, so that some tasks are medium
        down = away(low - 1, 1 / 3) - away(low, 1 / 3) if low > 0 else math.inf
        up = away(high + 1, 2 / 3) - away(high, 2 / 3) if high + 1 < len(below) else math.inf
        low, high = (low - 1, high) if down < up else (low, high + 1)
    return distinct[low + 1], distinct[high + 1]
