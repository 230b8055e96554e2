"""The examples of an experiment: TinyPy programs made once, measured, and kept in the experiment's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from harness import TinyPyLevel, TinyPyRecipe, tinypy_examples

DATA = "data.jsonl"
PAPER_LEVELS = tuple(level.value for level in TinyPyLevel if level is not TinyPyLevel.WHILE)


class TinyPyData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many programs to make, of which levels in turn (those that the paper had), by which seed."""

    count: int
    levels: tuple[str, ...] = PAPER_LEVELS
    seed: int = 1


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One example: its text is `asked` + `answer`; `difficulty` is the metric of the program."""

    level: str
    asked: str
    answer: str
    program: str
    difficulty: float


def prepare(data: TinyPyData, out: Path) -> None:
    """Make the programs and keep them in the folder, unless they are there. Raises what `tinypy_examples` raises."""
    path = out / DATA
    if path.exists():
        return
    part = path.with_name(f".{DATA}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            for one in _made(data):
                file.write(msgspec.json.encode(one) + b"\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _made(data: TinyPyData) -> Iterator[Program]:
    recipe = TinyPyRecipe(count=data.count, levels=tuple(map(TinyPyLevel, data.levels)), seed=data.seed)
    with closing(tinypy_examples(recipe)) as examples:
        for one in examples:
            answer = f"{one.answer}\n\n"
            yield Program(
                level=one.level.value,
                asked=one.text.removesuffix(answer),
                answer=answer,
                program=one.program,
                difficulty=one.difficulty().overall,
            )


def load(out: Path) -> list[Program]:
    """Return the programs of an experiment's folder, in their order."""
    decode = msgspec.json.Decoder(Program).decode
    with (out / DATA).open("rb") as file:
        return [decode(line) for line in file]
