"""Programs of the same steps in other orders, which no count of tokens tells apart, and the words that ask for them.

A program turns a number into another one in six steps, and the words name these in order. Four programs of a group
have the same steps, names and numbers: three swap two neighbours of the first, and all compute different things. A
repository is a way of writing: its name for the number, and how far it indents. What is asked for has kinds of steps,
and is of repositories, that nothing is trained on.

- `steps`: a description is to find its program among all, three of which are of its group;
- `modules`: it is to find the file of three programs of one repository that has its program. Four files each have the
  same programs but for their orders.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from benchmarks.encoder_sets import Data, RankingSet
from distill.code_data import Snippet

GROUP, STEPS, MODULE = 4, 6, 3  # programs of a group, steps of a program, programs of a file
_TESTED = 10  # of kinds of groups, and of repositories, one in so many is for tests
_PROBES = (-13, -4, 0, 1, 2, 5, 7, 12, 38, 101)  # on which the orders of a group differ
_NAMES = (*"abdeghmnpqrstuvwxyz", "count", "level", "number", "rest", "score", "size", "sum", "total", "value", "width")
_INDENTS = (" ", "  ", "    ", "\t")
_HEADS = ("apply", "change", "compute", "convert", "derive", "make", "move", "shift", "step", "update")


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """A step: two ways of asking for it, the statement that takes it (`{v}` is the number's name), and what it does.

    `{k}` is a number from 2 to 9.
    """

    words: tuple[str, str]
    code: str
    value: Callable[[int, int], int]


TAKEN = (
    Step(("add {k}", "increase by {k}"), "{v} += {k}", lambda v, k: v + k),
    Step(("subtract {k}", "lower by {k}"), "{v} -= {k}", lambda v, k: v - k),
    Step(("multiply by {k}", "take {k} times"), "{v} *= {k}", lambda v, k: v * k),
    Step(("divide by {k}", "split by {k}"), "{v} //= {k}", lambda v, k: v // k),
    Step(("modulo {k}", "keep the rest by {k}"), "{v} %= {k}", lambda v, k: v % k),
    Step(("flip bits {k}", "exclusive or {k}"), "{v} ^= {k}", lambda v, k: v ^ k),
    Step(("set bits {k}", "join bits {k}"), "{v} |= {k}", lambda v, k: v | k),
    Step(("keep bits {k}", "mask by {k}"), "{v} &= {k}", lambda v, k: v & k),
    Step(("square", "multiply by itself"), "{v} *= {v}", lambda v, k: v * v),
    Step(("negate", "change the sign"), "{v} = -{v}", lambda v, k: -v),
    Step(("drop the sign", "absolute value"), "{v} = abs({v})", lambda v, k: abs(v)),
    Step(("at least {k}", "raise to {k}"), "{v} = max({v}, {k})", max),
    Step(("at most {k}0", "cut to {k}0"), "{v} = min({v}, {k}0)", lambda v, k: min(v, 10 * k)),
    Step(("subtract from {k}", "missing to {k}"), "{v} = {k} - {v}", lambda v, k: k - v),
    Step(("append digit {k}", "write {k} behind"), "{v} = {v} * 10 + {k}", lambda v, k: 10 * v + k),
)
Chosen = tuple[tuple[int, int], ...]  # places in TAKEN with their numbers, in order
Item = TypeVar("Item")


def ordered_data(pairs: int, queries: int) -> Data:
    """Return `pairs` training programs, groups of `GROUP` one after the other, and both sets with `queries` each."""
    draw = random.Random(0)
    train = list(_groups(pairs // GROUP, "train", draw))
    tested = list(_groups(queries // GROUP, "test", draw))
    return Data(
        train=_in_a_row(train),
        modules=_in_a_row(_modules(train)),
        sets={"steps": _asked(_in_a_row(tested)), "modules": _asked(_in_a_row(_modules(tested)))},
        read=GROUP * (len(train) + len(tested)),
        duplicates=0,
        leaks=0,
        same_words=0,
        group=GROUP,
    )


def _in_a_row(groups: Iterable[Sequence[Snippet]]) -> tuple[Snippet, ...]:
    return tuple(itertools.chain.from_iterable(groups))


def _asked(snippets: Sequence[Snippet]) -> RankingSet:
    places = {code: place for place, code in enumerate(dict.fromkeys(one.code for one in snippets))}
    return RankingSet(
        queries=tuple(one.description for one in snippets),
        documents=tuple(places),
        right=tuple(places[one.code] for one in snippets),
    )


def _groups(count: int, split: str, draw: random.Random) -> Iterator[list[Snippet]]:
    """Yield groups of a split, `MODULE` after each other of one repository. Repositories and kinds are its alone."""
    repositories = _of_split(list(itertools.product(_NAMES, _INDENTS)), split)
    kinds = _of_split(list(itertools.combinations(range(len(TAKEN)), STEPS)), split)
    name, indent = "", ""
    for number in range(count):
        if number % MODULE == 0:
            name, indent = draw.choice(repositories)
        orders: list[Chosen] = []
        while len(orders) < GROUP:
            orders = _orders([(one, draw.randint(2, 9)) for one in draw.choice(kinds)], draw)
        head = draw.choice(_HEADS)
        yield [
            Snippet(
                package=f"{name}/{indent}",
                place=f"{split}/{number}/{place}",
                code=_code(order, head, name, indent),
                description=_words(order, draw),
            )
            for place, order in enumerate(orders)
        ]


def _of_split(items: Sequence[Item], split: str) -> list[Item]:
    """Return what of the items is for a split: every tenth is for tests."""
    return [one for place, one in enumerate(items) if (place % _TESTED == 0) == (split == "test")]


def _orders(steps: Sequence[tuple[int, int]], draw: random.Random) -> list[Chosen]:
    """Return up to `GROUP` orders of steps: one, then ones with two neighbours of it swapped.

    No two of them compute the same.
    """
    orders = [tuple(draw.sample(steps, len(steps)))]
    for place in draw.sample(range(len(steps) - 1), len(steps) - 1):
        swapped = list(orders[0])
        swapped[place : place + 2] = reversed(swapped[place : place + 2])
        orders.append(tuple(swapped))
    found: dict[tuple[int, ...], Chosen] = {}
    for order in orders:
        found.setdefault(tuple(_computed(order, value) for value in _PROBES), order)
    return list(found.values())[:GROUP]


def _computed(order: Chosen, value: int) -> int:
    for which, number in order:
        value = TAKEN[which].value(value, number)
    return value


def _code(order: Chosen, head: str, name: str, indent: str) -> str:
    lines = [TAKEN[which].code.format(v=name, k=number) for which, number in order]
    return "\n".join([f"def {head}({name}):", *(f"{indent}{line}" for line in (*lines, f"return {name}"))])


def _words(order: Chosen, draw: random.Random) -> str:
    return ", ".join(draw.choice(TAKEN[which].words).format(k=number) for which, number in order)


def _modules(groups: Sequence[Sequence[Snippet]]) -> Iterator[list[Snippet]]:
    """Yield for each group the files that its programs are in, asked for as they are.

    `MODULE` groups that follow each other are in files together: the first programs of all, then the second ones, ...
    """
    for start in range(0, len(groups), MODULE):
        together = groups[start : start + MODULE]
        files = ["\n\n".join(program.code for program in programs) for programs in zip(*together, strict=True)]
        for group in together:
            yield [dataclasses.replace(one, code=file) for one, file in zip(group, files, strict=True)]
