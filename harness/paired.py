"""Paired statistics of two runs over the same tasks: difference, interval, p-value, power. Pure functions.

Two models meet the same tasks, and tasks differ far more than models do, so everything here is about the per-task
differences of pass rates. scipy does what it has: the exact test, the permutation test, the bootstrap and quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

RESAMPLES = 9_999
SEED = 20_261_121
POWER = 0.8
_NORMAL = NormalDist()


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
    the sign-flip permutation test and the bootstrap over tasks (BCa; Efron 1987).
    """
    changes = _changes(before, after)
    return (_of_outcomes if _is_one_sample_each(before, after) else _of_rates)(changes, alpha)


def interval(before: Sequence[float], after: Sequence[float], alpha: float = 0.05) -> tuple[float, float]:
    """Return the interval of `difference` alone, which is quicker. Raises ValueError as it does."""
    changes = _changes(before, after)
    if _is_one_sample_each(before, after):
        return tango(changes.count(-1.0), changes.count(1.0), len(changes), alpha)
    return _bootstrap(changes, alpha)


def mcnemar(lost: int, gained: int, alternative: str = "two-sided") -> float:
    """Return the exact McNemar p-value for the tasks that only one of two runs passes.

    `alternative` "greater" asks whether losses prevail, "less" whether gains do. Source: McNemar 1947, in its exact
    (binomial) form.
    """
    from scipy.stats import binomtest

    if lost + gained == 0:
        return 1.0
    return float(binomtest(lost, lost + gained, 0.5, alternative=alternative).pvalue)


def p_beyond(before: Sequence[float], after: Sequence[float], margin: float) -> float:
    """Return the one-sided p-value for "the pass rate fell by no more than `margin`" (in 0..1), paired by position.

    One sample a task: the exact McNemar test, and for a margin above 0 also Tango's score test at it, with one lost
    task taken for a kept one as continuity correction (without it, false alarms at alpha 0.05 reach 0.09); the larger
    p-value counts. Otherwise the sign-flip permutation test of the changes above the margin. Raises ValueError for
    unequal or no tasks.
    """
    changes = _changes(before, after)
    if margin >= 1.0:
        return 1.0
    if not _is_one_sample_each(before, after):
        return _permutation(changes, margin).p_worse
    lost, gained = changes.count(-1.0), changes.count(1.0)
    exact = mcnemar(lost, gained, "greater")
    return exact if margin == 0.0 else max(exact, _NORMAL.cdf(_score(lost, gained, len(changes), -margin, 1)))


def _changes(before: Sequence[float], after: Sequence[float]) -> list[float]:
    if len(before) != len(after) or not before:
        raise ValueError(f"{len(before)} and {len(after)} tasks cannot be paired")
    return [float(b - a) for a, b in zip(before, after, strict=True)]


def _is_one_sample_each(before: Sequence[float], after: Sequence[float]) -> bool:
    return all(rate in (0.0, 1.0) for rate in (*before, *after))


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

    seen, edge, critical = (gained - lost) / tasks, 1.0 - 1e-12, _NORMAL.inv_cdf(1 - alpha / 2)

    def score(change: float) -> float:
        return _score(lost, gained, tasks, change)

    low, high = -1.0, 1.0
    if seen > -1.0 and score(-edge) > critical:
        low = float(brentq(lambda change: score(change) - critical, -edge, seen))
    if seen < 1.0 and score(edge) < -critical:
        high = float(brentq(lambda change: score(change) + critical, seen, edge))
    return low, high


def _score(lost: int, gained: int, tasks: int, change: float, kept: int = 0) -> float:
    """Return Tango's statistic for a true difference of `change`, the nuisance parameter at its maximum.

    `kept` is added to what is seen, in tasks.
    """
    b = -gained - lost + (2 * tasks - gained + lost) * change
    c = -lost * change * (1 - change)
    losses = (math.sqrt(max(0.0, b * b - 8 * tasks * c)) - b) / (4 * tasks)
    variance = tasks * (2 * losses + change * (1 - change))
    distance = gained - lost + kept - tasks * change
    if variance > 0:
        return distance / math.sqrt(variance)
    return 0.0 if abs(distance) < 1e-9 else math.copysign(math.inf, distance)


def _of_rates(changes: list[float], alpha: float) -> Difference:
    low, high = _bootstrap(changes, alpha)
    test = _permutation(changes)
    return Difference(
        value=sum(changes) / len(changes),
        low=low,
        high=high,
        p_value=test.p_value,
        p_worse=test.p_worse,
        p_better=test.p_better,
        smallest_effect=smallest_effect(changes, alpha),
        test="sign-flip permutation, bootstrap interval",
    )


def _bootstrap(changes: list[float], alpha: float) -> tuple[float, float]:
    """Return the interval of the mean change; where all tasks changed alike, Tango's for that many changes."""
    import numpy
    from scipy.stats import bootstrap

    first, tasks = changes[0], len(changes)
    if all(change == first for change in changes):
        low, high = tango(tasks if first < 0 else 0, tasks if first > 0 else 0, tasks, alpha)
        return (low, high) if first == 0 else (abs(first) * low, abs(first) * high)
    found = bootstrap(
        (numpy.asarray(changes),),
        numpy.mean,
        confidence_level=1 - alpha,
        method="percentile" if tasks < 3 else "BCa",
        n_resamples=RESAMPLES,
        vectorized=True,
        rng=numpy.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


@dataclass(frozen=True, slots=True)
class _PermutationTest:
    p_value: float
    p_worse: float
    p_better: float


def _permutation(changes: list[float], margin: float = 0.0) -> _PermutationTest:
    """Flip the signs of the changes above `-margin`; exact where the flips are few enough to take them all."""
    import numpy
    from scipy.stats import permutation_test

    values = numpy.asarray(changes) + margin
    if not values.any():
        return _PermutationTest(1.0, 1.0, 1.0)
    if len(values) == 1:  # which scipy refuses
        return _PermutationTest(1.0, 0.5 if values[0] < 0 else 1.0, 0.5 if values[0] > 0 else 1.0)
    p_values = (
        permutation_test(
            (values,),
            lambda sample, axis: numpy.mean(sample, axis=axis),
            permutation_type="samples",
            alternative=alternative,
            n_resamples=RESAMPLES,
            vectorized=True,
            rng=numpy.random.default_rng(SEED),
        ).pvalue
        for alternative in ("two-sided", "less", "greater")
    )
    return _PermutationTest(*map(float, p_values))


def smallest_effect(changes: Sequence[float], alpha: float = 0.05, power: float = POWER) -> float:
    """Return the difference that a two-sided test at `alpha` shows with the given power on tasks like these.

    (z(1-alpha/2) + z(power)) times the standard error of the mean change, whose variance is taken with one pseudo-task
    of either kind, so that it is not zero where no task changed. In 0..1.
    """
    tasks = len(changes)
    mean = sum(changes) / (tasks + 2)
    variance = (sum(change**2 for change in changes) + 2) / (tasks + 2) - mean**2
    return min(1.0, (_NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)) * math.sqrt(variance / tasks))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for testing them all at once, in the order given. Source: Holm 1979."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
