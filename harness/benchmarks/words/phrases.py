"""What word problems are made of: sentences, each with the calculation that it asks for, and the words to fill in.

Calculations are expressions of `{t}`, the number so far, `{u}`, the one before it, `{s}`, the number that a problem
begins with, and `{k}` (in openings also `{n}`), the numbers that the sentence names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.benchmarks.ladder.draw import Draw

NAMES = ("Ada", "Ben", "Cleo", "Dan", "Ella", "Finn", "Gina", "Hugo")
THINGS = ("apples", "books", "cards", "coins", "eggs", "pens", "shells", "stamps")
BOXES = ("bags", "boxes", "jars")
LEAST, MOST = 2, 20  # of the numbers that sentences name; what is wanted may be as much as `WANTED`
WANTED = 40
LARGEST = 500  # that a calculation comes to

Number = Callable[[int, Draw], int | None]  # of a sentence, for the number so far; None: the sentence does not fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """One or two sentences of a problem. Each of its `steps` is one calculation; `key` names it in skeletons."""

    key: str
    text: str
    steps: tuple[str, ...]
    number: Number


def _none(so_far: int, draw: Draw) -> int | None:
    return 0


def _any(so_far: int, draw: Draw) -> int | None:
    return draw.between(LEAST, MOST)


def _less(so_far: int, draw: Draw) -> int | None:
    most = min(MOST, so_far - 1)
    return draw.between(LEAST, most) if most >= LEAST else None


def _factor(so_far: int, draw: Draw) -> int | None:
    most = min(5, LARGEST // max(so_far, 1))
    return draw.between(2, most) if most >= 2 else None


def _divisor(so_far: int, draw: Draw) -> int | None:
    fitting = [k for k in range(2, 6) if so_far % k == 0 and so_far > k]
    return draw.one_of(fitting) if fitting else None


def _by(divisor: int) -> Number:
    return lambda so_far, draw: 0 if so_far % divisor == 0 and so_far > divisor else None


def _more(so_far: int, draw: Draw) -> int | None:
    return draw.between(so_far + 2, WANTED) if so_far + 2 <= WANTED else None


def _phrases(*rows: tuple[str, str, str, Number]) -> tuple[Phrase, ...]:
    """Return phrases of key, text, steps (parted by a semicolon) and number."""
    return tuple(
        Phrase(key=key, text=text, steps=tuple(steps.split("; ")) if steps else (), number=number)
        for key, text, steps, number in rows
    )


# Of these the first number is `{n}`; they are asked as if 0 were the number so far.
OPENINGS = _phrases(
    ("has", "{name} has {n} {things}.", "", _none),
    ("finds", "In the morning {name} finds {n} {things}.", "", _none),
    ("there", "There are {n} {things} in {name}'s room.", "", _none),
    ("two", "{name} has {n} old {things} and {k} new {things}.", "{n} + {k}", _any),
    ("boxes", "{name} has {n} {boxes} with {k} {things} each.", "{n} * {k}", lambda _, draw: draw.between(2, 5)),
)
MIDDLES = _phrases(
    ("buys", "{name} buys {k} more.", "{t} + {k}", _any),
    ("gets", "{other} gives {name} {k} {things}.", "{t} + {k}", _any),
    ("gives", "{name} gives {k} of them to {other}.", "{t} - {k}", _less),
    ("loses", "On the way {name} loses {k}.", "{t} - {k}", _less),
    ("sells", "{k} of them are sold.", "{t} - {k}", _less),
    ("times", "A year later {name} has {k} times as many.", "{t} * {k}", _factor),
    (
        "doubles",
        "Then the number of {things} doubles.",
        "{t} * 2",
        lambda so_far, _: 0 if so_far < LARGEST // 2 else None,
    ),
    ("parts", "{name} makes {k} equal parts and keeps one part.", "{t} / {k}", _divisor),
    ("half", "{name} gives half of them to {other}.", "{t} / 2", _by(2)),
    ("again", "Then {name} gets as many as there were in the beginning.", "{t} + {s}", _none),
)
_TOGETHER = "How many do they have together?"
CLOSINGS = _phrases(
    ("now", "How many {things} does {name} have now?", "", _none),
    ("end", "How many {things} are there in the end?", "", _none),
    ("all", "How many {things} is that?", "", _none),
    ("price", "Each of them costs {k} dollars. How many dollars are they worth?", "{t} * {k}", _factor),
    ("wants", "{name} wants to have {k} {things}. How many are missing?", "{k} - {t}", _more),
    ("than", "{other} has {k} {things}. How many more does {name} have?", "{t} - {k}", _less),
    ("both", "{other} has {k} {things}. " + _TOGETHER, "{t} + {k}", _any),
    ("over", "{other} has {k} {things} more than {name}. " + _TOGETHER, "{t} + {k}; {u} + {t}", _any),
    ("fold", "{other} has {k} times as many. " + _TOGETHER, "{t} * {k}; {u} + {t}", _factor),
)
