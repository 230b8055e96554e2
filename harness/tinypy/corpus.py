"""Examples of TinyPy: programs with what they print, no program twice and none of the test set.

The same recipe gives the same examples on every machine: choices come from `grammar.Dice`, and an example's place
depends on nothing that takes time. As its authors did, sameness is that of the text: the same program with another
variable name is another program.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Container, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle

from harness.difficulty import Difficulty, measure
from harness.errors import UsageError
from harness.tinypy.execution import BATCH, run_programs
from harness.tinypy.grammar import Level, Writer
from sandbox import Sandbox

MARK = "# output"
_VAIN_DRAWS = 20_000  # a level that gave nothing new so often is used up


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A program and what it prints: lines joined by newlines, empty for a program that prints nothing."""

    level: Level
    program: str
    output: str

    @property
    def answer(self) -> str:
        """What follows the mark, up to the blank line that ends every example: a comment for each printed line."""
        return "".join(f"\n# {line}" for line in self.output.split("\n"))

    @property
    def text(self) -> str:
        """The example as a model reads it, in the format of the authors' files."""
        return f"{self.program}\n{MARK}{self.answer}\n\n"

    def difficulty(self) -> Difficulty:
        """Measure the program with the Code Difficulty Metric."""
        measured = measure(self.program)
        assert measured is not None, "the grammar writes programs that parse"
        return measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Which examples to make: so many, from each of the levels in turn, by a seed."""

    count: int
    levels: tuple[Level, ...] = tuple(Level)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError(f"{self.count} programs: at least 1")
        if not self.levels or len(set(self.levels)) != len(self.levels):
            raise UsageError("name at least one level of TinyPy, and each only once")


def examples(recipe: Recipe, sandbox: Sandbox, excluded: Container[int] = frozenset()) -> Iterator[Example]:
    """Yield the recipe's examples, running each program in the sandbox; those that raise are left out.

    `excluded` are keys (see `key_of`) of programs to leave out as well. Memory grows by one number per program.
    Raises UsageError when the levels have no more programs, SandboxError or MeasurementInvalid where the machine fails.
    """
    drawn: deque[tuple[Level, str]] = deque()

    def programs() -> Iterator[str]:
        for one in _distinct(recipe, excluded):
            drawn.append(one)
            yield one[1]

    made = 0
    with closing(run_programs(sandbox, programs(), min(BATCH, recipe.count))) as outputs:
        for output in outputs:
            level, program = drawn.popleft()
            if output is not None:
                yield Example(level=level, program=program, output=output)
                made += 1
                if made == recipe.count:
                    return
    raise UsageError(
        f"level {' and '.join(recipe.levels)} of TinyPy gave only {made} of {recipe.count} programs before new ones "
        "became rare: ask for fewer, or for more levels"
    )


def _distinct(recipe: Recipe, excluded: Container[int]) -> Iterator[tuple[Level, str]]:
    """Yield a program of each level in turn, none twice, until a level seems to have no more."""
    writers = [(level, Writer(level, recipe.seed)) for level in recipe.levels]
    seen: set[int] = set()
    for level, writer in cycle(writers):
        for _ in range(_VAIN_DRAWS):
            program = writer.program()
            key = key_of(program)
            if key not in seen and key not in excluded:
                break
        else:
            return
        seen.add(key)
        yield level, program


def key_of(program: str) -> int:
    """Return the first 64 bits of the SHA-256 of a program: enough to tell 10 million apart, and small to keep."""
    return int.from_bytes(hashlib.sha256(program.encode()).digest()[:8], "big")
