"""Failure rates of tasks, drawn towards the mean of all tasks as far as their few samples leave them to luck.

The samples of a task are binomial, the tasks' rates a beta distribution fitted to them (empirical Bayes). A rate is
its posterior mean, (failed + a) / (samples + a + b), so that one sample moves a task little and a hundred move it
nearly all the way. The distribution is fitted by moments, tasks weighted by their samples: Kleinman 1973, "Proportions
with extraneous variance: single and independent samples", Journal of the American Statistical Association 68, 46-54.
Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """How failure rates vary from task to task: their mean (0..1), and how many samples that mean is worth."""

    mean: float
    samples: float

    def rate(self, judged: int, failed: int) -> float:
        """Return the failure rate of a task, in 0..1, drawn towards the mean; without samples it is the mean."""
        if not judged:
            return self.mean
        return (failed + self.samples * self.mean) / (judged + self.samples)

    def reliability(self, counts: Sequence[tuple[int, int]]) -> float:
        """Return which share of the spread of the tasks' rates is difficulty and not luck, in 0..1, on average."""
        return sum(judged / (judged + self.samples) for judged, _ in counts if judged) / max(
            1, sum(judged > 0 for judged, _ in counts)
        )


def fit(counts: Sequence[tuple[int, int]]) -> Prior | None:
    """Return the prior of tasks from their (judged, failed) samples; None where it cannot be told from luck.

    That is so when no task has two samples, when all samples passed or all failed, and when the rates vary no more
    than those of equal tasks would. With n_i samples and rate p_i of task i, N samples in all and their rate p, the
    spread S = sum n_i (p_i - p)² has the mean p(1-p) [k-1 + c (N - sum n_i²/N - (k-1))] over k tasks, where
    c = 1 / (1 + a + b) is the correlation of two samples of one task; this is solved for c.
    """
    there = [(judged, failed) for judged, failed in counts if judged]
    total = sum(judged for judged, _ in there)
    mean = sum(failed for _, failed in there) / total if total else 0.0
    binomial = mean * (1.0 - mean)
    degrees = len(there) - 1
    seen = total - sum(judged**2 for judged, _ in there) / total - degrees if total else 0.0
    if binomial == 0.0 or degrees < 1 or seen <= 1e-9:
        return None
    spread = sum(judged * (failed / judged - mean) ** 2 for judged, failed in there)
    correlation = min(1.0, (spread / binomial - degrees) / seen)
    return Prior(mean=mean, samples=1.0 / correlation - 1.0) if correlation > 1e-9 else None
