"""Structures back into values, strictly: what came over the wall is untrusted.

The counterpart of `sandbox.guest.codec`, used on the trusted side for replies and in the guest for arguments. Raises
CodecError for anything that the encoder does not make, and for values that are made to be slow to hash.
"""

import datetime
import json
import sys
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from keyword import iskeyword
from typing import Any

from sandbox.guest.codec import (
    BUILTIN_TYPES,
    MAX_DEPTH,
    MAX_EXPONENT,
    MAX_INT_BITS,
    MAX_TEXT,
    SCALARS,
    CodecError,
    Opaque,
    check_decimal,
    check_fraction,
    check_range,
)

MAX_EQUAL_HASHES = 1000
MAX_PARTS = 4_000_000  # what MAX_NODES nodes may take at the most
MAX_CLASSES = 100  # of named tuples in one value: each takes a millisecond to make
_MODULUS = sys.hash_info.modulus


class Reference:
    """The result of an earlier operation, by its index; only ever sent towards the program."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Decoder:
    """Turns structures back into values, strictly. `opaque` and `reference` make the values for handles."""

    __slots__ = ("classes", "hashes", "opaque", "reference")

    def __init__(
        self,
        opaque: Callable[[int, str], Any] = Opaque,
        reference: Callable[[int], Any] = Reference,
    ) -> None:
        self.opaque = opaque
        self.reference = reference
        self.classes: dict[tuple[str, ...], Any] = {}
        self.hashes: dict[int, set[int]] = {}  # of large ints, whose hashes a program can choose

    def decode(self, structure: Any, depth: int = 0) -> Any:
        """Return the value of a structure. Raises CodecError for anything that `Encoder` does not make."""
        kind = type(structure)
        if kind in SCALARS:
            if kind is int and not -_MODULUS < structure < _MODULUS:
                self._watch(structure)
            return structure
        if depth > MAX_DEPTH + 2:
            raise CodecError("value nested too deeply")
        if kind is list:
            return self._items(structure, depth)
        if kind is not dict or len(structure) != 1:
            raise CodecError("not a value")
        ((tag, content),) = structure.items()
        try:
            return self._tagged(tag, content, depth)
        except Exception as error:  # whatever a constructor thinks of made-up content
            raise CodecError(f"bad {tag[:20]!r} value: {str(error)[:100]}") from None

    def _items(self, content: Any, depth: int) -> list[Any]:
        if type(content) is not list:
            raise CodecError("not a list")
        kinds = set(map(type, content))
        if kinds <= SCALARS and (int not in kinds or _all_small(content)):
            return list(content)
        return [self.decode(item, depth + 1) for item in content]

    def _watch(self, number: int) -> None:
        """Refuse values made of ints with equal hashes: a set of them would take quadratic time, here or in a test."""
        same = self.hashes.setdefault(hash(number), set())
        same.add(number)
        if len(same) > MAX_EQUAL_HASHES:
            raise CodecError("too many numbers with equal hashes")

    def _dict(self, content: Any, depth: int) -> dict[Any, Any]:
        keys = _spread([self.decode(key, depth + 1) for key, _ in content])
        return dict(zip(keys, (self.decode(value, depth + 1) for _, value in content), strict=True))

    def _tagged(self, tag: str, content: Any, depth: int) -> Any:
        if tag == "t":
            return tuple(self._items(content, depth))
        if tag == "d":
            return self._dict(content, depth)
        if tag == "s":
            return set(_spread(self._items(content, depth)))
        if tag == "o":
            handle, name = content
            if type(handle) is not int or type(name) is not str:
                raise CodecError("bad handle")
            return self.opaque(handle, name)
        if tag == "r":
            return self.reference(int(content))
        if tag == "i":
            number = int(_short(content, MAX_INT_BITS // 4 + 3), 16)
            self._watch(number)
            return number
        if tag == "nt":
            name, fields, values = content
            return self._named(name, fields, self._items(values, depth))
        if tag in ("time", "datetime"):
            *fields, offset = content
            _integers(fields)
            zone = None if offset is None else datetime.timezone(datetime.timedelta(seconds=offset))
            return _MAKERS[tag](fields, zone)
        if tag in ("Counter", "OrderedDict", "defaultdict"):
            return _MAKERS[tag](self._dict(content, depth))
        if tag == "f":
            return frozenset(_spread(self._items(content, depth)))
        if tag in ("range", "Fraction"):
            return _MAKERS[tag](*_integers(self._items(content, depth)))
        if tag in ("date", "timedelta"):
            return _MAKERS[tag](*_integers(content))
        if tag == "deque":
            maxlen, items = content
            return deque(self._items(items, depth), maxlen)
        return _MAKERS[tag](content)

    def _named(self, name: Any, fields: Any, values: list[Any]) -> Any:
        """Return a named tuple of a class of its own; a plain one where the names are not plain names."""
        names = [name, *fields]
        if not all(map(_is_plain, names)) or len(set(fields)) != len(values) or not 0 < len(values) <= 100:
            return tuple(values)
        made = self.classes.get(tuple(names))
        if made is None:
            if len(self.classes) >= MAX_CLASSES:
                raise CodecError("too many named tuples")
            made = self.classes[tuple(names)] = namedtuple(name, fields)
        return made(*values)


def _is_plain(name: Any) -> bool:
    """Whether a name means itself: not private, no keyword, and no letters that Python reads as others."""
    return (
        type(name) is str
        and name.isascii()
        and name.isidentifier()
        and not name.startswith("_")
        and not iskeyword(name)
    )


def _short(text: Any, length: int) -> str:
    """Return a text as it is. Raises CodecError for anything else and for a longer one."""
    if type(text) is not str or len(text) > length:
        raise CodecError("not a text, or too long a one")
    return text


def _integers(content: Any) -> list[int]:
    """Return a list of ints as it is. Raises CodecError for anything else, which constructors would read as well."""
    if type(content) is not list or not set(map(type, content)) <= {int}:
        raise CodecError("not a list of ints")
    return content


def _all_small(content: list[Any]) -> bool:
    """Whether all ints are below the modulus of Python's hash, where no two hashes are equal."""
    numbers = [item for item in content if type(item) is int]
    return min(numbers) > -_MODULUS and max(numbers) < _MODULUS


