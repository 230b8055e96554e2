"""Scores over seeds: means, differences paired by seed, and how tables show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

import msgspec

_LEVEL = 0.95


class Mean(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over seeds with its 95 % t interval (None for a single seed), and each seed's value in order."""

    value: float
    low: float | None
    high: float | None
    seeds: tuple[float, ...]


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """An arm minus a control in one score, paired by seed: mean and 95 % t interval, p of a paired t test, seeds won.

    `p_value` and the interval are None for a single seed, or where all seeds differ by exactly the same.
    """

    arm: str
    control: str
    score: str
    difference: Mean
    p_value: float | None
    won: int


def mean_of(values: Sequence[float]) -> Mean:
    """Return the mean with mean +- t(0.975, n-1) s / sqrt(n), Student's interval for a normal mean."""
    middle = fmean(values)
    if len(values) < 2:
        return Mean(value=middle, low=None, high=None, seeds=tuple(values))
    from scipy.stats import t

    half = float(t.ppf((1 + _LEVEL) / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return Mean(value=middle, low=middle - half, high=middle + half, seeds=tuple(values))


def paired(arm: str, values: Mapping[int, float], control: str, others: Mapping[int, float], score: str) -> Paired:
    """Compare two arms' values by seed, over the seeds that both have. Raises ValueError when there are none."""
    changes = [value - others[seed] for seed, value in values.items() if seed in others]
    if not changes:
        raise ValueError(f"{arm} and {control} have no seed in common")
    return Paired(
        arm=arm,
        control=control,
        score=score,
        difference=mean_of(changes),
        p_value=_p_value(changes),
        won=sum(change > 0 for change in changes),
    )


def _p_value(changes: Sequence[float]) -> float | None:
    if len(changes) < 2 or stdev(changes) == 0:
        return None
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(changes, 0.0).pvalue)


def mean_in_words(mean: Mean) -> str:
    """Return a mean of shares in per cent, with its interval where it has one."""
    if mean.low is None or mean.high is None:
        return f"{100 * mean.value:.1f}"
    return f"{100 * mean.value:.1f} ({100 * mean.low:.1f} to {100 * mean.high:.1f})"


def difference_in_words(one: Paired | None) -> str:
    """Return a difference of shares in points, with interval, p and seeds won; a dash for none."""
    if one is None:
        return "-"
    mean, seeds = one.difference, len(one.difference.seeds)
    if mean.low is None or mean.high is None:
        return f"{100 * mean.value:+.1f}"
    p_value = "-" if one.p_value is None else f"{one.p_value:.3f}"
    return f"{100 * mean.value:+.1f} ({100 * mean.low:+.1f} to {100 * mean.high:+.1f}; p {p_value}; {one.won}/{seeds})"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
