"""Dual execution agreement: which programs agree, by hand-computed scores, and the tests that follow."""

from __future__ import annotations

import ast
import math
from collections import Counter, OrderedDict, namedtuple
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.agreement import Agreement, Group, agreement_of, check_source
from distill.created_text import Fate
from distill.literals import MAX_CHARACTERS, agrees, holds_float, literal
from harness import Returned

FAILED = Returned(failure="raised ValueError")
HALF = 0.51
Point = namedtuple("Point", "x y")


def outputs(*programs: Sequence[object]) -> list[list[Returned]]:
    return [[one if isinstance(one, Returned) else Returned(value=one) for one in program] for program in programs]


def agreement(*programs: Sequence[object], share: float = HALF) -> Agreement:
    return agreement_of(outputs(*programs), share)


def test_the_largest_group_is_believed() -> None:
    found = agreement([1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 3, 4], [1, 2, 3, 4], [0, FAILED, 0, 0])
    assert [(group.programs, group.score) for group in found.groups] == [((0, 2, 3), 3 * 4), ((1,), 4), ((4,), 3)]
    assert found.groups[0].values == ("1", "2", "3", "4")
    assert (found.fate, found.share) == (Fate.ACCEPTED, 0.6)


def test_the_score_is_programs_times_inputs_with_a_value() -> None:
    few = [1, FAILED, FAILED, FAILED, 2]
    found = agreement(few, few, few, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    assert [(group.programs, group.score) for group in found.groups] == [((3, 4), 2 * 5), ((0, 1, 2), 3 * 2)]
    assert found.fate is Fate.NO_AGREEMENT  # two of five
    assert agreement(few, few, few, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5], share=0.4).fate is Fate.ACCEPTED


@pytest.mark.parametrize(
    ("programs", "share", "fate"),
    [
        ([], HALF, Fate.NO_AGREEMENT),
        ([[1, 2, 3]], HALF, Fate.NO_AGREEMENT),  # one alone agrees with nobody
        ([[1, 2, 3]] * 2, HALF, Fate.ACCEPTED),
        ([[1, 2, 3], [3, 2, 1]], 0.1, Fate.NO_AGREEMENT),
        ([[1, 2, 3]] * 2 + [[3, 2, 1]] * 2, HALF, Fate.NO_AGREEMENT),  # a split vote
        ([[1, 2, 3]] * 2 + [[3, 2, 1]] * 2, 0.5, Fate.NO_AGREEMENT),  # a tie, although half is enough
        ([[1, 2, 3]] * 3 + [[3, 2, 1]] * 2, 0.6, Fate.ACCEPTED),
        ([[1, 2, 3]] * 3 + [[3, 2, 1]] * 2, 0.61, Fate.NO_AGREEMENT),
        ([[1, 2, 3]] * 3, 1.0, Fate.ACCEPTED),
        ([[1, 2, 3]] * 7 + [[n, 0, 0] for n in range(18)], 0.28, Fate.ACCEPTED),  # 0.28 x 25 is a bit above 7
        ([[FAILED] * 3] * 5, HALF, Fate.NO_AGREEMENT),  # no value at all
        ([[1, 2, FAILED]] * 5, HALF, Fate.FEW_VALUES),
        ([[1, 2, FAILED, 3]] * 5, HALF, Fate.ACCEPTED),
        ([[None] * 4] * 5, HALF, Fate.SAME_VALUE),
        ([[1.0, 1, True, 1.0 + 1e-9]] * 5, HALF, Fate.SAME_VALUE),
        ([[float("nan"), object(), 2, "a" * 2_000]] * 5, HALF, Fate.FEW_VALUES),
        ([[1, 2, {1, 2}], [1.0, True + 1, {2, 1}]], HALF, Fate.ACCEPTED),
        ([[0.1 + 0.2, 1.5, 0.0], [0.3, 1.5, 1e-09]], HALF, Fate.ACCEPTED),
        ([[0.3, 1.5, 0.0], [0.31, 1.5, 0.0]], HALF, Fate.NO_AGREEMENT),
        ([[(1, 2), 2, 3], [[1, 2], 2, 3]], HALF, Fate.NO_AGREEMENT),  # a tuple is no list
    ],
)
def test_what_is_accepted(programs: Sequence[Sequence[object]], share: float, fate: Fate) -> None:
    assert agreement(*programs, share=share).fate is fate


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0, 1, 0.5, FAILED]), min_size=3, max_size=3), min_size=1, max_size=7))
def test_each_program_is_in_one_group_whose_values_it_gives(programs: list[list[object]]) -> None:
    found = agreement(*programs)
    assert sorted(place for group in found.groups for place in group.programs) == list(range(len(programs)))
    scores = [group.score for group in found.groups]
    assert scores == sorted(scores, reverse=True)
    for group in found.groups:
        for place in group.programs:
            assert [None if one is FAILED else literal(one) for one in programs[place]] == list(group.values)
    if found.fate is Fate.ACCEPTED:
        assert len(found.groups[0].programs) > len(programs) / 2


