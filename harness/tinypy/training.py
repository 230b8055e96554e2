"""Examples for training: never one of the test set, as a stream or written to a pair of files.

`NAME.txt` is the stream as its authors train on it, `NAME.jsonl` has a line per example: level, program, output and
difficulty. Both appear at the end and whole, or not at all.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from harness.difficulty import Difficulty
from harness.errors import UsageError
from harness.tinypy.corpus import Example, Recipe, examples
from harness.tinypy.execution import LIMITS
from harness.tinypy.grammar import Level
from harness.tinypy.testset import keys_of_test_set
from sandbox import open_sandbox

SAY_SECONDS = 5.0
SUFFIXES = (".txt", ".jsonl")


def training_examples(recipe: Recipe, sandbox: str = "auto", workers: int = 2) -> Generator[Example, None, None]:
    """Yield a recipe's examples, the test set left out; the sandbox is open until the iterator ends or is closed.

    Raises what `examples` raises, and SandboxUnavailable when that kind of sandbox cannot be had.
    """
    with closing(open_sandbox(sandbox, LIMITS, workers)) as cells:
        yield from examples(recipe, cells, keys_of_test_set())


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSummary:
    """Means over the programs of a level: the difficulty metric's parts, and the characters of an example's text."""

    level: Level
    programs: int
    cyclomatic: float
    halstead: float
    overall: float
    characters: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The two files that were written, and what is in them."""

    text: Path
    lines: Path
    seconds: float
    levels: tuple[LevelSummary, ...]


class _Sums:
    """Adds up what a level's summary is made of."""

    def __init__(self) -> None:
        self.programs = self.cyclomatic = self.characters = 0
        self.halstead = self.overall = 0.0

    def add(self, example_characters: int, difficulty: Difficulty) -> None:
        self.programs += 1
        self.characters += example_characters
        self.cyclomatic += difficulty.cyclomatic
        self.halstead += difficulty.halstead
        self.overall += difficulty.overall

    def summary(self, level: Level) -> LevelSummary:
        return LevelSummary(
            level=level,
            programs=self.programs,
            cyclomatic=self.cyclomatic / self.programs,
            halstead=self.halstead / self.programs,
            overall=self.overall / self.programs,
            characters=self.characters / self.programs,
        )


def write_training_files(recipe: Recipe, out: Path, sandbox: str = "auto", workers: int = 2) -> Written:
    """Write a recipe's examples to `out` with .txt and with .jsonl, in constant memory but for a number per program.

    Says how far it is on standard error. Raises UsageError when the files cannot be written, and what
    `training_examples` raises.
    """
    stem = out.with_suffix("") if out.suffix in SUFFIXES else out
    paths = [stem.with_name(stem.name + suffix) for suffix in SUFFIXES]
    parts = [path.with_name(f".{path.name}.{os.getpid()}") for path in paths]
    started = time.monotonic()
    try:
        with ExitStack() as opened:
            stem.parent.mkdir(parents=True, exist_ok=True)
            text, lines = (opened.enter_context(part.open("w", encoding="ascii")) for part in parts)
            stream = opened.enter_context(closing(training_examples(recipe, sandbox, workers)))
            levels = _write(stream, text, lines, recipe.count)
        for part, path in zip(parts, paths, strict=True):
            part.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {paths[0]}: {error.strerror or error}. Give another --out.") from error
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return Written(text=paths[0], lines=paths[1], seconds=time.monotonic() - started, levels=levels)


def _write(stream: Iterable[Example], text: TextIO, lines: TextIO, count: int) -> tuple[LevelSummary, ...]:
    sums: dict[Level, _Sums] = {}
    started = said = time.monotonic()
    for done, example in enumerate(stream, 1):
        difficulty = example.difficulty()
        written = text.write(example.text)
        row = {
            "level": example.level,
            "program": example.program,
            "output": example.output,
            "difficulty": round(difficulty.overall, 4),
        }
        lines.write(json.dumps(row) + "\n")
        sums.setdefault(example.level, _Sums()).add(written, difficulty)
        if (now := time.monotonic()) - said > SAY_SECONDS:
            said, rate = now, done / (now - started)
            print(f"tinypy: {done}/{count}, {rate:.0f}/s, {(count - done) / rate:.0f} s left", file=sys.stderr)
    return tuple(sums[level].summary(level) for level in sorted(sums))
