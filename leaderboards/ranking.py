"""Ranks with ties: who is shown to be worse than the first of a group, by a test that is paired by task.

The p-values are exact. With one sample a task the test is McNemar's; otherwise it is the sign-flip permutation test
on per-task pass rates, whose distribution is not sampled but computed (from its characteristic function), so that no
seed and no number of resamples limits it. Intervals play no part: two intervals may overlap and the paired difference
be clear all the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Whole = NDArray[numpy.int64]
    Real = NDArray[numpy.float64]

ALPHA = 0.05
FINEST = 240  # pass rates with a larger common denominator are rounded to one of this
_CHUNK = 1 << 22  # numbers in one batch of distributions


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What ranking needs of a row: for each task, the judged and the passed samples. Tasks are paired by place."""

    judged: tuple[int, ...]
    passed: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """A place: 1 is best. `ties` rows share it. `p_value` is Holm's, against the group's first row; 1 for that row."""

    rank: int
    ties: int
    p_value: float


def rank(rows: Sequence[Scored], alpha: float = ALPHA) -> list[Rank]:
    """Return the ranks of rows that are sorted by descending score.

    The first row opens a group. The rows below it are all tested against it, with Holm's correction over these tests;
    the group ends before the first row that is shown to differ, which opens the next group. A rank is one more than
    the number of rows above the group.
    """
    ranks: list[Rank] = []
    while len(ranks) < len(rows):
        first = len(ranks)
        adjusted = holm(p_values(rows[first], rows[first + 1 :]))
        size = 1 + next((place for place, p in enumerate(adjusted) if p < alpha), len(adjusted))
        ranks += [Rank(rank=first + 1, ties=size, p_value=p) for p in [1.0, *adjusted][:size]]
    return ranks


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for testing them all at once, in the order given. Source: Holm 1979."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for place, which in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * p_values[which]))
        adjusted[which] = largest
    return adjusted


def p_values(first: Scored, others: Sequence[Scored]) -> list[float]:
    """Return the two-sided p-value of each row against the first, over the tasks that both have judged samples of."""
    import numpy

    if not others:
        return []
    changes = numpy.stack([_changes(first, other) for other in others])
    single = numpy.array([_is_single(first) and _is_single(other) for other in others])
    p = numpy.ones(len(others))
    p[single] = _mcnemar(changes[single])
    p[~single] = _sign_flip(changes[~single])
    return [float(value) for value in p]


def _is_single(row: Scored) -> bool:
    return set(row.judged) <= {0, 1}


def _changes(first: Scored, other: Scored) -> Whole:
    """Return the per-task differences of pass rates, as whole multiples of one unit; 0 for tasks not in common."""
    import numpy

    n_a, n_b = numpy.array(first.judged, dtype=numpy.int64), numpy.array(other.judged, dtype=numpy.int64)
    c_a, c_b = numpy.array(first.passed, dtype=numpy.int64), numpy.array(other.passed, dtype=numpy.int64)
    common = (n_a > 0) & (n_b > 0)
    sizes = {int(n) for n in (*numpy.unique(n_a[common]), *numpy.unique(n_b[common]))}
    unit = min(math.lcm(*sizes), FINEST) if sizes else 1
    n_a[~common] = n_b[~common] = 1
    c_a[~common] = c_b[~common] = 0
    return numpy.rint(unit * (c_a / n_a - c_b / n_b)).astype(numpy.int64)


def _mcnemar(changes: Whole) -> Real:
    """Return the exact McNemar p-values for rows of changes of -1, 0 and 1. Source: McNemar 1947, binomial form."""
    import numpy
    from scipy.special import bdtr  # the binomial distribution function; scipy.stats takes a second to import

    lost, gained = (changes > 0).sum(axis=1), (changes < 0).sum(axis=1)
    both: Real = 2.0 * bdtr(numpy.minimum(lost, gained), lost + gained, 0.5)
    return numpy.minimum(both, 1.0)


def _sign_flip(changes: Whole) -> Real:
    """Return the exact sign-flip p-values: how often |sum| is as large as seen, over all signs of the changes.

    With random signs the sum of whole numbers w has the characteristic function prod(cos(w t)). At N > 2 sum(|w|)
    equally spaced t it determines every probability, which one inverse Fourier transform gives.
    """
    import numpy
    from scipy.fft import irfft, next_fast_len

    p = numpy.ones(len(changes))
    sizes = numpy.abs(changes)
    values = numpy.unique(sizes[sizes > 0])
    if not len(values):
        return p
    length = next_fast_len(2 * int(sizes.sum(axis=1).max()) + 2, real=True)
    length += length % 2
    angles = 2 * numpy.pi * numpy.arange(length // 2 + 1) / length
    cosines = numpy.cos(numpy.outer(values, angles))
    logarithms = numpy.log(numpy.maximum(numpy.abs(cosines), 1e-300))
    negative = (cosines < 0).astype(numpy.float64)
    seen = numpy.abs(changes.sum(axis=1))
    distance = numpy.minimum(numpy.arange(length), length - numpy.arange(length))
    step = max(1, _CHUNK // length)
    for start in range(0, len(changes), step):
        batch = slice(start, start + step)
        many = numpy.stack([(sizes[batch] == value).sum(axis=1) for value in values], axis=1).astype(numpy.float64)
        sign = 1.0 - 2.0 * numpy.mod(many @ negative, 2.0)
        chances = irfft(sign * numpy.exp(many @ logarithms), n=length, axis=1)
        p[batch] = (chances * (distance[None, :] >= seen[batch, None])).sum(axis=1)
    return numpy.clip(p, 0.0, 1.0)
