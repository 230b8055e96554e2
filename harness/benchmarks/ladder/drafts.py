"""What the families of the ladder write: a function's sentence and body, before it has examples and tests.

A family is a function that makes a draft from random choices. The choices that are not numbers or letters are the
draft's *skeleton*; which split a task may be in depends on its skeleton alone (`split_of`), so the split holds
whatever the numbers are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from harness.benchmarks.ladder.draw import Draw

# The names of arguments, in the order in which a signature has them. Each name stands for one kind of value.
ARGUMENTS = ("rows", "nums", "words", "text", "word", "n", "m", "k")
_BUCKETS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A task in the making. `sentence` is the docstring's text, `body` the function's, both without indentation."""

    family: str
    choices: tuple[str, ...]
    name: str
    arguments: tuple[str, ...]
    sentence: str
    body: str

    @property
    def skeleton(self) -> str:
        """The family and its choices: everything but numbers and letters."""
        return "|".join((self.family, *self.choices))

    @property
    def head(self) -> str:
        """The function's first line."""
        return f"def {self.name}({', '.join(self.arguments)}):"

    @property
    def solution(self) -> str:
        """The body, indented, as HumanEval's `canonical_solution` has it."""
        return "".join(f"    {line}\n" for line in self.body.splitlines())

    @property
    def program(self) -> str:
        """The function without its docstring."""
        return f"{self.head}\n{self.solution}"


Family = Callable[[Draw], Draft | None]  # None: these choices do not go together, draw again
Families = Mapping[str, Family]  # by the name that their drafts bear


def arguments(*groups: Iterable[str]) -> tuple[str, ...]:
    """Return the names that any group holds, once each, in the order of signatures."""
    named = {name for group in groups for name in group}
    return tuple(name for name in ARGUMENTS if name in named)


def split_of(skeleton: str) -> str:
    """Return the only split in which tasks with this skeleton may be: a tenth test, a tenth dev, the rest train."""
    bucket = hashlib.sha256(skeleton.encode()).digest()[0] % _BUCKETS
    return {0: "test", 1: "dev"}.get(bucket, "train")


def lines(*parts: str) -> str:
    """Return a body of the lines that are not empty; a part may hold several lines."""
    return "\n".join(part for part in parts if part)


def indented(text: str) -> str:
    """Return the text one level further in."""
    return "\n".join(f"    {line}" for line in text.splitlines())
