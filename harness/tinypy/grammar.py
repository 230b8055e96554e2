"""The language of TinyPy and its levels: one small random program at a time.

    program 1.1 := INIT{1,2} [SUM] SHOW                 1.2 := INIT{1,3} [ENCLOSED] SHOW_SUM
            2.1 := INIT{1,2} BRANCH(CONDITION, SHOW)    2.2 := INIT{1,5} [ENCLOSED] BRANCH(CHAIN, SHOW_SUM)
            3.1 := INIT{1,2} FOR SHOW                   3.2 := INIT{1,4} [ENCLOSED] FOR SHOW_SUM
            4.1 := INIT{1,2} WHILE SHOW STEP

After "Curriculum Learning for Small Code Language Models" (arXiv 2407.10194, section 3) and the authors' published
files; the grammar is our own. One-letter variables, digits, a tab to indent, and a blank before each colon, so that
the alphabet is theirs. Loops run two or three times. A program may divide by zero: running it is not done here.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

Item = TypeVar("Item")

VARIABLES = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"
OPERATORS = ("+", "-", "*", "/")
RELATIONS = ("<", ">", "<=", ">=", "==", "!=")


class Level(StrEnum):
    """A family of programs, by the number that its authors gave it."""

    ASSIGN = "1.1"
    ENCLOSED = "1.2"
    BRANCH = "2.1"
    CHAIN = "2.2"
    FOR = "3.1"
    FOR_ENCLOSED = "3.2"
    WHILE = "4.1"


_MOST_VARIABLES = {
    Level.ASSIGN: 2,
    Level.ENCLOSED: 3,
    Level.BRANCH: 2,
    Level.CHAIN: 5,
    Level.FOR: 2,
    Level.FOR_ENCLOSED: 4,
    Level.WHILE: 2,
}
# Shares that bring the difficulty of each level to where the authors' files have it (docs/results.md).
_SUM_SHARE = {Level.ASSIGN: 0.45, Level.ENCLOSED: 0.7, Level.CHAIN: 0.7, Level.FOR_ENCLOSED: 0.8}
_SHOWN_SUM_SHARE = {Level.ASSIGN: 0.5, Level.ENCLOSED: 0.6, Level.CHAIN: 0.6, Level.FOR_ENCLOSED: 0.4}
_VARIABLE_SHARE = {Level.BRANCH: 0.35, Level.CHAIN: 0.65}  # of operands; the others are digits. Elsewhere: half
_CHAIN_GOES_ON = 0.35
_MOST_LINKS = 4
_NOT_SHARE = 1 / 3


class Dice:
    """Random choices that come out the same on every Python: made of `random.Random.random` alone, which is pinned."""

    def __init__(self, seed: int, stream: str) -> None:
        """Begin a stream of choices; streams of other names or seeds have nothing to do with it."""
        text = f"tinypy\0{seed}\0{stream}".encode()
        self._draw = random.Random(int.from_bytes(hashlib.sha256(text).digest(), "big")).random

    def below(self, count: int) -> int:
        """Return a whole number of 0..count-1."""
        return int(self._draw() * count)

    def pick(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[self.below(len(items))]

    def chance(self, share: float) -> bool:
        """Return True with this probability."""
        return self._draw() < share


class Writer:
    """Writes programs of one level, one after another, from one stream of choices."""

    def __init__(self, level: Level, seed: int) -> None:
        self._level = level
        self._dice = Dice(seed, level)
        self._known: list[str] = []

    def program(self) -> str:
        """Return the next program: lines joined by newlines, none at the end. It may have come before."""
        self._known = []
        lines = [self._init() for _ in range(1 + self._dice.below(_MOST_VARIABLES[self._level]))]
        if self._level not in (Level.BRANCH, Level.FOR, Level.WHILE) and self._dice.chance(_SUM_SHARE[self._level]):
            lines.append(self._assigned_sum())
        if self._level in (Level.BRANCH, Level.CHAIN):
            lines += self._branch()
        elif self._level in (Level.FOR, Level.FOR_ENCLOSED):
            lines += self._for()
        elif self._level is Level.WHILE:
            lines += self._while()
        else:
            lines.append(self._show())
        return "\n".join(lines)

    def _init(self) -> str:
        variable = self._dice.pick(VARIABLES)
        if variable not in self._known:
            self._known.append(variable)
        return f"{variable} = {self._dice.pick(DIGITS)}"

    def _assigned_sum(self) -> str:
        text = self._sum() if self._level is Level.ASSIGN else self._enclosed()
        variable = self._dice.pick(VARIABLES)
        if variable not in self._known:
            self._known.append(variable)
        return f"{variable} = {text}"

    def _enclosed(self) -> str:
        """Return `a + b`, `(a + b)`, or a chain of the latter."""
        if self._dice.chance(0.5):
            return self._sum()
        text = f"({self._sum()})"
        for _ in range(self._more_links()):
            text += f"{self._dice.pick(OPERATORS)}({self._sum()})"
        return text

    def _more_links(self) -> int:
        """Return how often a chain goes on behind its first link."""
        links = 1
        while links < _MOST_LINKS and self._dice.chance(_CHAIN_GOES_ON):
            links += 1
        return links - 1

    def _sum(self) -> str:
        return f"{self._operand()} {self._dice.pick(OPERATORS)} {self._operand()}"

    def _operand(self) -> str:
        is_variable = self._dice.chance(_VARIABLE_SHARE.get(self._level, 0.5))
        return self._dice.pick(self._known if is_variable else DIGITS)

    def _show(self) -> str:
        variable = self._dice.pick(self._known)
        if not self._dice.chance(_SHOWN_SUM_SHARE.get(self._level, 0.0)):
            return f"print({variable})"
        return f"print({variable} {self._dice.pick(OPERATORS)} {self._operand()})"

    def _branch(self) -> list[str]:
        """Return an `if`, with an `else` or not, or with `elif` and `else`."""
        shape = self._dice.below(3)
        lines = [f"if {self._test()} :", f"\t{self._show()}"]
        if shape == 2:
            lines += [f"elif {self._test()} :", f"\t{self._show()}"]
        if shape >= 1:
            lines += ["else :", f"\t{self._show()}"]
        return lines

    def _test(self) -> str:
        if self._level is Level.BRANCH:
            return self._condition()
        text = self._link()
        for _ in range(self._more_links()):
            text += f" {self._dice.pick(('and', 'or'))} {self._link()}"
        return text

    def _link(self) -> str:
        text = f"({self._condition()})"
        return f"not {text}" if self._dice.chance(_NOT_SHARE) else text

    def _condition(self) -> str:
        text = f"{self._dice.pick(self._known)} {self._dice.pick(RELATIONS)} {self._operand()}"
        return f"not {text}" if self._dice.chance(_NOT_SHARE) else text

    def _for(self) -> list[str]:
        variable, start = self._dice.pick(self._known), self._dice.below(10)
        step, rounds = 1 + self._dice.below(3), 2 + self._dice.below(2)
        end = start + step * (rounds - 1) + 1 + self._dice.below(step)
        bounds = f"{start}, {end}" if step == 1 and self._dice.chance(0.5) else f"{start}, {end}, {step}"
        return [f"for {variable} in range({bounds}) :", f"\t{self._show()}"]

    def _while(self) -> list[str]:
        """Return a loop that counts a variable up or down, after setting that variable to where it begins."""
        variable = self._dice.pick(self._known)
        step, rounds = 1 + self._dice.below(3), 2 + self._dice.below(2)
        way = step * (rounds - 1)  # the last value that is shown is this far from the first, so that both are digits
        low = self._dice.below(10 - way)
        is_closed = self._dice.chance(0.5)
        if self._dice.chance(0.5):
            first, relation, sign = low, "<=" if is_closed else "<", "+"
            bound = low + way + (0 if is_closed else 1)
        else:
            first, relation, sign = low + way, ">=" if is_closed else ">", "-"
            bound = low - (0 if is_closed else 1)
        if not 0 <= bound <= 9:
            relation, bound = relation[0] + "=", bound - 1 if sign == "+" else bound + 1
        return [
            f"{variable} = {first}",
            f"while {variable} {relation} {bound} :",
            f"\t{self._show()}",
            f"\t{variable} = {variable} {sign} {step}",
        ]
