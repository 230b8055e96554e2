"""Plain values as Python literals, and whether two of them agree: what made-up tests are written with.

A test's text has the source of `agrees` in it, so that what is agreed upon and what is tested are one thing.
"""

from __future__ import annotations

import math

MAX_CHARACTERS = 1_000
_MAX_DEPTH = 20
_MAX_BITS = 3_000  # of a whole number: 900 digits


def literal(value: object) -> str | None:
    """Return a value as a literal, or None for one that is none, holds nan or inf, or is longer than 1000 characters.

    Equal values have equal texts, but for the order of dictionaries; what derives from a plain type (Counter,
    namedtuple) is written as that.
    """
    text = _written(value, 0)
    return text if text is not None and len(text) <= MAX_CHARACTERS else None


def _written(value: object, depth: int) -> str | None:
    if value is None or isinstance(value, bool | str):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if value.bit_length() <= _MAX_BITS else None
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if depth == _MAX_DEPTH or not isinstance(value, list | tuple | set | dict) or len(value) > MAX_CHARACTERS:
        return None
    if isinstance(value, dict):
        parts = [_pair(key, held, depth) for key, held in value.items()]
    else:
        parts = [_written(item, depth + 1) for item in value]
    texts = [part for part in parts if part is not None]
    if len(texts) < len(parts):
        return None
    if isinstance(value, set):
        return f"{{{', '.join(sorted(texts))}}}" if texts else "set()"
    if isinstance(value, dict):
        return f"{{{', '.join(texts)}}}"
    if isinstance(value, list):
        return f"[{', '.join(texts)}]"
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"


def _pair(key: object, held: object, depth: int) -> str | None:
    texts = _written(key, depth + 1), _written(held, depth + 1)
    return f"{texts[0]}: {texts[1]}" if None not in texts else None


def agrees(actual: object, expected: object) -> bool:
    """Whether values are equal, floats within 1e-6 + 1e-7 |expected|, in lists, tuples and dictionaries as well."""
    if isinstance(expected, float) and isinstance(actual, int | float):
        try:
            return abs(actual - expected) <= 1e-6 + 1e-7 * abs(expected)
        except OverflowError:
            return False
    for kind in (list, tuple):
        if isinstance(expected, kind):
            return isinstance(actual, kind) and len(actual) == len(expected) and all(map(agrees, actual, expected))
    if isinstance(expected, dict):
        if not isinstance(actual, dict) or actual.keys() != expected.keys():
            return False
        return all(agrees(actual[key], expected[key]) for key in expected)
    return bool(actual == expected)


def holds_float(value: object) -> bool:
    """Whether `agrees` has a tolerance somewhere in an expected value."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return isinstance(value, float) or any(map(holds_float, parts))
