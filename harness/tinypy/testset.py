"""The test programs of TinyPy: fixed, shipped with the package, and never among the examples for training.

`test.jsonl` holds what `make_test_set` makes, and the benchmarks are made of it. Its programs print something, and
their answers fit into the characters that the authors let a model write, so that a right answer can be given whole.
"""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

from harness.tinypy.corpus import Example, Recipe, examples, key_of
from harness.tinypy.grammar import Level
from sandbox import Sandbox

PATH = Path(__file__).with_name("test.jsonl")
SEED = 20241
PER_LEVEL = 200
ANSWER_CHARACTERS = 20
LOOP_ANSWER_CHARACTERS = 30
_DRAWN_PER_LEVEL = 2 * PER_LEVEL


def answer_characters(program: str) -> int:
    """Return how many characters of an answer count: 20, and 30 for a program with a loop (as its authors have it)."""
    is_loop = any(line.startswith(("for ", "while ")) for line in program.split("\n"))
    return LOOP_ANSWER_CHARACTERS if is_loop else ANSWER_CHARACTERS


def make_test_set(sandbox: Sandbox) -> list[Example]:
    """Make the test programs: as many of each level, in the order of levels, none twice."""
    made: list[Example] = []
    for level in Level:
        taken = frozenset(key_of(example.program) for example in made)
        recipe = Recipe(count=_DRAWN_PER_LEVEL, levels=(level,), seed=SEED)
        usable = (one for one in examples(recipe, sandbox, taken) if _is_usable(one))
        made += islice(usable, PER_LEVEL)
    return made


def _is_usable(example: Example) -> bool:
    # One character is left over, so that an answer that goes on behind the right one is seen to go on.
    return bool(example.output) and len(example.answer) < answer_characters(example.program)


def to_lines(made: list[Example]) -> str:
    """Return examples as the lines of `test.jsonl`."""
    rows = ({"level": one.level, "program": one.program, "output": one.output} for one in made)
    return "".join(json.dumps(row) + "\n" for row in rows)


def from_lines(content: bytes) -> tuple[Example, ...]:
    """Read the lines of `test.jsonl` back."""
    rows = map(json.loads, content.splitlines())
    return tuple(Example(level=Level(row["level"]), program=row["program"], output=row["output"]) for row in rows)


def keys_of_test_set() -> frozenset[int]:
    """Return the keys of the test programs, to be excluded from training."""
    return frozenset(key_of(example.program) for example in from_lines(PATH.read_bytes()))
