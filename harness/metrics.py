"""pass@k and its confidence interval: pure functions on counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, pvariance

from harness.records import Estimate

Z_95 = 1.959963984540054  # the 97.5 % quantile of the normal distribution
DEFAULT_KS = (1, 10, 100)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate of pass@k of one task, `c` of whose `n` samples passed.

    1 - C(n-c, k) / C(n, k), as a product, which neither overflows nor cancels. Raises `ValueError` unless
    0 <= c <= n and 1 <= k <= n. Source: Chen et al. 2021, equation 1 and figure 3.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, not n={n}, c={c}, k={k}")
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def estimate(per_task: Sequence[float]) -> Estimate:
    """Return the mean of per-task values in 0..1 with a 95 % interval for tasks of this kind.

    The interval is Wilson's, with the sample size that gives a proportion the variance that the mean was seen to
    have: p(1-p) / (s²/T) for T tasks with population variance s². With one sample a task, or where all values are
    equal, that is T, and the interval is exactly Wilson's. Raises `ValueError` without tasks or for other values.
    Sources: Wilson 1927; effective sample size after Korn & Graubard 1998, its use with Wilson's interval after
    Dean & Pagano 2015.
    """
    tasks = len(per_task)
    if not tasks or not all(0.0 <= value <= 1.0 for value in per_task):
        raise ValueError("an estimate needs at least one task, and values in 0..1")
    return _wilson(min(fmean(per_task), 1.0), pvariance(per_task), tasks)


def pooled(per_task: Sequence[tuple[int, int]]) -> Estimate:
    """Return the share of successes in all trials of all tasks, from (successes, trials) of each, with its interval.

    The interval is that of `estimate`, for other tasks of this kind: trials of one task hang together, so the variance
    is that of a ratio of two totals over tasks (Cochran 1977, equation 2.39); where all tasks have as many trials, the
    two are the same. Raises `ValueError` without trials or for counts that are none.
    """
    trials = sum(n for _, n in per_task)
    if not trials or not all(0 <= c <= n for c, n in per_task):
        raise ValueError("an estimate needs at least one trial, and no more successes than trials")
    p = sum(c for c, _ in per_task) / trials
    mean_trials = trials / len(per_task)
    variance = fmean([((c - p * n) / mean_trials) ** 2 for c, n in per_task])
    return _wilson(p, variance, len(per_task))


def _wilson(p: float, variance: float, tasks: int) -> Estimate:
    """Return Wilson's interval about a mean over tasks whose values have this variance."""
    size = tasks if variance == 0.0 else p * (1.0 - p) / (variance / tasks)
    center = (p + Z_95**2 / (2.0 * size)) / (1.0 + Z_95**2 / size)
    half = Z_95 / (1.0 + Z_95**2 / size) * math.sqrt(p * (1.0 - p) / size + (Z_95 / (2.0 * size)) ** 2)
    return Estimate(value=p, low=max(0.0, min(p, center - half)), high=min(1.0, max(p, center + half)))


def pass_at_ks(counts: Mapping[str, tuple[int, int]], ks: Sequence[int] = DEFAULT_KS) -> dict[str, Estimate]:
    """Return pass@k by k (as text) over tasks, from task id -> (samples judged, samples passed).

    Only the k for which every task has k judged samples; tasks without any are left out. Without tasks: empty.
    """
    judged = [(n, c) for n, c in counts.values() if n > 0]
    fewest = min((n for n, _ in judged), default=0)
    return {str(k): estimate([pass_at_k(n, c, k) for n, c in judged]) for k in ks if k <= fewest}
