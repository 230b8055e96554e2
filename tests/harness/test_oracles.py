"""EvalPlus's comparison rules, value by value."""

from __future__ import annotations

import math
import time
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.benchmarks.oracles import RTOL, agrees, oracle_of
from harness.records import CallTests

NAN, INF = math.nan, math.inf


class Stranger:
    """As an object that came across the wall by handle: equal to nothing but itself."""


def call_tests(oracle: str = "", atol: float = 0.0) -> CallTests:
    return CallTests(entry_point="f", base_inputs=(), plus_inputs=(), atol=atol, oracle=oracle)


def judged(expected: object, actual: object, oracle: str = "", atol: float = 0.0, args: tuple[Any, ...] = ()) -> bool:
    return agrees(call_tests(oracle, atol), args, expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (3, 3),
        (3, 3.0),
        (1, True),
        ("a", "a"),
        (None, None),
        ([1, (2, 3)], [1, (2, 3)]),
        ({"a": [1]}, {"a": [1]}),
        (0.5, 0.5 + 9e-7),  # floats: within 1e-6 although the task has no tolerance
        ([0.5, INF], [0.5 + 9e-7, INF]),
        ((0.5, 1e9), (0.5, 1e9 + 99)),  # and relatively within 1e-7
        (-0.0, 0.0),
        (10**400, 10**400),
    ],
)
def test_right_values(expected: object, actual: object) -> None:
    assert judged(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (3, 4),
        (3, "3"),
        ("a", None),
        (3, Stranger()),
        (0.5, Stranger()),
        ([1, 2], (1, 2)),
        ([1, 2], [1, 2, 3]),
        (0.5, 0.5 + 2e-6),
        (0.5, "0.5"),
        (0.5, Decimal("0.5000001")),  # close, but of another type
        (1.0, Fraction(10000001, 10000000)),
        ([0.5, 0.5], [0.5 + 9e-7]),
        ([0.5], (0.5 + 9e-7,)),
        ([0.5, 1], [0.5 + 9e-7, 1]),  # EvalPlus's floats are all floats, otherwise nothing is tolerated
        (NAN, float("nan")),
        (INF, -INF),
        (INF, 1.0),
        (1.0, INF),
        (10**400, 10**400 + 1),
        ([1.0], [[]]),  # NumPy would broadcast these to nothing at all
        ([1.0, 2.0], [[1.0, 2.0 + 1e-9], [1.0, 2.0]]),
        (0.5, 0.5j),
        (Decimal("sNaN"), 1),  # comparing raises
    ],
)
def test_wrong_values(expected: object, actual: object) -> None:
    assert not judged(expected, actual)


def test_the_tolerance_of_a_task_holds_for_its_nested_numbers() -> None:
    assert judged([[1.0, 2], [3.0, 4]], [[1.00005, 2], [3.0, 4]], atol=1e-4)
    assert not judged([[1.0, 2], [3.0, 4]], [[1.0005, 2], [3.0, 4]], atol=1e-4)
    assert judged(5, 5, atol=1e-4)
    assert not judged(5, 5.0 + 1e-9, atol=1e-4)  # another type
    assert not judged([[1.0], [2.0, 3.0]], [[1.0], [2.0, 3.0 + 1e-9]], atol=1e-4)  # ragged: NumPy refuses
    assert not judged({"a": 1.0}, {"a": 1.0 + 1e-9}, atol=1e-4)


def test_the_tolerance_does_not_leak_to_the_next_input() -> None:
    tests = call_tests()
    assert agrees(tests, (), 0.5, 0.5 + 1e-9)
    assert not agrees(tests, (), [1, 0.5], [1, 0.5 + 1e-9])  # EvalPlus passes this one after the float before it


numbers = st.floats(width=64) | st.integers(-(2**60), 2**60) | st.booleans()


@st.composite
def arrays_alike(draw: st.DrawFn) -> tuple[Any, Any]:
    rows, columns = draw(st.integers(0, 3)), draw(st.integers(1, 3))
    expected = [[draw(numbers) for _ in range(columns)] for _ in range(rows)]
    nudges = st.sampled_from([0.0, 1e-9, 1e-6, 9e-6, 1.1e-5, 1.0, NAN, INF])
    return expected, [[value + draw(nudges) for value in row] for row in expected]


@given(arrays_alike())
def test_tolerance_is_numpys(case: tuple[Any, Any]) -> None:
    expected, actual = case
    with np.errstate(all="ignore"):
        closeness = actual == expected or bool(np.allclose(actual, expected, rtol=RTOL, atol=1e-5))
    assert judged(expected, actual, atol=1e-5) == closeness


