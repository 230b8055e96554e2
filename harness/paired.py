"""Paired statistics of two runs over the same tasks: difference, interval, p-value, power. Pure functions.

Two models meet the same tasks, and tasks differ far more than models do, so everything here is about the per-task
differences of pass rates. scipy does what it has: the exact test, the permutation test, the bootstrap and quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

RESAMPLES = 9_999
SEED = 20_261_121
POWER = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """B's pass rate minus A's over the same tasks, all in -1..1.

    `low` and `high` bound a two-sided interval at 1 - alpha. `p_value` is two-sided for "no difference", `p_worse` and
    `p_better` are one-sided. `smallest_effect` is the difference that this many tasks show with 80 % power.
    """

    value: float
    low: float
    high: float
    p_value: float
    p_worse: float
    p_better: float
    smallest_effect: float
    test: str


def difference(before: Sequence[float], after: Sequence[float], alpha: float = 0.05) -> Difference:
    """Compare per-task pass rates, paired by position. Raises ValueError for unequal or no tasks.

    One sample a task (all rates 0 or 1): the exact McNemar test and Tango's score interval. Otherwise:
    the sign-flip permutation test and the percentile bootstrap over tasks.
    """
    if len(before) != len(after) or not before:
        raise ValueError(f"{len(before)} and {len(after)} tasks cannot be paired")
    changes = [b - a for a, b in zip(before, after, strict=True)]
    if all(rate in (0.0, 1.0) for rate in (*before, *after)):
        return _of_outcomes(changes, alpha)
    return _of_rates(changes, alpha)


def mcnemar(lost: int, gained: int, alternative: str = "two-sided") -> float:
    """Return the exact McNemar p-value for the tasks that only one of two runs passes.

    `alternative` "greater" asks whether losses prevail, "less" whether gains do. Source: McNemar 1947, in its exact
    (binomial) form.
    """
    from scipy.stats import binomtest

    if lost + gained == 0:
        return 1.0
    return float(binomtest(lost, lost + gained, 0.5, alternative=alternative).pvalue)


def _of_outcomes(changes: list[float], alpha: float) -> Difference:
    lost, gained, tasks = changes.count(-1.0), changes.count(1.0), len(changes)
    low, high = tango(lost, gained, tasks, alpha)
    return Difference(
        value=(gained - lost) / tasks,
        low=low,
        high=high,
        p_value=mcnemar(lost, gained),
        p_worse=mcnemar(lost, gained, "greater"),
        p_better=mcnemar(lost, gained, "less"),
        smallest_effect=smallest_effect(changes, alpha),
        test="exact McNemar",
    )


def tango(lost: int, gained: int, tasks: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return the score interval for a difference of paired proportions (gains minus losses), in -1..1.

    The differences that a score test at `alpha` does not refuse; it keeps a width where nothing changed.
    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17, 891-908.
    """
    from scipy.optimize import brentq

    seen, edge, critical = (gained - lost) / tasks, 1.0 - 1e-12, _quantile(1 - alpha / 2)

    def score(change: float) -> float:
        """The score statistic for a true difference of `change`, with the nuisance parameter at its maximum."""
        b = -gained - lost + (2 * tasks - gained + lost) * change
        c = -lost * change * (1 - change)
        losses = (math.sqrt(max(0.0, b * b - 8 * tasks * c)) - b) / (4 * tasks)
        variance = tasks * (2 * losses + change * (1 - change))
        distance = gained - lost - tasks * change
        if variance > 0:
            return distance / math.sqrt(variance)
        return 0.0 if abs(distance) < 1e-9 else math.copysign(math.inf, distance)

    low, high = -1.0, 1.0
    if seen > -1.0 and score(-edge) > critical:
        low = float(brentq(lambda change: score(change) - critical, -edge, seen))
    if seen < 1.0 and score(edge) < -critical:
        high = float(brentq(lambda change: score(change) + critical, seen, edge))
    return low, high


def _of_rates(changes: list[float], alpha: float) -> Difference:
    import numpy
    from scipy.stats import bootstrap, permutation_test

    values = numpy.asarray(changes)
    mean = float(values.mean())
    if not values.any():
        low, high = tango(0, 0, len(changes), alpha)
        p_two = p_worse = p_better = 1.0
    else:
        settings: dict[str, Any] = {"n_resamples": RESAMPLES, "vectorized": True}
        interval = bootstrap(
            (values,),
            numpy.mean,
            confidence_level=1 - alpha,
            method="percentile" if len(changes) < 3 else "BCa",
            rng=numpy.random.default_rng(SEED),
            **settings,
        ).confidence_interval
        low, high = _finite(interval.low, mean), _finite(interval.high, mean)
        p_two, p_worse, p_better = (
            float(
                permutation_test(
                    (values,),
                    lambda sample, axis: numpy.mean(sample, axis=axis),
                    permutation_type="samples",
                    alternative=alternative,
                    rng=numpy.random.default_rng(SEED),
                    **settings,
                ).pvalue
            )
            for alternative in ("two-sided", "less", "greater")
        )
    return Difference(
        value=mean,
        low=low,
        high=high,
        p_value=p_two,
        p_worse=p_worse,
        p_better=p_better,
        smallest_effect=smallest_effect(changes, alpha),
        test="sign-flip permutation, bootstrap interval",
    )


def _finite(bound: float, otherwise: float) -> float:
    return float(bound) if math.isfinite(bound) else otherwise


def smallest_effect(changes: Sequence[float], alpha: float = 0.05, power: float = POWER) -> float:
    """Return the difference that a two-sided test at `alpha` shows with the given power on tasks like these.

    (z(1-alpha/2) + z(power)) times the standard error of the mean change, whose variance is taken with one pseudo-task
    of either kind, so that it is not zero where no task changed. In 0..1.
    """
    tasks = len(changes)
    mean = sum(changes) / (tasks + 2)
    variance = (sum(change**2 for change in changes) + 2) / (tasks + 2) - mean**2
    return min(1.0, (_quantile(1 - alpha / 2) + _quantile(power)) * math.sqrt(variance / tasks))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for testing them all at once, in the order given. Source: Holm 1979."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def _quantile(probability: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)
