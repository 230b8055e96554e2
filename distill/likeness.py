"""What two tasks are compared by without running anything: shared n-grams, and the shape of functions.

*N-grams* (of words and signs, case ignored). A test is given away by a text that holds at least `share` of the
n-grams of its description or of its solution. Share of the test's n-grams rather than Jaccard's measure, so that a
long text around it hides nothing; n-grams of many tests ("write a function to find the") count for nothing, as in
GPT-3's filter (Brown et al. 2020, appendix C). n is 5 rather than GPT-3's 13 or DeepSeek-Coder's and Qwen2.5-Coder's
10, because a description of MBPP has a dozen words: a changed word in it spoils all of its 10-grams.

*Calls* of a test (they count as n-grams, too). Texts with tests in them often keep these when the sentence was put into
other words: a call of at least 10 tokens that stands in a text gives the test away, and so do `share` of at least
three calls, by function and first argument, however short.

*Shape* of functions: see `distill.shapes`.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from distill.shapes import functions_of
from distill.texts import TrainingText, tree_of
from harness import CallTests, CheckTests, NumberTests, Task

_TOKEN = re.compile(r"\w+|[^\w\s#]")  # the mark of a comment may stand before every line
_DOCSTRING = re.compile(r'("""|\'\'\')(.*?)\1', re.DOTALL)
EXCERPT_CHARACTERS = 200
LEAST_TOKENS = {"description": 5, "solution": 13}  # a shorter part is nobody's own
_CALL_TOKENS = 10
_LEAST_CALLS = 3
_CALLS = 50  # of a task's tests that are looked for
_CALL_CHARACTERS = 2000


class Kind(StrEnum):
    """How a text to train on gives a test away."""

    ID = "id"  # it says itself that it is about that task
    NGRAMS = "ngrams"
    PROGRAM = "program"  # the same function but for names
    BEHAVIOUR = "behaviour"  # its function passes the test's tests
    SEMANTIC = "semantic"  # it means nearly the same to an encoder


class LikenessRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When texts and programs are alike. `share` is in 0..1.

    N-grams of more than `common` tests are left out where at least `n` others remain. Functions of fewer than
    `least_nodes` nodes of the syntax tree (`return a + b` has 9) are nobody's own.
    """

    n: int = 5
    share: float = 0.8
    common: int = 10
    least_nodes: int = 15

    def __post_init__(self) -> None:
        if self.n < 1 or not 0 < self.share <= 1:
            raise ValueError("n is at least 1, and share above 0 and at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A text that gives a test away, and what shows it."""

    text: str
    benchmark: str
    task_id: str
    kind: Kind
    evidence: str


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a test with its n-grams, of which `share` must be found."""

    task_id: str
    label: str
    excerpt: str
    ngrams: frozenset[tuple[str, ...]]
    share: float


class _Calls:
    """The calls of a task's tests, as tokens: whole, and up to their first argument."""

    def __init__(self, task_id: str, calls: Sequence[tuple[str, ...]]) -> None:
        self.task_id = task_id
        self.whole = [tuple(tokens_of(f"{name}({', '.join(arguments)})")) for name, *arguments in calls]
        self.begun = list(
            dict.fromkeys(tuple(tokens_of(f"{name}({arguments[0]}")) for name, *arguments in calls if arguments)
        )


