"""When a value that a program computed is the number that it should be: two rules, on the trusted side.

The paper's rule decides: |answer - label| / max(label, 1e-5) < 0.01, so for labels of 0 and below it allows less than
1e-7. The exact rule stands beside it: the same number, but for the rounding of floats. Both are computed with
fractions, so that no value is too large for them.

What counts as a number: int, float, Decimal and Fraction, and what arrives as one (numpy's scalars). A truth value is
none, and neither are NaN, infinities, complex numbers, texts with digits, containers of one number, and objects that a
program has made.

Source: arXiv 2211.16740, the authors' code (`verify`).
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

TOLERANCE = Fraction(1, 100)
LEAST_LABEL = Fraction(1, 100_000)
ROUNDING = Fraction(1, 10**9)  # relative; absolute below 1


def number_of(value: Any) -> Fraction | None:
    """Return the number that a plain value is, None where it is none. Takes time linear in the value's size."""
    kind = type(value)
    if kind is float:
        return Fraction(value) if math.isfinite(value) else None
    if kind is Decimal:
        return Fraction(value) if value.is_finite() else None
    return Fraction(value) if kind in (int, Fraction) else None


def is_near(number: Fraction, label: Fraction) -> bool:
    """Whether the paper's rule lets a number pass for a label."""
    return abs(number - label) < TOLERANCE * max(label, LEAST_LABEL)


def is_exact(number: Fraction, label: Fraction) -> bool:
    """Whether a number is the label, but for the rounding of floats. Of numbers that are near, these are some."""
    return is_near(number, label) and abs(number - label) <= ROUNDING * max(abs(label), Fraction(1))
