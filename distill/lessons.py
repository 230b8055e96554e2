"""Lessons: what a student is trained on, each from a judged answer to a question that is no test."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

import msgspec

from harness import Outcome, UsageError, write_whole


class LeakageError(UsageError):
    """Something to be trained on comes from a test set, or gives one of its tasks away."""


class FaultSource(StrEnum):
    """Where a wrong answer comes from."""

    STUDENT = "student"  # its own sample on that question
    MUTATION = "mutation"  # the right answer, changed in one place
    TEACHER = "teacher"  # asked for a program with an error


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A wrong answer to a lesson's question. `run` and `sample_index` name the verdict, `outcome` is what it says."""

    source: FaultSource
    run: str
    sample_index: int
    outcome: Outcome
    completion: str

    def __post_init__(self) -> None:
        if self.outcome in (Outcome.PASSED, Outcome.NOT_JUDGED):
            raise ValueError(f"{self.run}[{self.sample_index}] is no fault: its verdict is {self.outcome}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One question with an answer, a right one unless `passed` says otherwise, and perhaps a wrong one beside it.

    `prompt` is the very text that a model continues, `completion` the answer. `run` and `sample_index` name the verdict
    that says the answer is right: the run folder below the round's, and which of the task's samples it was. `source`
    says who answered. `mends` is the wrong answer that this one mends, where the first `shown_characters` of the prompt
    show it. Raises LeakageError for a question that is not of the training split.
    """

    task_id: str
    sample_index: int
    run: str
    split: str
    tier: str
    source: str
    prompt: str
    completion: str
    passed: bool = True
    fault: Fault | None = None
    mends: Fault | None = None
    shown_characters: int = 0

    @property
    def programs(self) -> tuple[str, ...]:
        """The programs that were judged: that of the answer, then those of the wrong ones."""
        question = self.prompt[self.shown_characters :]
        wrong = [one.completion for one in (self.fault, self.mends) if one]
        return tuple(question + answer for answer in (self.completion, *wrong))

    def __post_init__(self) -> None:
        if self.split != "train":
            raise LeakageError(f"{self.task_id} is of the split {self.split!r}, and lessons are made of train alone")


def answer_in(program: str, prompt: str) -> str | None:
    """Return what follows a prompt in a program that was judged, None where the program does not begin with it.

    Blank lines before the first line are passed over: protocols leave them out of what a model is shown.
    """
    blank = program[: len(program) - len(program.lstrip())]
    if blank.endswith("\n") and not program.startswith(prompt):
        program = program[len(blank) :]
    return program[len(prompt) :] if program.startswith(prompt) else None


def repeats_head(prompt: str, answer: str, function: str) -> bool:
    """Whether what follows a prompt defines the function once more that the prompt has begun."""
    head = re.compile(rf"^(?:async[ \t]+)?def[ \t]+{re.escape(function)}\b", re.MULTILINE)
    return head.search(prompt) is not None and head.search(answer) is not None


def is_unicode(text: str) -> bool:
    """Whether a text is one that can be written and tokenized: a model's may hold half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def write_lessons(lessons: Iterable[Lesson], path: Path) -> None:
    """Write a line of JSON per lesson, fields at their default left out; the file appears at the end and whole."""
    defaults = {field.name: field.default for field in fields(Lesson)}
    lines = []
    for lesson in lessons:
        values = {name: getattr(lesson, name) for name in defaults}
        told = {name: value for name, value in values.items() if value != defaults[name]}
        lines.append(json.dumps(msgspec.to_builtins(told), separators=(",", ":")) + "\n")
    write_whole(path, "".join(lines))


def read_lessons(path: Path) -> Iterator[Lesson]:
    """Yield the lessons of a file. Raises UsageError that names the line for one that is none."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield msgspec.convert(json.loads(line), Lesson)  # not msgspec's decoder: it knows no half pairs
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{path}, line {number}: {error}") from error
