"""Values across the wall: what goes in comes out, and what is made up comes to nothing worse than a CodecError."""

from __future__ import annotations

import cmath
import contextlib
import datetime
import enum
import hashlib
import json
import math
import random
import time
from collections import Counter, OrderedDict, UserList, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness import expected
from sandbox import CodecError, Decoder, Encoder, Opaque, dumps, loads
from sandbox.guest import digests
from sandbox.guest.codec import MAX_DEPTH, MAX_NODES, MAX_TEXT, TooLarge, encode_text
from sandbox.guest.digests import digest, digest_of_flat, is_flat, is_longer

MODULUS = (1 << 61) - 1  # of Python's hash of numbers
TAGS = ["i", "c", "b", "ba", "t", "d", "s", "f", "nt", "o", "r", "type", "unknown"]
TAGS += ["time", "date", "datetime", "timedelta", "range", "Fraction", "Decimal"]
TAGS += ["Counter", "OrderedDict", "defaultdict", "deque"]

texts = st.text(st.characters(exclude_categories=()), max_size=20)  # lone surrogates included
offsets = st.timedeltas(datetime.timedelta(hours=-23), datetime.timedelta(hours=23)).map(
    lambda delta: datetime.timezone(datetime.timedelta(minutes=delta // datetime.timedelta(minutes=1)))
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.builds(int.__lshift__, st.integers(), st.sampled_from([100, 13_990, 14_000, 20_000])),
    st.floats(),
    st.complex_numbers(),
    texts,
    st.binary(max_size=20),
    st.fractions(),
    st.decimals(allow_nan=False, places=3),
    st.sampled_from([Decimal("NaN"), Decimal("-Infinity"), Decimal("1E+999")]),
    st.builds(range, st.integers(-100, 100), st.integers(-100, 100), st.integers(1, 9)),
    st.dates(),
    st.times(timezones=st.none() | offsets),
    st.datetimes(timezones=st.none() | offsets),
    st.timedeltas(),
    st.sampled_from([int, str, list, dict, set, type(None), object]),
)
hashables = st.recursive(
    scalars.filter(lambda value: not isinstance(value, Decimal | float | complex) or not cmath.isnan(complex(value))),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4),
    max_leaves=4,
)
Pair = namedtuple("Pair", "first second")
values = st.recursive(
    scalars | hashables,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(hashables, inner, max_size=4),
        st.dictionaries(hashables, inner, max_size=4).map(OrderedDict),
        st.dictionaries(hashables, inner, max_size=4).map(lambda content: defaultdict(None, content)),
        st.dictionaries(hashables, st.integers(), max_size=4).map(Counter),
        st.sets(hashables, max_size=4),
        st.builds(deque, st.lists(inner, max_size=4), st.none() | st.integers(0, 9)),
        st.builds(Pair, inner, inner),
        st.binary(max_size=9).map(bytearray),
    ),
    max_leaves=12,
)


