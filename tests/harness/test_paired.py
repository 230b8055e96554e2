"""Paired statistics against published examples, hand-computed numbers and simulation."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import paired
from harness.paired import difference, holm, mcnemar, p_beyond, smallest_effect, tango


def outcomes(both: int, lost: int, gained: int, neither: int) -> tuple[list[float], list[float]]:
    """Return before and after of a two-by-two table of tasks."""
    before = [1.0] * (both + lost) + [0.0] * (gained + neither)
    after = [1.0] * both + [0.0] * lost + [1.0] * gained + [0.0] * neither
    return before, after


# Bentur et al. 2009 (airway hyper-responsiveness before and after stem cell transplantation), as in Fagerland,
# Lydersen & Laake 2014, "Recommended tests and confidence intervals for paired binomial proportions", Statistics in
# Medicine 33, table II: pairs 1, 1, 7, 12; difference -0.286, Tango's interval (-0.517, -0.026).
def test_tango_of_a_published_example() -> None:
    low, high = tango(lost=7, gained=1, tasks=21)
    assert (round(low, 3), round(high, 3)) == (-0.517, -0.026)
    found = difference(*outcomes(1, 7, 1, 12))
    assert round(found.value, 3) == -0.286
    assert (found.low, found.high) == (low, high)


def test_exact_mcnemar_of_the_same_example() -> None:
    # Of 8 changed pairs 7 are losses: (8 + 1) / 2**8, twice. Fagerland et al. give p = 0.0703.
    assert mcnemar(7, 1, "greater") == pytest.approx(9 / 256)
    assert mcnemar(7, 1) == pytest.approx(18 / 256)
    assert round(difference(*outcomes(1, 7, 1, 12)).p_value, 4) == 0.0703


@pytest.mark.parametrize(
    ("lost", "gained", "worse", "either"),
    [
        (0, 0, 1.0, 1.0),
        (1, 0, 1 / 2, 1.0),
        (5, 0, 1 / 32, 2 / 32),
        (6, 0, 1 / 64, 2 / 64),
        (8, 2, 56 / 1024, 112 / 1024),  # (45 + 10 + 1) / 2**10
        (3, 3, 42 / 64, 1.0),  # (20 + 15 + 6 + 1) / 2**6
        (0, 4, 1.0, 2 / 16),
    ],
)
def test_exact_mcnemar_by_hand(lost: int, gained: int, worse: float, either: float) -> None:
    assert mcnemar(lost, gained, "greater") == pytest.approx(worse)
    assert mcnemar(gained, lost, "less") == pytest.approx(worse)
    assert mcnemar(lost, gained) == pytest.approx(either)


def quartic(lost: int, gained: int, tasks: int, alpha: float) -> tuple[float, float]:
    """Tango's interval without iteration: the outermost real roots of a quartic.

    Source: Yang, Sun & Hardin 2013, "A non-iterative implementation of Tango's score confidence interval for a paired
    difference of proportions", Statistics in Medicine 32, 1336-1342.
    """
    g, n, d, s = NormalDist().inv_cdf(1 - alpha / 2) ** 2, tasks, gained - lost, gained + lost
    m0 = n**2 * (n / g + 1) ** 2
    m1 = -n * d * (n / g + 1) * (4 * n / g + 1)
    m2 = 2 * n * d**2 * (3 * n / g + 2) / g - n**2 * (s / g + 1)
    m3 = n * d * (2 * s / g + 1) - d**3 * (4 * n / g + 1) / g
    m4 = d**2 * (d**2 / g - s) / g
    roots = np.roots([m0, m1, m2, m3, m4])
    real = sorted(root.real for root in roots if abs(root.imag) < 1e-6)
    return float(real[0]), float(real[-1])


@pytest.mark.parametrize(
    ("lost", "gained", "tasks"), [(7, 1, 21), (1, 7, 21), (12, 9, 164), (3, 30, 164), (40, 5, 500)]
)
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_tango_is_the_quartic_of_yang_sun_and_hardin(lost: int, gained: int, tasks: int, alpha: float) -> None:
    assert tango(lost, gained, tasks, alpha) == pytest.approx(quartic(lost, gained, tasks, alpha), abs=1e-6)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))))
def test_tango_holds_the_difference_and_mirrors(case: tuple[int, int, int]) -> None:
    tasks, lost, gained = case
    gained = min(gained, tasks - lost)
    low, high = tango(lost, gained, tasks)
    assert -1.0 <= low <= (gained - lost) / tasks <= high <= 1.0
    assert low < high
    assert tango(gained, lost, tasks) == pytest.approx((-high, -low), abs=1e-8)


def test_no_change_keeps_a_width() -> None:
    low, high = tango(0, 0, 164)
    assert low == pytest.approx(-high)
    assert high == pytest.approx(3.8415 / (164 + 3.8415), abs=1e-4)  # z² / (n + z²): the quartic for no changes


def exact_share(tasks: int, lose: float, gain: float, accepted: object) -> float:
    """Return the chance that `accepted(lost, gained)` is true, over all tables of that many tasks."""
    total = 0.0
    logs = [math.lgamma(n + 1) for n in range(tasks + 1)]
    for lost, gained in itertools.product(range(tasks + 1), repeat=2):
        rest = tasks - lost - gained
        if rest < 0:
            continue
        log = logs[tasks] - logs[lost] - logs[gained] - logs[rest]
        log += lost * math.log(lose) + gained * math.log(gain) + rest * math.log(1 - lose - gain)
        if log > -16 and accepted(lost, gained):  # type: ignore[operator]
            total += math.exp(log)
    return total


@pytest.mark.parametrize(
    ("tasks", "lose", "gain"),
    [(164, 0.05, 0.05), (164, 0.10, 0.06), (164, 0.04, 0.12), (378, 0.03, 0.02), (60, 0.15, 0.10)],
)
def test_tango_covers_the_truth_in_95_of_100_cases(tasks: int, lose: float, gain: float) -> None:
    def holds(lost: int, gained: int) -> bool:
        low, high = tango(lost, gained, tasks)
        return low <= gain - lose <= high

    assert 0.93 <= exact_share(tasks, lose, gain, holds) <= 0.97


@pytest.mark.parametrize(("tasks", "discordant"), [(164, 0.002), (164, 0.02), (164, 0.10), (378, 0.05), (40, 0.2)])
@pytest.mark.parametrize("margin", [0.0, 0.02, 0.05])
def test_a_drop_no_larger_than_allowed_alarms_at_most_alpha(tasks: int, discordant: float, margin: float) -> None:
    lose, gain = discordant / 2 + margin, discordant / 2  # the true drop is the margin itself

    def alarms(lost: int, gained: int) -> bool:
        unchanged = tasks - lost - gained
        return p_beyond(*outcomes(0, lost, gained, unchanged), margin) <= 0.05

    assert exact_share(tasks, lose, gain, alarms) <= 0.05


def test_more_than_the_allowed_drop_alarms() -> None:
    assert p_beyond(*outcomes(60, 40, 0, 64), margin=0.02) < 1e-6
    assert p_beyond(*outcomes(97, 3, 0, 64), margin=0.02) > 0.1
    assert p_beyond(*outcomes(0, 10, 0, 0), margin=1.0) == 1.0


def rates(generator: np.random.Generator, tasks: int, samples: int, drop: float) -> tuple[list[float], list[float]]:
    """Return pass rates of two models on tasks of very different difficulty; the mean falls by `drop`."""
    easy = generator.beta(0.5, 0.7, tasks)
    before = generator.binomial(samples, easy) / samples
    after = generator.binomial(samples, easy * (1 - drop)) / samples
    return before.tolist(), after.tolist()


def bootstrap_coverage(repetitions: int) -> float:
    generator = np.random.default_rng(15)
    held = 0
    truth = -0.1 * 0.5 / 1.2  # -drop times the mean of the beta distribution
    for _ in range(repetitions):
        before, after = rates(generator, 164, 10, 0.1)
        low, high = paired._bootstrap([b - a for a, b in zip(before, after, strict=True)], 0.05)
        held += low <= truth <= high
    return held / repetitions


@pytest.mark.slow
def test_bootstrap_covers_the_truth_in_95_of_100_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "RESAMPLES", 999)
    assert 0.93 <= bootstrap_coverage(800) <= 0.97


@pytest.mark.slow
def test_bootstrap_covers_the_truth_in_many_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "RESAMPLES", 1999)
    assert 0.93 <= bootstrap_coverage(2500) <= 0.97


@pytest.mark.slow
def test_rates_that_do_not_differ_alarm_at_most_alpha(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "RESAMPLES", 299)
    generator = np.random.default_rng(6)
    worse = [p_beyond(*rates(generator, 164, 5, 0.0), 0.0) <= 0.05 for _ in range(200)]
    assert sum(worse) <= 16  # of 200; above that is 1 case of 40 at 5 %


def test_few_tasks_are_permuted_exactly() -> None:
    # Four tasks, all worse: of 16 sign flips one is as bad. Two-sided: two.
    found = difference([0.5, 0.6, 0.7, 0.8], [0.4, 0.4, 0.4, 0.4])
    assert found.test.startswith("sign-flip")
    assert (found.p_worse, found.p_value, found.p_better) == pytest.approx((1 / 16, 2 / 16, 1.0))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([0.5], [0.5]),
        ([0.5], [0.1]),
        ([0.5, 0.5], [0.25, 0.25]),
        ([0.5, 1.0], [0.5, 0.0]),
        ([0.5] * 50, [0.75] * 50),
        ([0.5] * 50, [0.5] * 49 + [0.4]),
    ],
)
def test_degenerate_rates_have_an_interval_without_a_warning(before: list[float], after: list[float]) -> None:
    found = difference(before, after)
    assert -1.0 <= found.low <= found.value <= found.high <= 1.0
    assert 0.0 <= found.p_worse <= 1.0
    assert 0.0 <= p_beyond(before, after, 0.02) <= 1.0


def test_the_same_rates_always_give_the_same_numbers() -> None:
    case = rates(np.random.default_rng(7), 60, 4, 0.1)
    assert difference(*case) == difference(*case)


@pytest.mark.parametrize(("before", "after"), [([], []), ([1.0], [1.0, 0.0])])
def test_what_cannot_be_paired_is_refused(before: list[float], after: list[float]) -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        difference(before, after)
    with pytest.raises(ValueError, match="cannot be paired"):
        p_beyond(before, after, 0.0)


def test_holm_of_a_textbook_example() -> None:
    # Holm's procedure on p = 0.01, 0.04, 0.03, 0.005 (the example of Wikipedia's "Holm-Bonferroni method"): at 0.05
    # the first and the last are refused, 0.03 * 2 = 0.06 stops it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_keeps_order_and_bounds() -> None:
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.02, 0.02, 0.02]) == pytest.approx([0.06, 0.06, 0.06])


def test_smallest_effect_by_hand() -> None:
    # 98 tasks without a change and two pseudo-tasks: variance 2/100; (1.95996 + 0.84162) * sqrt(0.02 / 98).
    assert smallest_effect([0.0] * 98) == pytest.approx(2.80158 * math.sqrt(0.02 / 98), abs=1e-4)


@pytest.mark.slow
def test_smallest_effect_is_shown_in_four_cases_of_five() -> None:
    tasks, discordant = 400, 0.2
    changes = [1.0] * 40 + [-1.0] * 40 + [0.0] * 320
    effect = smallest_effect(changes)
    lose, gain = (discordant + effect) / 2, (discordant - effect) / 2
    power = exact_share(tasks, lose, gain, lambda lost, gained: mcnemar(lost, gained) <= 0.05)
    assert 0.74 <= power <= 0.84
