"""When a returned value agrees with the expected one: EvalPlus's rules, as pure functions on plain values.

Follows `unsafe_execute` of EvalPlus 0.3.1 (evalplus/eval/__init__.py) for the values of honest programs. Three
differences, all on purpose: the tolerance of one input does not leak to the next (EvalPlus overwrites `atol` in its
loop); values of different shapes are never close (NumPy broadcasts, which makes `[[]]` close to any list of one
number); and lists that hold integers of more than 64 bits may be close (NumPy refuses them). Runs on the trusted
side, on values that a program chose: nothing here does more with them than the operators of plain types, and
nothing takes quadratic time.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from typing import Any

from harness.records import CallTests

FLOAT_ATOL = 1e-6  # what EvalPlus takes for floats where the task has no tolerance
RTOL = 1e-7
REFUSALS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError, MemoryError)


def agrees(tests: CallTests, index_args: tuple[Any, ...], expected: object, actual: object) -> bool:
    """Return whether `actual` is right for the call `entry_point(*index_args)`.

    `expected` is what the reference returned, raw also where the oracle is `not_none`. A comparison that
    raises is a no, as in EvalPlus. Raises `KeyError` for an oracle that does not exist.
    """
    rule = RULES[tests.oracle]
    try:
        return _agrees(rule, tests, index_args, expected, actual)
    except REFUSALS:
        return False


def _agrees(rule: Rule, tests: CallTests, args: tuple[Any, ...], expected: Any, actual: Any) -> bool:
    if tests.oracle == "poly_root":  # the expected root is not looked at, so being close to it is no merit
        return rule(args, expected, actual, tests.atol)
    if tests.oracle == "not_none":
        expected = expected is not None
    if rule(args, expected, actual, tests.atol):
        return True
    atol = tests.atol or (FLOAT_ATOL if _is_floats(expected) else 0.0)
    return atol != 0 and type(actual) is type(expected) and _close(actual, expected, atol)


Rule = Callable[[tuple[Any, ...], Any, Any, float], bool]


def _equal(_args: tuple[Any, ...], expected: Any, actual: Any, _atol: float) -> bool:
    return bool(actual == expected)


def _poly_root(args: tuple[Any, ...], _expected: Any, actual: Any, atol: float) -> bool:
    """Accept any root of the polynomial, computed here: HumanEval/32 leaves open which."""
    (coefficients,) = args
    value = sum(factor * math.pow(actual, power) for power, factor in enumerate(coefficients))
    return bool(abs(value) <= atol)


def _always(_args: tuple[Any, ...], _expected: Any, _actual: Any, _atol: float) -> bool:
    return True


def _or_zero(_args: tuple[Any, ...], expected: Any, actual: Any, _atol: float) -> bool:
    return bool(actual == expected or actual == 0)


def _surface_area(args: tuple[Any, ...], expected: Any, actual: Any, atol: float) -> bool:
    """Accept the other reading of Mbpp/581, too: the height of the pyramid is that of its apex."""
    if actual == expected:
        return True
    edge, height = args
    slant = math.sqrt((edge / 2) ** 2 + height**2)
    return bool(abs(actual - round(edge**2 + 4 * (edge * slant) / 2)) <= atol)


def _digit_distance(args: tuple[Any, ...], expected: Any, actual: Any, _atol: float) -> bool:
    """Accept the other reading of Mbpp/558, too: the shorter number is padded with zeros on the left."""
    if actual == expected:
        return True
    first, second = (str(number) for number in args)
    width = max(len(first), len(second))
    pairs = zip(first.zfill(width), second.zfill(width), strict=True)
    return bool(actual == sum(abs(int(one) - int(other)) for one, other in pairs))


def _same_set(_args: tuple[Any, ...], expected: Any, actual: Any, _atol: float) -> bool:
    wanted = set(expected)
    found = set()
    for item in actual:  # only what is wanted is hashed into a set, so crafted hashes cannot make this quadratic
        if item not in wanted:
            return False
        found.add(item)
    return len(found) == len(wanted)


def _not_none(_args: tuple[Any, ...], expected: Any, actual: Any, _atol: float) -> bool:
    return bool(expected == (actual if isinstance(actual, bool) else actual is not None))


RULES: Mapping[str, Rule] = {
    "": _equal,
    "poly_root": _poly_root,
    "always": _always,
    "or_zero": _or_zero,
    "surface_area": _surface_area,
    "digit_distance": _digit_distance,
    "same_set": _same_set,
    "not_none": _not_none,
}

_SAME_SET = (  # Mbpp/2, 7, 111, 140, 232, 249, 579 and 769: a list whose order the description leaves open
    "similar_elements find_char_long common_in_nested_lists extract_singly "
    "larg_nnum intersection_array find_dissimilar Diff"
)
_NOT_NONE = "check_str text_match_three text_starta_endb"  # a match object, of which MBPP tests only the truth
_ORACLES = {
    ("HumanEval", "find_zero"): "poly_root",
    ("Mbpp", "are_equivalent"): "always",
    ("Mbpp", "sum_div"): "or_zero",
    ("Mbpp", "surface_Area"): "surface_area",
    ("Mbpp", "digit_distance_nums"): "digit_distance",
    **{("Mbpp", entry_point): "same_set" for entry_point in _SAME_SET.split()},
    **{("Mbpp", entry_point): "not_none" for entry_point in _NOT_NONE.split()},
}


def oracle_of(task_id: str, entry_point: str) -> str:
    """Return the special rule of a published task, or the empty string. Ids of one's own have none."""
    return _ORACLES.get((task_id.partition("/")[0], entry_point), "")


def _is_floats(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, float) for item in value)
    return isinstance(value, float)


def _close(actual: Any, expected: Any, atol: float) -> bool:
    """Return what `numpy.allclose(actual, expected, rtol=RTOL, atol=atol)` does for values of equal shape."""
    actual_shape, actual_numbers = _flattened(actual)
    expected_shape, expected_numbers = _flattened(expected)
    return actual_shape == expected_shape and all(
        (cmath.isfinite(right) and abs(left - right) <= atol + RTOL * abs(right)) or left == right
        for left, right in zip(actual_numbers, expected_numbers, strict=True)
    )


def _flattened(value: object) -> tuple[tuple[int, ...], list[Any]]:
    """Return the shape and the numbers of a nested list. Raises where NumPy would."""
    if isinstance(value, int | float | complex):
        return (), [value]
    if not isinstance(value, list | tuple):
        raise TypeError("not a number")
    parts = [_flattened(item) for item in value]
    shapes = {shape for shape, _ in parts}
    if len(shapes) > 1:
        raise ValueError("ragged")
    return (len(value), *next(iter(shapes), ())), [number for _, numbers in parts for number in numbers]
