"""Inputs for the functions of the ladder: the name of an argument says what kind of value it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.benchmarks.ladder.draw import Draw

Value = int | str | list[int] | list[str] | list[list[int]]
Inputs = tuple[Value, ...]

_TEXT = """
ant apple area arena art ask bell blue bob cat data dog eat echo eel egg else eve extra fox goat hat ice ink iron
jazz kayak lemon level lion moon net noon nose note oak ocean odd old onion orange pear pop radar rain red river rose
salsa sea see seven ski snow solo stats stone sun taste ten tent test toast tree use yes zoo
"""
_WORDS = _TEXT.split()
_MEMBERS = (("nums", "m"), ("nums", "n"), ("words", "word"))  # the second is often one of the first
_MEMBER_SHARE = 0.4


def inputs_for(arguments: tuple[str, ...], draw: Draw) -> Inputs:
    """Return one random input for a function with these arguments."""
    values = {name: _KINDS[name](draw) for name in arguments}
    for many, one in _MEMBERS:
        if many in values and one in values and draw.chance(_MEMBER_SHARE):
            members = values[many]
            member = draw.one_of(members) if isinstance(members, list) and members else None
            if isinstance(member, str) or (isinstance(member, int) and (member >= 0 or one == "m")):
                values[one] = member
    return tuple(values.values())


def edges_for(arguments: tuple[str, ...], draw: Draw) -> list[Inputs]:
    """Return inputs at the edge: each argument at each of its edges, the others random."""
    found: list[Inputs] = []
    for place, name in enumerate(arguments):
        for edge in _EDGES[name]:
            others = inputs_for(arguments, draw)
            found.append((*others[:place], edge, *others[place + 1 :]))
    return found


def _numbers(draw: Draw) -> list[int]:
    kind = draw.below(6)
    if kind == 0:  # few different values: repeats and neighbours that are equal
        return draw.some_of((draw.between(-5, 9), draw.between(0, 9), draw.between(0, 9)), 2, 7)
    if kind == 1:
        start = draw.between(-4, 6)
        return [start + step for step in range(draw.between(2, 6))]
    if kind == 2:
        return [draw.between(0, 30) for _ in range(draw.between(1, 6))]
    return [draw.between(-9, 12) for _ in range(draw.between(1, 7))]


def _words(draw: Draw) -> list[str]:
    kind = draw.below(4)
    if kind == 0:  # repeats
        return draw.some_of(draw.some_of(_WORDS, 2, 3), 2, 5)
    if kind == 1:  # short strings of few letters, so that they often have things in common
        return ["".join(draw.some_of("aeostx", 1, 4)) for _ in range(draw.between(1, 5))]
    return draw.some_of(_WORDS, 1, 5)


def _text(draw: Draw) -> str:
    kind = draw.below(4)
    if kind == 0:
        return "".join(draw.some_of("abeinorst 0123", 1, 10))
    parts = draw.some_of(_WORDS, 1, 3)
    if kind == 1:
        parts.append(str(draw.between(0, 99)))
    return " ".join(parts)


def _natural(draw: Draw) -> int:
    kind = draw.below(10)
    return draw.between(0, 12) if kind < 5 else draw.between(13, 99) if kind < 9 else draw.between(100, 999)


def _rows(draw: Draw) -> list[list[int]]:
    return [_numbers(draw)[:4] if draw.chance(0.9) else [] for _ in range(draw.between(1, 4))]


_KINDS: Mapping[str, Callable[[Draw], Value]] = {
    "rows": _rows,
    "nums": _numbers,
    "words": _words,
    "text": _text,
    "word": lambda draw: draw.one_of(_WORDS),
    "n": _natural,
    "m": lambda draw: draw.between(-9, 12),
    "k": lambda draw: draw.between(1, 6),
}

_ROWS: Sequence[list[list[int]]] = ([], [[]], [[], [1, 2]], [[3], [3]], [[-1, -2], [0]])
_EDGES: Mapping[str, Sequence[Value]] = {
    "rows": _ROWS,
    "nums": ([], [0], [1], [-1], [7], [4, 4, 4], [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [0, -2, -4], [-3, -1]),
    "words": ([], ["a"], ["b"], ["noon"], ["stone", "stone"], ["on", "no"], ["x", "ax", "axe"]),
    "text": ("", "a", "b", " ", "7", "aaa", "a b", "aeiou", "2 b 3"),
    "word": ("a", "x", "noon", "aeon"),
    "n": (0, 1, 2, 9, 10, 11, 100),
    "m": (0, 1, -1, 2, -2),
    "k": (1, 2),
}