def across(value: Any) -> Any:
    """Send a value through everything that a reply goes through."""
    return Decoder().decode(loads(encode_text(value)))


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same in type and content: nan is nan, whatever its sign, and -0.0 is not 0.0."""
    if isinstance(one, Pair):  # its class is made again on the other side
        return type(other).__name__ == "Pair" and other._fields == one._fields and same(tuple(one), tuple(other))
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        if math.isnan(one):  # its sign has no name in JSON, and hypothesis draws it
            return math.isnan(other)
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, Decimal):
        return str(one) == str(other)
    if isinstance(one, deque) and one.maxlen != other.maxlen:
        return False
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, datetime.datetime | datetime.time):
        return one.utcoffset() == other.utcoffset() and one.replace(tzinfo=None) == other.replace(tzinfo=None)
    return bool(one == other)


@example(-math.nan)
@given(values)
def test_what_goes_in_comes_out(value: Any) -> None:
    assert same(value, across(value))


@given(values)
def test_a_text_is_one_ascii_line(value: Any) -> None:
    text = encode_text(value)
    assert text.isascii()
    assert "\n" not in text


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        -0.0,
        [0.0, -0.0, math.nan],
        complex(-0.0, math.nan),
        pytest.param(10**5000, id="huge"),
        pytest.param(-(16**4000), id="huge and negative"),
        [1 << 62, 1 << 63, 1 << 64, True],
        "\ud800 \x00 \n \u2028 😀",
        b"\x00\xff",
        {(1, (2, frozenset({3}))): [None, True, 1, 1.0]},
        {1: "int", "1": "text", None: "none", (): "empty"},
        [[]],
        [(), [], {}, set(), frozenset()],
        Decimal("sNaN"),
        Decimal("-0E-7"),
        range(10, 0, -3),
        Counter("hello"),
        deque([1, 2], maxlen=2),
        datetime.datetime(2026, 2, 28, 23, 59, 59, 999_999),
    ],
)
def test_a_value_that_others_get_wrong_comes_out(value: Any) -> None:
    assert same(value, across(value))


@given(st.sets(hashables))
def test_equal_sets_have_equal_texts(value: set[Any]) -> None:
    assert encode_text(value) == encode_text({*list(value)[::-1]})
    assert encode_text(value) == encode_text(across(value))


# Classes of the program's own


class Sly(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__

    def __repr__(self) -> str:
        return "0"

    __str__ = __int__ = __index__ = __repr__  # type: ignore[assignment]


class SlyText(str):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__

    def __str__(self) -> str:
        return "other"


class SlyList(list[Any]):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Any:
        return iter(["other"])

    def __len__(self) -> int:
        return 0


class SlyDict(dict[Any, Any]):
    def items(self) -> Any:
        return [("other", "other")]

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class SlyFloat(float):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = float.__hash__

    def __float__(self) -> float:
        return 0.0


class SlyTuple(tuple[Any, ...]):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = tuple.__hash__

    def __iter__(self) -> Any:
        return iter(["other"])


class Colour(enum.IntEnum):
    RED = 3


class Point(NamedTuple):
    x: int
    y: int = 0


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (Sly(5), 5),
        (SlyText("text"), "text"),
        (SlyList([1, 2]), [1, 2]),
        (SlyDict({"a": 1}), {"a": 1}),
        (SlyFloat(1.5), 1.5),
        (SlyTuple((1, 2)), (1, 2)),
        ([Sly(5), {SlyText("k"): Sly(6)}], [5, {"k": 6}]),
        (Colour.RED, 3),
        (type("Own", (set,), {})({1}), {1}),
        (type("Own", (frozenset,), {})({1}), frozenset({1})),
        (type("Own", (bytes,), {})(b"x"), b"x"),
        (np.int64(7), 7),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.complex128(1j), 1j),
    ],
)
def test_a_derived_class_is_sent_as_its_content(value: Any, content: Any) -> None:
    decoded = across(value)
    assert same(content, decoded)
    assert type(decoded) is type(content)


def test_a_named_tuple_keeps_its_names_and_nothing_else() -> None:
    decoded = across(Point(1, 2))
    assert (decoded, decoded.x, decoded.y, type(decoded).__name__) == ((1, 2), 1, 2, "Point")
    assert type(decoded) is not Point


@pytest.mark.parametrize(
    "fields",
    [
        ["def"],
        ["_x"],
        ["a", "a"],
        ["a b"],
        ["x", 1],
        [],
        ["\ufb01", "fi"],
        ["\uff3fcls"],
        ["\u00e9"],
        ["__class__"],
        ["x", "y", "z"],
    ],
)
def test_names_that_could_mean_something_else_are_dropped(fields: list[Any]) -> None:
    decoded = Decoder().decode({"nt": ["Point", fields, [1, 2][: len(fields)]]})
    assert type(decoded) is tuple


@pytest.mark.parametrize("name", ["", "a b", "x()", 5, None, ["x"]])
def test_a_named_tuple_with_an_odd_name_is_a_tuple(name: Any) -> None:
    assert type(Decoder().decode({"nt": [name, ["x"], [1]]})) is tuple


def test_an_object_of_another_class_is_a_handle_equal_to_itself_only() -> None:
    kept: list[Any] = []

    def keep(value: Any) -> int:
        kept.append(value)
        return len(kept) - 1

    value = [UserList([1]), object()]
    structure = loads(dumps(Encoder(keep).encode(value)))
    assert kept == value
    first, second = Decoder().decode(structure)
    assert (type(first), first.handle, first.class_name) == (Opaque, 0, "UserList")
    assert first == first
    assert first != second
    assert first != Opaque(0, "UserList")
    with pytest.raises(CodecError):
        Encoder().encode(value)


# Bounds


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_bounded_on_both_sides() -> None:
    assert same(nested(MAX_DEPTH - 1), across(nested(MAX_DEPTH - 1)))
    with pytest.raises(CodecError):
        encode_text(nested(MAX_DEPTH + 2))
    with pytest.raises(CodecError):
        Decoder().decode(nested(MAX_DEPTH + 5))
    with pytest.raises(CodecError):
        loads("[" * 1_000_000)


@pytest.mark.parametrize(
    "value",
    [
        range(10**12),
        Decimal("1e999999"),
        Decimal("1e-999999"),
        pytest.param(1 << 5_000_000, id="int"),
        Fraction(1, 3**99_999),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_number_too_large_to_calculate_with_is_refused(value: Any) -> None:
    with pytest.raises(CodecError):
        encode_text(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(CodecError):
        encode_text(loop)


def test_size_is_bounded_on_both_sides() -> None:
    with pytest.raises(TooLarge):
        encode_text([0] * (MAX_NODES + 1))
    with pytest.raises(TooLarge):
        encode_text("x" * (MAX_TEXT + 1))
    with pytest.raises(CodecError):
        loads(b" " * (MAX_TEXT + 2000))


NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ("text", True),
        (10**400, True),
        (True, False),
        (1e300, False),
        ([1, 2.5, None, "a", True], True),
        ((), True),
        ([[1, "a"], (2.5, None)], True),
        ([[], ()], True),
        ([1, [2]], False),
        ([[1, [2]]], False),
        ([{1}], False),
        ([[{1}]], False),
        ({1: 2}, False),
        ([1.0, NAN], False),
        ([[1.0], (2, NAN)], False),
        (["a", NAN], False),
        ([float("inf"), float("-inf")], True),
        ([1.5, 10**400], True),
        ([10**400, NAN], False),
    ],
)
def test_what_a_digest_may_stand_for(value: object, is_one: bool) -> None:
    assert is_flat(value) == is_one
    assert (digest_of_flat(value) is not None) == is_one


def test_no_two_lists_of_texts_have_one_digest() -> None:
    """Whatever marks their texts hold, and in whatever they are."""
    some: list[Any] = [
        [("a", "b"), ("c",)],
        [("a",), ("b", "c")],
        [("a", "b", "c")],
        [["a", "b"], ["c"]],
        (("a", "b"), ("c",)),
        [("a", "b"), ["c"]],
        [("a\0b",), ("c",)],
        [("a\0b", "c")],
        [("a", "b\0c")],
        [("a\1b",), ("c",)],
        [("a", "b\1c")],
        [("a", ""), ("b",)],
        [("a",), (), ("",)],
        [("a",), ("",), ()],
        [("a",), ("\ud800",)],
        [("a",), (None,)],
        [("a",), (b"b",)][:1],
        [("a",)] * 1001,
        [("a",)] * 1000,
    ]
    found = [digest_of_flat(value) for value in some]
    assert None not in found
    assert len(set(found)) == len(some)
    assert digest_of_flat([("a", "b")] * 3000) == digest_of_flat([tuple("ab") for _ in range(3000)])


def test_long_texts_have_one_digest_each_wherever_they_are_cut() -> None:
    piece = digests._PIECE
    some = [
        "a" * piece,
        "a" * (piece + 1),
        "a" * (2 * piece),
        "a" * piece + "b",
        "b" + "a" * piece,
        "",
        "\ud800" * piece,
    ]
    some += ["\U0001f40d" * (piece + 1), "\ud83d\udc0d" * (piece + 1)]  # a pair of surrogates is no snake
    assert len({digest(value) for value in some}) == len(some)
    for value in some:
        assert digest(value) == digest("".join(list(value))) == digest_of_flat(value)
    assert digest("a") != digest(["a"]) != digest(("a",))


def test_digests_are_those_of_the_expected_values_that_are_kept() -> None:
    some: list[Any] = ["a" * 40_000, "\ud800", 2**70, [1, 2.5, None], ([1, 2], ["a"]), [("a", "b"), ("c",)], {1: {2}}]
    found = "".join(digest_of_flat(value) or digest(value) for value in some)
    here = hashlib.sha256(found.encode()).hexdigest()[:16]
    assert (here, expected._FORMAT) == ("a17ebf75b33425a8", "5"), (
        "raise harness.expected._FORMAT, so that kept values are not used"
    )


def test_items_of_lists_in_a_list_make_it_long() -> None:
    short: list[Any] = ["abcd", [1, 2, 3, 4], [[1, 2], (3, 4)], [[1, 2], None, "345"], ["ab", "cd"], [], 8191, -1]
    long: list[Any] = ["abcde", [1] * 5, ([1, 2], (3, 4, 5)), [[]] * 5, ["ab", "cde"], 10**5, -(10**5)]
    assert [is_longer(value, 4) for value in (*short, *long)] == [False] * 8 + [True] * 7


def test_equal_large_values_have_equal_digests() -> None:
    large = list(range(3000))
    assert digest(large) == digest(list(range(3000)))
    assert len({digest(large), digest(tuple(large)), digest([*large[:-1], 0]), digest([float(x) for x in large])}) == 4


# What is made up

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 70), st.floats(), st.text(max_size=8), st.sampled_from(TAGS)
)
structures = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(st.sampled_from(TAGS), inner, min_size=1, max_size=1),
        st.dictionaries(st.text(max_size=4), inner, max_size=2),
    ),
    max_leaves=20,
)


@pytest.mark.slow
@settings(max_examples=1000, deadline=2000)
@given(structures)
def test_the_decoder_raises_codec_error_only(structure: Any) -> None:
    with contextlib.suppress(CodecError):
        Decoder().decode(loads(json.dumps(structure)))


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_loads_raises_codec_error_only(text: bytes | str) -> None:
    with contextlib.suppress(CodecError):
        loads(text)


@given(values.map(lambda value: encode_text(value).encode()), st.data())
def test_a_damaged_text_raises_codec_error_only(text: bytes, data: st.DataObject) -> None:
    damaged = bytearray(text)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CodecError):
        Decoder().decode(loads(bytes(damaged)))


HEX = random.Random(7).randbytes(4 << 20).hex()
SLOW = {
    "fraction of a text": {"Fraction": ["1e999999999"]},
    "fraction of a decimal": {"Fraction": [{"Decimal": "1e999999999"}]},
    "fraction of huge numbers": {"Fraction": [{"i": "0x1" + HEX}, {"i": "0x1" + HEX[::-1]}]},
    "fractions of large numbers": [{"Fraction": [{"i": HEX[:4_000]}, {"i": HEX[4_000:8_000]}]}] * 2_000,
    "decimal of many digits": {"Decimal": "9" * (8 << 20)},
    "set of equal hashes": {"s": [MODULUS * number for number in range(60_000)]},
    "list of equal hashes": [MODULUS * number for number in range(1, 60_000)],
    "dict of equal hashes": {
        "d": [[{"t": [-1 - (number >> bit & 1) for bit in range(16)]}, 1] for number in range(60_000)]
    },
    "decimals of equal hashes": {"f": [{"Decimal": str(MODULUS * number)} for number in range(60_000)]},
    "many classes": [{"nt": [f"N{number}", ["x"], [1]]} for number in range(20_000)],
    "many fields": [{"nt": ["N", [f"x{number}" for number in range(10_000)], list(range(10_000))]}] * 20,
}


@pytest.mark.slow
@pytest.mark.parametrize("structure", SLOW.values(), ids=list(SLOW))
def test_a_value_made_to_be_slow_is_refused_or_quick(structure: Any) -> None:
    start = time.process_time()
    with contextlib.suppress(CodecError):
        Decoder().decode(structure)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "structure",
    [
        {"range": [0, 10**12, 1]},
        {"Decimal": "1e999999999"},
        {"Decimal": "1e-999999999"},
        {"date": ["\x07\xea\x01\xff"]},
        {"datetime": ["\x07\xea\x01\xff\xff\xff\xff\x00\x00\x00", None]},
        {"range": [True, 5, 1]},
        {"i": "0x" + "f" * 2_000_000},
        {"Decimal": 5},
        {"Fraction": [0.5]},
        {"i": 5},
        {"b": 5},
        {"b": "\u20ac"},
        {"unknown": 1},
        {"t": [1], "s": [1]},
        {},
        {"s": [[1]]},
        {"type": "open"},
    ],
    ids=lambda structure: repr(structure)[:40],
)
def test_what_the_encoder_does_not_make_is_refused(structure: Any) -> None:
    with pytest.raises(CodecError):
        Decoder().decode(structure)