def check_of(inputs: Sequence[tuple[object, ...]], values: Sequence[object]) -> Callable[[Callable[..., object]], None]:
    namespace: dict[str, Callable[[Callable[..., object]], None]] = {}
    exec(check_source(inputs, [None if value is FAILED else literal(value) for value in values]), namespace)
    return namespace["check"]


def test_the_tests_assert_what_was_agreed_upon() -> None:
    text = check_source([(1, "a"), ([2], "b"), ({3}, "c")], ["[1]", None, "{'x': 0.5}"])
    asserted = "    assert candidate(1, 'a') == [1]\n    assert agrees(candidate({3}, 'c'), {'x': 0.5})\n"
    assert text.endswith(f"\n\n\ndef check(candidate):\n{asserted}")
    assert check_source([(1,)], ["2"]) == "def check(candidate):\n    assert candidate(1) == 2\n"


def test_floats_are_tested_with_a_tolerance_and_all_else_exactly() -> None:
    check = check_of([(0,), (1,), (2,)], [0.3, FAILED, [1, {"a": 2.0}]])
    check(lambda n: {0: 0.1 + 0.2, 2: [1, {"a": 2.0 + 1e-8}]}[n])
    for wrong in ({0: 0.3001, 2: [1, {"a": 2.0}]}, {0: 0.3, 2: [1.1, {"a": 2.0}]}, {0: None, 2: None}):
        with pytest.raises(AssertionError):
            check(lambda n, wrong=wrong: wrong[n])


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.integers() | st.text(), inner, max_size=4)
        | st.sets(st.integers() | st.text(), max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(PLAIN)
def test_plain_values_have_literals_that_are_those_values(value: object) -> None:
    text = literal(value)
    if text is None:
        assert len(repr(value)) > MAX_CHARACTERS // 2
        return
    assert ast.literal_eval(text) == value
    assert agrees(value, ast.literal_eval(text))
    check_of([(value,)], [value])(lambda given: given)


def test_what_derives_from_a_plain_type_is_written_as_that() -> None:
    assert literal(Counter("aab")) == "{'a': 2, 'b': 1}"
    assert literal(OrderedDict(x=1)) == "{'x': 1}"
    assert literal(Point(1, 2)) == "(1, 2)"
    assert literal({"b", "a"}) == "{'a', 'b'}"
    assert agrees(Counter("aab"), {"a": 2, "b": 1})
    assert agrees(Point(1, 2.0), (1, 2.0))


NESTED: list[object] = []
for _ in range(30):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        1j,
        b"x",
        frozenset(),
        object(),
        int,
        range(3),
        [object()],
        {1: [math.inf]},
        {(1, ...): 2},
        10**1000,
        "a" * MAX_CHARACTERS,
        [0] * 10000,
        NESTED,
    ],
)
def test_other_values_have_no_literal(value: object) -> None:
    assert literal(value) is None


def test_agreeing_never_raises() -> None:
    assert not agrees(10**400, 1.0)
    assert not agrees(math.nan, 1.0)
    assert not agrees(math.inf, 1.0)
    assert not agrees({"a": 1}, {"a": 1, "b": 2.0})
    assert not agrees([1.0], [1.0, 2.0])
    assert not agrees("1.0", 1.0)
    assert agrees({1: [0.5, {}]}, {1: [0.5 + 1e-8, {}]})


@pytest.mark.parametrize(("value", "holds"), [(1, False), (1.0, True), ({"a": [(1.0,)]}, True), ([{1.5}], False)])
def test_a_tolerance_is_where_a_float_is(value: object, holds: bool) -> None:
    assert holds_float(value) is holds


def test_a_group_without_values_scores_nothing() -> None:
    assert Group(programs=(0, 1), values=(None, None)).score == 0