@given(st.floats(), st.floats() | st.sampled_from([1.0, 1.0 + 1e-6]))
def test_tolerance_of_single_floats_is_numpys(expected: float, actual: float) -> None:
    with np.errstate(all="ignore"):
        closeness = bool(np.allclose(actual, expected, rtol=RTOL, atol=1e-6))
    assert judged(expected, actual) == closeness


def test_poly_root_takes_any_root() -> None:
    args = ([-6, 11, -6, 1],)  # (x-1)(x-2)(x-3)
    assert judged(1.0, 3.0, "poly_root", 1e-4, args)
    assert judged(1.0, 2, "poly_root", 1e-4, args)
    for wrong in (0.0, NAN, INF, "1", None, [1.0], 10**400, Stranger()):
        assert not judged(wrong, wrong, "poly_root", 1e-4, args)


def test_always_and_or_zero() -> None:
    assert judged(True, Stranger(), "always")
    assert judged(7, 0, "or_zero")
    assert judged(7, 7, "or_zero")
    assert not judged(7, 1, "or_zero")
    assert not judged(7, None, "or_zero")


def test_surface_area_takes_both_readings_of_height() -> None:
    assert judged(33, 33, "surface_area", args=(3, 4))  # 2*3*4 + 9, the slant height
    assert judged(33, 35, "surface_area", args=(3, 4))  # 9 + 6 * sqrt(1.5² + 4²) = 34.6, rounded
    assert not judged(33, 34, "surface_area", args=(3, 4))
    assert not judged(33, "35", "surface_area", args=(3, 4))


def test_digit_distance_takes_both_alignments() -> None:
    assert judged(1, 1, "digit_distance", args=(1, 23))  # 1 against 2, the rest is dropped
    assert judged(1, 4, "digit_distance", args=(1, 23))  # 01 against 23
    assert not judged(1, 3, "digit_distance", args=(1, 23))
    assert not judged(1, 4, "digit_distance", args=(-1, 23))  # the padded sign is no digit: a no, not an exception


def test_same_set_compares_without_order_and_repetition() -> None:
    assert judged([1, 2, 3], (3, 2, 1, 1), "same_set")
    assert judged(["ab", "c"], {"c", "ab"}, "same_set")
    assert not judged([1, 2, 3], [1, 2], "same_set")
    assert not judged([1, 2, 3], [1, 2, 3, 4], "same_set")
    assert not judged([1, 2], [1, [2]], "same_set")  # unhashable
    assert not judged([1, 2], None, "same_set")


def test_same_set_takes_no_quadratic_time() -> None:
    modulus = 2**61 - 1  # all multiples have the hash 0
    crafted = [1, *(modulus * factor for factor in range(200_000))]
    begin = time.process_time()
    assert not judged([1, 2], crafted, "same_set")
    assert time.process_time() - begin < 1.0


@pytest.mark.parametrize(
    ("expected", "actual", "verdict"),
    [
        (Stranger(), Stranger(), True),
        (Stranger(), True, True),
        (Stranger(), "a match", True),
        (Stranger(), None, False),
        (Stranger(), False, False),
        (None, None, True),
        (None, False, True),
        (None, True, False),
        (None, 0, False),  # not None is all that counts
    ],
)
def test_not_none_compares_whether_something_was_found(expected: object, actual: object, verdict: bool) -> None:
    assert judged(expected, actual, "not_none") is verdict


def test_an_unknown_oracle_is_our_bug_not_a_wrong_answer() -> None:
    with pytest.raises(KeyError):
        judged(1, 1, "no_such_rule")


def test_a_value_nested_too_deeply_is_wrong() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert not judged([0.5], deep, atol=1e-4)


@pytest.mark.parametrize(
    ("task_id", "entry_point", "oracle"),
    [
        ("HumanEval/32", "find_zero", "poly_root"),
        ("Mbpp/164", "are_equivalent", "always"),
        ("Mbpp/295", "sum_div", "or_zero"),
        ("Mbpp/581", "surface_Area", "surface_area"),
        ("Mbpp/558", "digit_distance_nums", "digit_distance"),
        ("Mbpp/769", "Diff", "same_set"),
        ("Mbpp/737", "check_str", "not_none"),
        ("mine/1", "find_zero", ""),
        ("HumanEval/0", "sum_div", ""),
    ],
)
def test_oracles_belong_to_published_tasks(task_id: str, entry_point: str, oracle: str) -> None:
    assert oracle_of(task_id, entry_point) == oracle
