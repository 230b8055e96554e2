"""Values across the wall, as typed JSON: the only thing that a program's process can say.

Covers None, bool, int of any size, float (nan, inf, -0.0), complex, str (lone surrogates too), bytes, bytearray,
list, tuple, set, frozenset, dict, and the standard-library value types that honest solutions return: Counter,
OrderedDict, defaultdict, deque, Fraction, Decimal, range, namedtuple, date, time, datetime, timedelta and
built-in types. A value of a class derived from one of these is sent as its content, so an overridden `__eq__` stays
behind. Any other object is sent as an opaque handle. Numpy scalars are sent as the Python number that they hold.

Scalars and lists are plain JSON; everything else is an object with one key, the tag. Equal values have equal texts
(sets are sorted), apart from dicts of another order. Does not cover pickling, code or shared references: a value
comes out as a copy. Decoding is `sandbox.guest.decoding`. Runs in the image and on the trusted side, with the standard
library only.
"""

import datetime
import json
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

MAX_DEPTH = 150
MAX_NODES = 1_000_000
MAX_TEXT = 32 << 20
# Numbers stay so small that a test which calculates with them, on the trusted side, takes no time.
MAX_INT_BITS = 4_000_000
MAX_EXPONENT = 20_000  # of a Decimal
MAX_FRACTION_BITS = 1 << 14
_MAX_DIGITS = 4300  # Python's own default limit for int <-> str; larger ones travel as hexadecimal

SCALARS = frozenset({int, float, str, bool, type(None)})
BUILTIN_TYPES: dict[str, type] = {kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, bytearray)}
BUILTIN_TYPES |= {kind.__name__: kind for kind in (list, tuple, set, frozenset, dict, range, object, type, type(None))}
_JSON = json.JSONEncoder(separators=(",", ":"))


class CodecError(ValueError):
    """The value is nested too deeply or too large, or the text is not one that `encode` makes."""


class TooLarge(CodecError):
    """The value has more parts or a longer text than are sent; `digest` can stand for it."""


class Opaque:
    """An object that stays on the program's side: its handle there and the name of its class.

    Equal only to itself: what the program's own `__eq__` says does not count.
    """

    __slots__ = ("class_name", "handle")

    def __init__(self, handle: int, class_name: str) -> None:
        self.handle = handle
        self.class_name = class_name

    def __repr__(self) -> str:
        return f"<{self.class_name} object>"


def dumps(structure: Any) -> str:
    """Return a structure as ASCII JSON on one line. Raises CodecError if it is too large."""
    try:
        text = _JSON.encode(structure)
    except RecursionError:
        raise CodecError("value nested too deeply") from None
    if len(text) > MAX_TEXT:
        raise TooLarge("value too large")
    return text


class Encoder:
    """Turns values into structures. `keep` receives each object that has no plain form and returns its handle."""

    __slots__ = ("keep", "nodes")

    def __init__(self, keep: Callable[[Any], int] | None = None) -> None:
        self.keep = keep
        self.nodes = 0

    def encode(self, value: Any, depth: int = 0) -> Any:
        """Return the structure of a value. Raises CodecError beyond MAX_DEPTH or MAX_NODES."""
        kind = type(value)
        if kind is int:
            return value if value.bit_length() < 14_000 else {"i": hex(check_int(value))}
        if kind in SCALARS:
            return value
        if depth > MAX_DEPTH:
            raise CodecError("value nested too deeply")
        if kind is list:
            return self._items(value, depth)
        if kind is tuple:
            return {"t": self._items(value, depth)}
        if kind is dict:
            return {"d": self._pairs(value, depth)}
        encode = _BY_TYPE.get(kind)
        if encode is not None:
            return encode(self, value, depth)
        return self._other(value, depth)

    def _count(self, amount: int) -> None:
        self.nodes += amount
        if self.nodes > MAX_NODES:
            raise TooLarge("value too large")

    def _items(self, values: Any, depth: int) -> list[Any]:
        self._count(len(values))
        kinds = set(map(type, values))
        if kinds <= SCALARS and int not in kinds:
            return values if type(values) is list else list(values)
        if kinds == {int} and min(values) > -(1 << 63) and max(values) < 1 << 63:
            return values if type(values) is list else list(values)
        return [self.encode(value, depth + 1) for value in values]

    def _pairs(self, mapping: Any, depth: int) -> list[Any]:
        self._count(2 * len(mapping))
        return [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in dict.items(mapping)]

    def _set(self, values: Any, depth: int) -> list[Any]:
        self._count(len(values))
        items = [self.encode(value, depth + 1) for value in values]
        return sorted(items, key=dumps)

    def _other(self, value: Any, depth: int) -> Any:
        """Encode an instance of a derived class as the content of its built-in ancestor, anything else by handle."""
        if isinstance(value, tuple):
            fields = getattr(type(value), "_fields", None)
            items = self._items(list(tuple.__iter__(value)), depth)
            if isinstance(fields, tuple) and len(fields) == len(items) and all(type(f) is str for f in fields):
                return {"nt": [type(value).__name__, list(fields), items]}
            return {"t": items}
        for base, encode in _BY_BASE:
            if isinstance(value, base):
                return encode(self, value, depth)
        if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () and hasattr(value, "item"):
            plain = value.item()
            if type(plain) in SCALARS or type(plain) is complex:
                return self.encode(plain, depth + 1)
        if isinstance(value, type) and BUILTIN_TYPES.get(value.__name__) is value:
            return {"type": value.__name__}
        if self.keep is None:
            raise CodecError(f"a {type(value).__name__} object has no plain form")
        return {"o": [self.keep(value), str(type(value).__name__)[:100]]}


