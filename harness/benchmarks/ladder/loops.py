"""The pieces that loops are built of in tiers 3 and 4: how a loop gathers values, and what it goes through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.benchmarks.ladder.drafts import Draft, arguments, indented, lines
from harness.benchmarks.ladder.draw import Draw
from harness.benchmarks.ladder.phrases import Change, Condition, used_argument


@dataclass(frozen=True, slots=True)
class Gather:
    """How a loop gathers values: what stands before it, what each step does with a value `@y`, what is returned."""

    key: str
    words: str
    start: str
    step: str
    result: str

    def said(self, values: str) -> str:
        """Return the phrase for these values."""
        return self.words.replace("@these", values)

    def on(self, value: str) -> str:
        """Return the step's code for a value."""
        return self.step.replace("@y", value)


COUNT = Gather("count", "the count of @these", "count = 0", "count += 1", "count")
SUM = Gather("sum", "the sum of @these", "total = 0", "total += @y", "total")
PRODUCT = Gather("product", "the product of @these, or 1 if none", "total = 1", "total *= @y", "total")
LIST = Gather("list", "a list of @these", "out = []", "out.append(@y)", "out")
LARGEST = Gather("largest", "the largest of @these, or 0 if none", "out = []", "out.append(@y)", "max(out, default=0)")
SMALLEST = Gather(
    "smallest", "the smallest of @these, or 0 if none", "out = []", "out.append(@y)", "min(out, default=0)"
)
LAST = Gather("last", "the last of @these, or 0 if none", "last = 0", "last = @y", "last")
LENGTH = Gather("length", "the total length of @these", "total = 0", "total += len(@y)", "total")
DASH = Gather("dash", "@these, joined by '-'", "out = []", "out.append(@y)", "'-'.join(out)")
TEXT = Gather("text", "@these, joined as one text", "out = ''", "out += @y", "out")
FRONT = Gather("front", "@these, joined in reverse order", "out = ''", "out = @y + out", "out")

_ALIKE = (
    ("even", "odd"),
    ("positive", "negative"),
    ("divisible", "indivisible"),
    ("greater", "least"),
    ("less", "most"),
    ("more", "fewer"),
    ("contain", "lack"),
)

UNORDERED = (SUM, PRODUCT, LARGEST, SMALLEST)
NUMBER_GATHERS = (*UNORDERED, LIST, LAST)
WORD_GATHERS = (LIST, DASH, TEXT, FRONT, LENGTH)


def draft(
    tier: str,
    name: str,
    choices: tuple[str, ...],
    taken: tuple[str, ...],
    phrases: Sequence[Condition | Change],
    sentence: str,
    code: str,
) -> Draft:
    """Return a draft whose skeleton is the choices and the phrases; the phrases' argument joins the others `taken`."""
    return Draft(
        family=f"{tier}-{name}",
        choices=(*choices, *(phrase.key for phrase in phrases)),
        name=name,
        arguments=arguments(taken, used_argument(*phrases)),
        sentence=sentence,
        body=code,
    )


def body(gather: Gather, loop: str, step: str) -> str:
    """Return the body that gathers in one loop."""
    return lines(gather.start, loop, indented(step), f"return {gather.result}")


def when(condition: str, step: str, otherwise: str = "") -> str:
    """Return an `if`, with an `else` if there is a step for it."""
    return lines(f"if {condition}:", indented(step), "else:" if otherwise else "", indented(otherwise))


def one_argument(draw: Draw, share: float) -> tuple[bool, bool]:
    """Return for two phrases whether to use the argument: in this share of the cases one of them does."""
    first = draw.chance(0.5)
    taken = draw.chance(share)
    return taken and first, taken and not first


def are_alike(one: Condition | Change, two: Condition | Change) -> bool:
    """Whether two conditions or changes are too close to be told of in one sentence: the same, or opposites."""
    keys = {one.key.partition(":")[0], two.key.partition(":")[0]}
    return len(keys) == 1 or any(keys == set(pair) for pair in _ALIKE)