class Likeness:
    """Finds the tests of one benchmark in texts, by n-grams and by shape."""

    def __init__(self, benchmark: str, tasks: Sequence[Task], rules: LikenessRules) -> None:
        self._benchmark = benchmark
        self._rules = rules
        self._ids = {task.task_id for task in tasks}
        self._shapes: dict[str, list[str]] = defaultdict(list)
        self._parts = list(self._parts_of(tasks))
        self._index: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for number, part in enumerate(self._parts):
            for ngram in part.ngrams:
                self._index[ngram].append(number)
        self._calls: dict[str, list[_Calls]] = defaultdict(list)
        for task in tasks:
            if calls := calls_of(task):
                self._calls[task.entry_point.lower()].append(_Calls(task.task_id, calls))
            for function in functions_of(task.reference):
                if function.name == task.entry_point and function.nodes >= rules.least_nodes:
                    self._shapes[function.shape].append(task.task_id)

    def leaks(self, text: TrainingText) -> Iterator[Leak]:
        """Yield every way in which a text gives a test away, the clearest first, once per test and kind."""
        if text.question in self._ids:
            yield self._leak(text, text.question, Kind.ID, "its task has this id")
        seen: set[str] = set()
        for part, share in self._shared(text):
            if part.task_id not in seen:
                seen.add(part.task_id)
                evidence = f"{share:.0%} of its {part.label}: {part.excerpt}"
                yield self._leak(text, part.task_id, Kind.NGRAMS, evidence)
        for task_id, evidence in self._called(text):
            if task_id not in seen:
                seen.add(task_id)
                yield self._leak(text, task_id, Kind.NGRAMS, evidence)
        alike: set[str] = set()
        for program in text.programs:
            for function in functions_of(program):
                for task_id in self._shapes.get(function.shape, ()):
                    if task_id not in alike:
                        alike.add(task_id)
                        yield self._leak(text, task_id, Kind.PROGRAM, f"{function.name}: {function.excerpt}")

    def _leak(self, text: TrainingText, task_id: str, kind: Kind, evidence: str) -> Leak:
        return Leak(text=text.name, benchmark=self._benchmark, task_id=task_id, kind=kind, evidence=evidence)

    def _shared(self, text: TrainingText) -> Iterator[tuple[_Part, float]]:
        shared: Counter[int] = Counter()
        for ngram in ngrams_of(text.text, self._rules.n):
            shared.update(self._index.get(ngram, ()))
        for number, count in sorted(shared.items()):
            part = self._parts[number]
            if count >= part.share * len(part.ngrams):
                yield part, count / len(part.ngrams)

    def _called(self, text: TrainingText) -> Iterator[tuple[str, str]]:
        """Yield the tests whose calls stand in the text."""
        tokens = tokens_of(text.text)
        line = f" {' '.join(tokens)} "
        for name in self._calls.keys() & set(tokens):
            for calls in self._calls[name]:
                whole = [call for call in calls.whole if len(call) >= _CALL_TOKENS and _spaced(call) in line]
                begun = [call for call in calls.begun if _spaced(call) in line]
                if whole:
                    yield calls.task_id, f"a call of its tests: {' '.join(whole[0])[:EXCERPT_CHARACTERS]}"
                elif len(calls.begun) >= _LEAST_CALLS and len(begun) >= self._rules.share * len(calls.begun):
                    yield calls.task_id, f"{len(begun)} of {len(calls.begun)} calls of its tests: {_spaced(begun[0])}"

    def _parts_of(self, tasks: Sequence[Task]) -> Iterator[_Part]:
        n = self._rules.n
        raw = [(task, label, text) for task in tasks for label, text in parts_of(task)]
        common: Counter[tuple[str, ...]] = Counter()
        for _, _, text in raw:
            common.update(ngrams_of(text, n))
        for task, label, text in raw:
            tokens = tokens_of(text)
            if len(tokens) < max(n, LEAST_TOKENS[label]):
                continue
            ngrams = ngrams_of(text, n)
            own = frozenset(ngram for ngram in ngrams if common[ngram] <= self._rules.common)
            excerpt = " ".join(text.split())[:EXCERPT_CHARACTERS]
            if len(own) >= n:
                yield _Part(task.task_id, label, excerpt, own, self._rules.share)
            else:
                yield _Part(task.task_id, label, excerpt, ngrams, 1.0)


def tokens_of(text: str) -> list[str]:
    """Return the words and signs of a text in lower case, with one sign for both kinds of quotes."""
    return [token.lower() for token in _TOKEN.findall(text.replace('"', "'"))]


def ngrams_of(text: str, n: int) -> frozenset[tuple[str, ...]]:
    """Return the n-grams of a text; none of a text that is shorter."""
    tokens = tokens_of(text)
    return frozenset(zip(*(tokens[start:] for start in range(n)), strict=False))


def parts_of(task: Task) -> Iterator[tuple[str, str]]:
    """Yield a test's description without examples, and its solution without the prompt.

    A question in words has its description alone: a few lines of arithmetic are nobody's own.
    """
    if isinstance(task.tests, NumberTests):
        yield "description", task.prompt
        return
    _, found, behind = task.prompt.rpartition(f"def {task.entry_point}")
    prompt = behind if found else task.prompt
    docstring = _DOCSTRING.search(prompt)
    description = (docstring[2] if docstring else prompt).partition(">>>")[0]
    yield "description", "\n".join(line for line in description.split("\n") if not line.strip().startswith("assert"))
    yield "solution", task.reference.removeprefix(task.prompt)


def calls_of(task: Task) -> list[tuple[str, ...]]:
    """Return the calls that its tests make, each the function's name and its arguments as Python."""
    calls: list[tuple[str, ...]] = []
    if isinstance(task.tests, CheckTests) and (tree := tree_of(task.tests.source)):
        names = ("candidate", task.entry_point)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                calls.append((task.entry_point, *map(ast.unparse, node.args)))
    elif isinstance(task.tests, CallTests):
        calls = [(task.entry_point, *map(repr, inputs)) for inputs in task.tests.base_inputs]
    return [call for call in dict.fromkeys(calls) if sum(map(len, call)) < _CALL_CHARACTERS][:_CALLS]


def _spaced(tokens: Sequence[str]) -> str:
    return f" {' '.join(tokens)} "
