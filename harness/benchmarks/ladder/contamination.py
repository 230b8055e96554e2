"""Whether tasks to train on give away tasks of a test set.

Four ways are looked for: the same sentence but for names, numbers and quoted letters; most of a test task's phrases
and code in one training task (n-grams, masked in the same way); the same program but for names; and a program that
passes the test task's tests. The last one runs the training tasks' own solutions in this process: leave it out
(`run=False`) where those are not from the ladder's generator.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.benchmarks.ladder.programs import function_of, normal_form, own_names, passes
from harness.records import CheckTests, NumberTests, Task

NGRAM = 5
SHARE = 0.8
_TOKEN = re.compile(r"'[^'\n]*'|\w+|[^\w\s]")
_DOCSTRING = re.compile(r'("""|\'\'\')(.*?)(?:\1|\Z)', re.DOTALL)


class Kind(StrEnum):
    """How a training task gives a test task away."""

    SENTENCE = "sentence"
    NGRAMS = "ngrams"
    PROGRAM = "program"
    BEHAVIOUR = "behaviour"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One training task that gives one test task away."""

    task_id: str
    test_id: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Traits:
    """What two tasks are compared by.

    `sentence` is empty without a docstring, `program` when the solution does not parse: neither is like any other then.
    """

    sentence: str
    ngrams: frozenset[tuple[str, ...]]
    program: str


def traits_of(task: Task) -> Traits:
    """Return the traits of a task in HumanEval's format, or of a question in words.

    A question is compared by its own words and numbers, for with other numbers it is another question; its program is a
    few lines of arithmetic, which are nobody's own.
    """
    if isinstance(task.tests, NumberTests):
        words = [token.lower() for token in _TOKEN.findall(task.prompt)]
        return Traits(" ".join(words), _ngrams(words), "")
    docstring = _DOCSTRING.search(task.prompt)
    sentence = docstring[2].partition(">>>")[0] if docstring else ""
    try:
        tree = ast.parse(task.reference)
        names = {task.entry_point, *own_names(tree)}
        program = normal_form(tree)
    except (SyntaxError, ValueError, RecursionError):
        names, program = {task.entry_point}, ""
    words = _masked(sentence, names)
    tokens = [*words, *_masked(task.reference.removeprefix(task.prompt), names)]
    return Traits(" ".join(words), _ngrams(tokens), program)


def _ngrams(tokens: list[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(tokens[at : at + NGRAM]) for at in range(max(1, len(tokens) - NGRAM + 1)))


def _masked(text: str, names: set[str]) -> list[str]:
    """Return the words and signs of a text, with one word each for names, numbers and quoted texts."""

    def mask(token: str) -> str:
        if token in names:
            return "NAME"
        return "TEXT" if token[0] == "'" and len(token) > 1 else "0" if token.isdigit() else token.lower()

    return [mask(token) for token in _TOKEN.findall(text)]


def cases_of(task: Task) -> tuple[tuple[tuple[Any, ...], Any], ...]:
    """Return inputs and values of the assertions `candidate(inputs) == value` whose sides are literals."""
    cases = []
    tree = ast.parse(task.tests.source) if isinstance(task.tests, CheckTests) else ast.Module([], [])
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare) and isinstance(node.test.left, ast.Call):
            try:
                inputs = tuple(ast.literal_eval(argument) for argument in node.test.left.args)
                cases.append((inputs, ast.literal_eval(node.test.comparators[0])))
            except ValueError:
                continue  # not a literal
    return tuple(cases)


class Watch:
    """Looks out for the tasks of a test set among tasks to train on."""

    def __init__(self, tests: Iterable[Task], run: bool = True) -> None:
        self._run = run
        self._sentences: dict[str, list[str]] = {}
        self._programs: dict[str, list[str]] = {}
        self._ngrams: dict[tuple[str, ...], list[str]] = {}
        self._sizes: dict[str, int] = {}
        self._cases: dict[str, tuple[tuple[tuple[Any, ...], Any], ...]] = {}
        for task in tests:
            self.add(task)

    def add(self, task: Task) -> None:
        """Look out for this task, too."""
        traits = traits_of(task)
        if traits.sentence:
            self._sentences.setdefault(traits.sentence, []).append(task.task_id)
        if traits.program:
            self._programs.setdefault(traits.program, []).append(task.task_id)
        for ngram in traits.ngrams:
            self._ngrams.setdefault(ngram, []).append(task.task_id)
        self._sizes[task.task_id] = len(traits.ngrams)
        self._cases[task.task_id] = cases_of(task)

    def leaks(self, task: Task) -> Iterator[Leak]:
        """Yield every way in which a task gives one of the watched tasks away."""
        traits = traits_of(task)
        for test_id in self._sentences.get(traits.sentence, ()):
            yield Leak(task_id=task.task_id, test_id=test_id, kind=Kind.SENTENCE)
        for test_id in self._programs.get(traits.program, ()):
            yield Leak(task_id=task.task_id, test_id=test_id, kind=Kind.PROGRAM)
        shared: Counter[str] = Counter()
        for ngram in traits.ngrams:
            shared.update(self._ngrams.get(ngram, ()))
        for test_id, count in shared.items():
            if count >= SHARE * self._sizes[test_id]:
                yield Leak(task_id=task.task_id, test_id=test_id, kind=Kind.NGRAMS)
        if self._run:
            yield from self._alike(task)

    def _alike(self, task: Task) -> Iterator[Leak]:
        try:
            function = function_of(task.reference, task.entry_point)
        except Exception:  # a program that does not even start passes no test
            return
        for test_id, cases in self._cases.items():
            if cases and passes(function, cases):
                yield Leak(task_id=task.task_id, test_id=test_id, kind=Kind.BEHAVIOUR)


def find_leaks(tasks: Iterable[Task], tests: Iterable[Task], run: bool = True) -> list[Leak]:
    """Return every way in which one of the tasks gives one of the tests away."""
    watch = Watch(tests, run)
    return [leak for task in tasks for leak in watch.leaks(task)]
