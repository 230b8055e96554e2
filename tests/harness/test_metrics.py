"""pass@k and intervals, against numbers computed by hand, by scipy and by simulation."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from harness.metrics import estimate, pass_at_k, pass_at_ks, pooled


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [
        (1, 0, 1, 0.0),
        (1, 1, 1, 1.0),
        (4, 1, 1, 1 / 4),
        (5, 2, 2, 7 / 10),  # 1 - C(3,2)/C(5,2) = 1 - 3/10
        (10, 3, 5, 11 / 12),  # 1 - C(7,5)/C(10,5) = 1 - 21/252
        (10, 6, 5, 1.0),  # any five hold one of the six
        (20, 0, 10, 0.0),
        (200, 1, 100, 0.5),
    ],
)
def test_pass_at_k_by_hand(n: int, c: int, k: int, expected: float) -> None:
    assert pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_that_hold_a_pass(case: tuple[int, int, int]) -> None:
    n, c, k = case
    exact = 1 - math.comb(n - c, k) / math.comb(n, k)  # integers of any size: exact up to the last division
    assert pass_at_k(n, c, k) == pytest.approx(exact, abs=1e-12)
    assert 0.0 <= pass_at_k(n, c, k) <= 1.0


@pytest.mark.parametrize(("n", "c", "k"), [(0, 0, 1), (3, 4, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4)])
def test_pass_at_k_refuses_impossible_counts(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, c, k)


@pytest.mark.parametrize(("passed", "tasks"), [(0, 164), (1, 164), (82, 164), (150, 164), (164, 164), (1, 1), (3, 7)])
def test_one_sample_a_task_gives_wilsons_interval(passed: int, tasks: int) -> None:
    found = estimate([1.0] * passed + [0.0] * (tasks - passed))
    wilson = binomtest(passed, tasks).proportion_ci(0.95, method="wilson")
    assert found.value == pytest.approx(passed / tasks)
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)


def test_the_interval_uses_the_effective_sample_size() -> None:
    # mean 1/2, s² = 1/16, so s²/T = 1/64 and n_eff = (1/4)/(1/64) = 16: Wilson's interval for 8 of 16
    found = estimate([0.25, 0.75, 0.25, 0.75])
    wilson = binomtest(8, 16).proportion_ci(0.95, method="wilson")
    assert found.value == 0.5
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)


def test_equal_values_have_the_interval_of_their_number() -> None:
    found = estimate([0.5] * 10)
    wilson = binomtest(5, 10).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40))
def test_the_interval_holds_its_value_and_stays_in_0_to_1(values: list[float]) -> None:
    found = estimate(values)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    assert found.value == pytest.approx(fmean(values), abs=1e-12)


@pytest.mark.parametrize("values", [[], [1.5], [-0.1], [float("nan")]])
def test_an_estimate_refuses_what_is_no_share(values: list[float]) -> None:
    with pytest.raises(ValueError, match="an estimate needs"):
        estimate(values)


@pytest.mark.parametrize(("alpha", "beta", "n"), [(0.6, 1.0, 1), (0.6, 1.0, 10), (3.0, 1.0, 4)])
def test_nineteen_of_twenty_intervals_hold_the_true_rate(alpha: float, beta: float, n: int) -> None:
    """Draw benchmarks of 120 tasks from a population whose mean pass rate is known."""
    generator = np.random.default_rng(2)
    rounds = 600
    truth = alpha / (alpha + beta)
    rates = generator.beta(alpha, beta, size=(rounds, 120))
    shares = generator.binomial(n, rates) / n
    found = [estimate(row) for row in shares.tolist()]
    coverage = fmean(one.low <= truth <= one.high for one in found)
    assert 0.925 <= coverage <= 0.975  # 0.95 plus or minus 2.8 standard errors of 600 rounds


def test_pass_at_ks_offers_the_ks_that_every_task_allows() -> None:
    counts = {"a": (10, 3), "b": (12, 0), "c": (10, 10)}
    found = pass_at_ks(counts)
    assert list(found) == ["1", "10"]
    assert found["1"].value == pytest.approx((0.3 + 0.0 + 1.0) / 3)
    assert found["10"].value == pytest.approx(2 / 3)


def test_pass_at_ks_leaves_tasks_out_that_nobody_judged() -> None:
    assert pass_at_ks({"a": (10, 5), "b": (0, 0)}, ks=(1,)) == pass_at_ks({"a": (10, 5)}, ks=(1,))


@pytest.mark.parametrize("counts", [{}, {"a": (0, 0)}])
def test_pass_at_ks_of_nothing_is_empty(counts: dict[str, tuple[int, int]]) -> None:
    assert pass_at_ks(counts) == {}


def test_pass_at_ks_takes_samples_of_different_number() -> None:
    found = pass_at_ks({"a": (1, 1), "b": (4, 1)})
    assert list(found) == ["1"]
    assert found["1"].value == pytest.approx((1 + 0.25) / 2)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=40))
def test_pooled_is_the_mean_where_tasks_have_as_many_trials(right: list[int]) -> None:
    means, totals = estimate([count / 7 for count in right]), pooled([(count, 7) for count in right])
    assert (totals.value, totals.low, totals.high) == pytest.approx((means.value, means.low, means.high), abs=1e-9)


def test_pooled_weighs_each_task_by_its_trials() -> None:
    found = pooled([(9, 10), (30, 90)])
    assert found.value == pytest.approx(39 / 100)
    # variance of the ratio by hand: ((9 - 3.9) / 50)^2 and ((30 - 35.1) / 50)^2 are both 0.010404
    size = 0.39 * 0.61 / (0.010404 / 2)
    z = 1.959963984540054
    low = (0.39 + z * z / (2 * size) - z * math.sqrt(0.39 * 0.61 / size + (z / (2 * size)) ** 2)) / (1 + z * z / size)
    assert found.low == pytest.approx(low, abs=1e-9)


def test_the_interval_of_pooled_holds_the_truth_as_often_as_it_says() -> None:
    """Texts of 20 to 120 tokens, each with its own rate: what hangs together must not count as independent."""
    dice = np.random.default_rng(11)
    held = 0
    for _ in range(400):
        trials = dice.integers(20, 121, size=60)
        right = dice.binomial(trials, dice.beta(4, 1, size=60))
        found = pooled([(int(c), int(n)) for c, n in zip(right, trials, strict=True)])
        held += found.low <= 0.8 <= found.high
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize("counts", [[], [(0, 0)], [(2, 1)], [(-1, 3)]])
def test_pooled_refuses_counts_that_are_none(counts: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        pooled(counts)