def _spread(items: list[Any]) -> list[Any]:
    """Return items that are to be hashed, refused if many share a hash (tuples of -1 and -2 all do)."""
    if len(items) > MAX_EQUAL_HASHES and max(Counter(map(hash, items)).values()) > MAX_EQUAL_HASHES:
        raise CodecError("too many items with equal hashes")
    return items


_MAKERS: dict[str, Callable[..., Any]] = {
    "c": lambda content: complex(float(content[0]), float(content[1])),
    "b": lambda content: content.encode("latin-1"),
    "ba": lambda content: bytearray(content, "latin-1"),
    "range": lambda start, stop, step: check_range(range(start, stop, step)),
    "Fraction": lambda numerator, denominator: Fraction(*check_fraction(numerator, denominator)),
    "Counter": Counter,
    "OrderedDict": OrderedDict,
    "defaultdict": lambda content: defaultdict(None, content),
    "Decimal": lambda content: check_decimal(Decimal(_short(content, MAX_EXPONENT + 100))),
    "date": datetime.date,
    "time": lambda fields, zone: datetime.time(fields[0], fields[1], fields[2], fields[3], zone),
    "datetime": lambda fields, zone: datetime.datetime(*fields).replace(tzinfo=zone),
    "timedelta": datetime.timedelta,
    "type": lambda content: BUILTIN_TYPES[content],
}


# Each NaN an object of its own: one and the same would make lists of NaN equal, as containers look at identity first.
_JSON = json.JSONDecoder(parse_constant=float)


def loads(text: bytes | str) -> Any:
    """Parse JSON text into a structure. Raises CodecError, and nothing else, whatever the text is."""
    if len(text) > MAX_TEXT + 1024:
        raise CodecError("text too large")
    # Ten million empty lists are a short text and more than a gigabyte of memory.
    separators = (b",", b"[", b"{") if isinstance(text, bytes) else (",", "[", "{")
    if len(text) > MAX_PARTS and sum(map(text.count, separators)) > MAX_PARTS:  # type: ignore[arg-type]
        raise CodecError("too many parts")
    try:
        return _JSON.decode(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:
        raise CodecError(f"not JSON: {str(error)[:100]}") from None


def decode(structure: Any) -> Any:
    """Return the value of a structure, with `Opaque` for handles. Raises CodecError."""
    return Decoder().decode(structure)