def check_int(value: int) -> int:
    """Return a number that may be calculated with. Raises CodecError for a larger one."""
    if value.bit_length() > MAX_INT_BITS:
        raise CodecError("number too large")
    return value


def check_range(value: range) -> range:
    """Return a range that may be walked through. Raises CodecError for a longer one."""
    if value and (value[-1] - value[0]) // value.step >= MAX_NODES:
        raise CodecError("range too long")
    return value


def check_fraction(numerator: int, denominator: int) -> tuple[int, int]:
    """Return the parts of a fraction whose common divisor is found at once. Raises CodecError for larger ones."""
    if max(numerator.bit_length(), denominator.bit_length()) > MAX_FRACTION_BITS:
        raise CodecError("fraction too large")
    return numerator, denominator


def check_decimal(value: Decimal) -> Decimal:
    """Return a number that may be turned into an int or a fraction. Raises CodecError for a wider one."""
    _, digits, exponent = value.as_tuple()
    if isinstance(exponent, int) and len(digits) + abs(exponent) > MAX_EXPONENT:
        raise CodecError("decimal number too large or too fine")
    return value


def _complex(encoder: Encoder, value: Any, depth: int) -> Any:
    return {"c": [value.real, value.imag]}


def _offset(value: Any) -> Any:
    offset = value.utcoffset()
    return None if offset is None else offset.total_seconds()


_BY_TYPE: dict[type, Callable[[Encoder, Any, int], Any]] = {
    complex: _complex,
    bytes: lambda encoder, value, depth: {"b": value.decode("latin-1")},
    bytearray: lambda encoder, value, depth: {"ba": bytes(value).decode("latin-1")},
    set: lambda encoder, value, depth: {"s": encoder._set(value, depth)},
    frozenset: lambda encoder, value, depth: {"f": encoder._set(value, depth)},
    Counter: lambda encoder, value, depth: {"Counter": encoder._pairs(value, depth)},
    OrderedDict: lambda encoder, value, depth: {"OrderedDict": encoder._pairs(value, depth)},
    defaultdict: lambda encoder, value, depth: {"defaultdict": encoder._pairs(value, depth)},
    deque: lambda encoder, value, depth: {"deque": [value.maxlen, encoder._items(list(value), depth)]},
    range: lambda encoder, value, depth: {
        "range": encoder._items([check_range(value).start, value.stop, value.step], depth)
    },
    Fraction: lambda encoder, value, depth: {
        "Fraction": [encoder.encode(part, depth) for part in check_fraction(value.numerator, value.denominator)]
    },
    Decimal: lambda encoder, value, depth: {"Decimal": str(check_decimal(value))},
    datetime.date: lambda encoder, value, depth: {"date": [value.year, value.month, value.day]},
    datetime.time: lambda encoder, value, depth: {
        "time": [value.hour, value.minute, value.second, value.microsecond, _offset(value)]
    },
    datetime.datetime: lambda encoder, value, depth: {
        "datetime": [*value.timetuple()[:6], value.microsecond, _offset(value)]
    },
    datetime.timedelta: lambda encoder, value, depth: {"timedelta": [value.days, value.seconds, value.microseconds]},
}

# Derived classes: read through the ancestor's own methods, so that overridden ones have no say.
_BY_BASE: tuple[tuple[type, Callable[[Encoder, Any, int], Any]], ...] = (
    (int, lambda encoder, value, depth: encoder.encode(int.__int__(value), depth)),
    (float, lambda encoder, value, depth: float.__float__(value)),
    (str, lambda encoder, value, depth: str.__str__(value)),
    (list, lambda encoder, value, depth: encoder._items(list(list.__iter__(value)), depth)),
    (dict, lambda encoder, value, depth: {"d": encoder._pairs(value, depth)}),
    (set, lambda encoder, value, depth: {"s": encoder._set(list(set.__iter__(value)), depth)}),
    (frozenset, lambda encoder, value, depth: {"f": encoder._set(list(frozenset.__iter__(value)), depth)}),
    (bytes, lambda encoder, value, depth: {"b": bytes.decode(value, "latin-1")}),
)


def encode(value: Any, keep: Callable[[Any], int] | None = None) -> Any:
    """Return the structure of a value. Raises CodecError if it is too deep, too large or (without `keep`) opaque."""
    return Encoder(keep).encode(value)


def encode_text(value: Any, keep: Callable[[Any], int] | None = None) -> str:
    """Return the JSON text of a value, on one ASCII line."""
    if type(value) is bool:  # what tests ask for most
        return "true" if value else "false"
    limit = sys.get_int_max_str_digits()
    if limit == _MAX_DIGITS:
        return dumps(encode(value, keep))
    sys.set_int_max_str_digits(_MAX_DIGITS)  # a program may have lifted it, and str() of a huge int is quadratic
    try:
        return dumps(encode(value, keep))
    finally:
        sys.set_int_max_str_digits(limit)
