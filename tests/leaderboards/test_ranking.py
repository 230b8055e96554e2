"""Ranks: exact tests against scipy's and against counting, ties, and Holm's correction."""

from __future__ import annotations

import itertools
import random

import numpy
import pytest
from scipy.stats import binomtest, permutation_test

from leaderboards.ranking import FINEST, Scored, holm, p_values, rank


def single(bits: str) -> Scored:
    return Scored(judged=(1,) * len(bits), passed=tuple(map(int, bits)))


def sampled(n: int, *passed: int) -> Scored:
    return Scored(judged=(n,) * len(passed), passed=passed)


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (1, 0), (5, 0), (6, 0), (10, 3), (3, 10), (40, 21)])
def test_one_sample_a_task_is_exact_mcnemar(lost: int, gained: int) -> None:
    first = single("1" * lost + "0" * gained + "1" * 20)
    other = single("0" * lost + "1" * gained + "1" * 20)
    expected = binomtest(lost, lost + gained, 0.5).pvalue if lost + gained else 1.0
    assert p_values(first, [other]) == pytest.approx([expected])


def test_several_samples_a_task_flip_signs_exactly() -> None:
    first, other = sampled(10, 9, 7, 10, 3, 6, 8, 2), sampled(10, 4, 7, 6, 4, 1, 8, 1)
    changes = [a - b for a, b in zip(first.passed, other.passed, strict=True)]
    every = itertools.product((1, -1), repeat=len(changes))
    sums = [sum(sign * change for sign, change in zip(signs, changes, strict=True)) for signs in every]
    expected = sum(abs(total) >= abs(sum(changes)) for total in sums) / len(sums)
    assert p_values(first, [other]) == pytest.approx([expected])


def test_the_sign_flip_test_agrees_with_scipy() -> None:
    draw = random.Random(1)
    first = Scored(judged=(20,) * 80, passed=tuple(draw.randint(0, 20) for _ in range(80)))
    other = Scored(judged=(20,) * 80, passed=tuple(max(0, c - draw.randint(0, 2)) for c in first.passed))
    third = Scored(judged=(7,) * 80, passed=tuple(draw.randint(0, 7) for _ in range(80)))
    for against in (other, third):
        changes = numpy.array(first.passed) / 20 - numpy.array(against.passed) / against.judged[0]
        found = permutation_test(
            (changes,), numpy.mean, permutation_type="samples", n_resamples=50_000, rng=numpy.random.default_rng(1)
        )
        (p,) = p_values(first, [against])
        assert p == pytest.approx(found.pvalue, abs=4 * (found.pvalue * (1 - found.pvalue) / 50_000) ** 0.5 + 2e-5)


def test_a_single_sample_is_the_same_in_both_tests() -> None:
    first, other = single("1110111011"), single("0100100001")
    twice = [Scored(judged=(2,) * 10, passed=tuple(2 * c for c in row.passed)) for row in (first, other)]
    assert p_values(first, [other]) == pytest.approx(p_values(twice[0], [twice[1]]))


def test_only_tasks_in_common_count() -> None:
    first = Scored(judged=(1, 1, 1, 0, 1, 1, 1, 1), passed=(1, 1, 1, 0, 1, 1, 1, 1))
    other = Scored(judged=(1, 1, 1, 1, 1, 1, 1, 0), passed=(0, 0, 0, 0, 0, 0, 0, 0))
    assert p_values(first, [other]) == pytest.approx([binomtest(6, 6, 0.5).pvalue])
    assert p_values(first, [Scored(judged=(0,) * 8, passed=(0,) * 8)]) == [1.0]


def test_unequal_numbers_of_samples_are_rounded_finely() -> None:
    first = Scored(judged=(7, 11, 13, 200), passed=(7, 11, 13, 199))
    other = Scored(judged=(13, 7, 11, 199), passed=(0, 0, 0, 0))
    assert FINEST < 7 * 11 * 13
    assert p_values(first, [other]) == pytest.approx([2 / 2**4])


def test_holm_is_the_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_rows_that_the_test_does_not_tell_apart_share_a_rank() -> None:
    best, near, far = single("1" * 60), single("1" * 57 + "0" * 3), single("1" * 30 + "0" * 30)
    ranks = rank([best, near, far, far])
    assert [(one.rank, one.ties) for one in ranks] == [(1, 2), (1, 2), (3, 2), (3, 2)]
    assert [one.p_value for one in ranks[:2]] == [1.0, pytest.approx(0.25)]


def test_intervals_may_overlap_where_the_paired_test_is_clear() -> None:
    """Eight tasks lost and none gained: 95 % intervals of 52/100 and 44/100 overlap widely, and the test is clear."""
    better, worse = single("1" * 52 + "0" * 48), single("1" * 44 + "0" * 56)
    assert [one.rank for one in rank([better, worse])] == [1, 2]


def test_unpaired_noise_is_a_tie_where_the_paired_loss_was_clear() -> None:
    """The same two scores, with gains and losses on either side: nothing is shown."""
    better, other = single("1" * 52 + "0" * 48), single("0" * 30 + "1" * 22 + "1" * 22 + "0" * 26)
    assert sum(other.passed) == 44
    assert [one.rank for one in rank([better, other])] == [1, 1]


def test_more_rows_need_stronger_evidence() -> None:
    """Six losses give p = 0.031: enough alone, not among three comparisons."""
    best, worse = single("1" * 40), single("1" * 34 + "0" * 6)
    assert [one.rank for one in rank([best, worse])] == [1, 2]
    assert [one.rank for one in rank([best, single("1" * 39 + "0"), single("0" + "1" * 39), worse])] == [1, 1, 1, 1]


def test_nothing_to_rank_and_one_row() -> None:
    assert rank([]) == []
    assert [(one.rank, one.ties) for one in rank([single("101")])] == [(1, 1)]
