"""Shrunk failure rates against numbers worked out by hand, simulation, and scipy's likelihood."""

from __future__ import annotations

import math
import random

import pytest

from harness.shrinkage import Prior, fit


def test_four_tasks_by_hand() -> None:
    # p = 1/2; S = 4 (1/4 + 1/16 + 1/16 + 1/4) = 5/2; k - 1 = 3; N - sum n²/N - 3 = 16 - 4 - 3 = 9
    # c = (5/2 / (1/4) - 3) / 9 = 7/9, so a + b = 2/7
    prior = fit([(4, 0), (4, 1), (4, 3), (4, 4)])
    assert prior is not None
    assert prior.mean == 0.5
    assert prior.samples == pytest.approx(2 / 7)
    assert prior.rate(4, 0) == pytest.approx((1 / 7) / (30 / 7))
    assert prior.rate(0, 0) == 0.5


def test_tasks_of_unequal_samples_by_hand() -> None:
    # N = 12, p = 1/3; S = 2 (1/3)² + 8 (7/24)² ... for (2, 0), (2, 2), (8, 2): p_i = 0, 1, 1/4
    # S = 2/9 + 8/9 + 8/144 = 7/6; p(1-p) = 2/9; k - 1 = 2; N - sum n²/N - 2 = 12 - 6 - 2 = 4
    # c = (21/4 - 2) / 4 = 13/16, so a + b = 3/13
    prior = fit([(2, 0), (2, 2), (8, 2), (0, 0)])
    assert prior is not None
    assert (prior.mean, prior.samples) == (pytest.approx(1 / 3), pytest.approx(3 / 13))


def test_few_samples_are_drawn_further_than_many() -> None:
    prior = Prior(mean=0.4, samples=4.0)
    assert prior.rate(1, 1) == pytest.approx(2.6 / 5)
    assert prior.rate(100, 100) == pytest.approx(101.6 / 104)
    assert prior.reliability([(4, 0), (12, 1), (0, 0)]) == pytest.approx((0.5 + 0.75) / 2)
    assert prior.reliability([(0, 0)]) == 0.0


@pytest.mark.parametrize(
    "counts",
    [
        [],
        [(0, 0), (0, 0)],
        [(10, 3)],
        [(1, 0), (1, 1), (1, 1)],  # one sample each: luck and difficulty look alike
        [(5, 0), (5, 0)],
        [(5, 5), (5, 5)],
        [(10, 5), (10, 5), (10, 5)],  # less spread than luck alone gives
    ],
)
def test_what_cannot_be_told_from_luck_has_no_prior(counts: list[tuple[int, int]]) -> None:
    assert fit(counts) is None


def test_samples_that_always_agree_are_not_drawn_at_all() -> None:
    prior = fit([(3, 0), (3, 3), (3, 0), (3, 3)])
    assert prior is not None
    assert prior.samples == pytest.approx(0.0, abs=1e-9)
    assert prior.rate(3, 3) == 1.0


@pytest.mark.parametrize(("a", "b"), [(2.0, 3.0), (0.5, 0.5), (8.0, 2.0)])
def test_a_known_distribution_is_found_again(a: float, b: float) -> None:
    from scipy.stats import betabinom

    draw = random.Random(7)
    counts = []
    for _ in range(4000):
        judged, rate = draw.choice([2, 5, 20]), draw.betavariate(a, b)
        counts.append((judged, sum(draw.random() < rate for _ in range(judged))))
    prior = fit(counts)
    assert prior is not None
    assert prior.mean == pytest.approx(a / (a + b), abs=0.02)
    assert prior.samples == pytest.approx(a + b, rel=0.12)

    def likelihood(samples: float) -> float:
        shape = (samples * prior.mean, samples * (1 - prior.mean))
        return math.fsum(betabinom.logpmf([c for _, c in counts], [n for n, _ in counts], *shape))

    found = likelihood(prior.samples)  # near the top of the likelihood: twice or half the strength fits far worse
    assert found > max(likelihood(prior.samples * 2), likelihood(prior.samples / 2)) + 10


def test_shrunk_rates_lie_nearer_to_the_truth() -> None:
    draw = random.Random(3)
    truth = [draw.betavariate(3, 5) for _ in range(1000)]
    counts = [(n := draw.choice([1, 2, 10]), sum(draw.random() < rate for _ in range(n))) for rate in truth]
    prior = fit(counts)
    assert prior is not None
    raw = math.fsum((c / n - rate) ** 2 for (n, c), rate in zip(counts, truth, strict=True))
    shrunk = math.fsum((prior.rate(n, c) - rate) ** 2 for (n, c), rate in zip(counts, truth, strict=True))
    assert shrunk < raw / 3
