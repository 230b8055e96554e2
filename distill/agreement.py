"""Dual execution agreement: what a question's tests are, from programs that were written for it independently.

After CodeT (arXiv 2207.10397): programs and tests are believed that agree with each other. CodeT's tests are asserted
by a model, inputs with outputs; ours are inputs alone, and the outputs are those of the programs. So programs are
grouped that give the same on every input, and a group of n programs that give values on m inputs has the score

    n * m

which is CodeT's product of the number of programs and the number of tests that they pass. A program that was written
twice counts twice.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distill.created_text import LEAST_INPUTS, Fate
from distill.literals import agrees, holds_float, literal
from harness import Returned

LEAST_PROGRAMS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Programs that give the same on every input: their places, and what the first of them gives.

    `values` are literals, None where there is none: an exception, no plain value, none in time, or a value that depends
    on more than the input.
    """

    programs: tuple[int, ...]
    values: tuple[str | None, ...]

    @property
    def score(self) -> int:
        """The number of programs times the number of inputs on which they give a value."""
        return len(self.programs) * sum(value is not None for value in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What programs agree on: all groups, the best first, and whether that one makes tests."""

    groups: tuple[Group, ...]
    fate: Fate

    @property
    def share(self) -> float:
        """The share of the programs that are in the best group, in 0..1; 0 without any program."""
        programs = sum(len(group.programs) for group in self.groups)
        return len(self.groups[0].programs) / programs if programs else 0.0


def agreement_of(outputs: Sequence[Sequence[Returned]], least_share: float) -> Agreement:
    """Return what programs agree on; `outputs` has what each of them gives for each input.

    Accepted is a group alone with the best score, of at least two programs and `least_share` of them, that has values
    on at least three inputs, and not the same on all.
    """
    groups: list[Group] = []
    for place, returned in enumerate(outputs):
        values = tuple(None if one.failure else literal(one.value) for one in returned)
        for number, group in enumerate(groups):
            if all(_same(*pair) for pair in zip(values, group.values, strict=True)):
                groups[number] = Group(programs=(*group.programs, place), values=group.values)
                break
        else:
            groups.append(Group(programs=(place,), values=values))
    groups.sort(key=lambda group: -group.score)
    return Agreement(groups=tuple(groups), fate=_fate(groups, least_share * len(outputs)))


def _same(one: str | None, other: str | None) -> bool:
    """Whether a value agrees with one that is expected, or neither is any."""
    if one is None or other is None:
        return one is other
    return one == other or agrees(ast.literal_eval(one), ast.literal_eval(other))


def _fate(groups: Sequence[Group], least: float) -> Fate:
    if not groups:
        return Fate.NO_AGREEMENT
    best = groups[0]
    programs = len(best.programs)
    tied = len(groups) > 1 and groups[1].score == best.score
    if tied or not best.score or programs < LEAST_PROGRAMS or (programs < least and not math.isclose(programs, least)):
        return Fate.NO_AGREEMENT
    values = [value for value in best.values if value is not None]
    if len(values) < LEAST_INPUTS:
        return Fate.FEW_VALUES
    return Fate.SAME_VALUE if all(_same(value, values[0]) for value in values) else Fate.ACCEPTED


def check_source(inputs: Sequence[tuple[Any, ...]], values: Sequence[str | None]) -> str:
    """Return a HumanEval `check` that asserts the values, which are literals; floats within `agrees`' tolerance."""
    lines = []
    is_tolerant = False
    for arguments, value in zip(inputs, values, strict=True):
        if value is None:
            continue
        call = f"candidate({', '.join(str(literal(argument)) for argument in arguments)})"
        tolerant = holds_float(ast.literal_eval(value))
        is_tolerant |= tolerant
        lines.append(f"    assert agrees({call}, {value})\n" if tolerant else f"    assert {call} == {value}\n")
    helper = f"{inspect.getsource(agrees)}\n\n" if is_tolerant else ""
    return f"{helper}def check(candidate):\n{''.join(lines)}"
