"""What a training text means: its words and its functions as vectors, held against those of a benchmark's tests.

Words are compared with words (a test's description with docstrings, comments and paragraphs), code with code (its
solution with functions, all under the name `f` and without words, as in the benchmark `retrieval`). Whatever embeds
texts may do it: an encoder at one of its exits, any other encoder, or the counts of tokens, which need no weights.

Not told: code by words alone, and what a text says over several paragraphs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from distill.likeness import EXCERPT_CHARACTERS, LEAST_TOKENS, Kind, Leak, parts_of, tokens_of
from distill.texts import TrainingText, tree_of
from harness import (
    Benchmark,
    Document,
    ModelOptions,
    Retriever,
    Task,
    WordlessFunction,
    chosen_exit,
    open_retriever,
    wordless_functions,
)

_BM25 = "bm25"
_PYTHON = "python"
_BATCH_SIZE = 32
_PIECES = 512  # of texts at a time: as many rows of cosines are in memory
_WINDOW, _STRIDE = 60, 30  # words of a long paragraph that are one piece, and from where to where they go on
_COMMENT = re.compile(r"^[ \t]*#+[ \t]?", re.MULTILINE)
_BLANK = re.compile(r"\n[ \t]*\n")
_DESCRIPTION, _SOLUTION = "description", "solution"
_LANGUAGES = {_DESCRIPTION: "", _SOLUTION: _PYTHON}


class SemanticRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts that mean nearly what a test means leak, too: from a cosine of `threshold` on, above 0 and at most 1.

    `model` is an encoder's folder or id, or bag-of-tokens; it embeds at its `exit` (None: the last). A cosine means
    something else to each model and exit, so there is no threshold for all.
    """

    model: str
    threshold: float
    exit: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold {self.threshold:g}: a cosine above 0, at most 1")
        if self.model == _BM25:
            raise ValueError(f"model {_BM25}: its scores are no cosines; name an encoder, or bag-of-tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticChecked:
    """What was compared by meaning: pieces in words and functions of texts, with so many of the tests.

    `digest` is that of the model, `exit` the layer that embedded (0: it has none). `nearest` is the largest cosine
    there was (None: there was nothing to compare).
    """

    model: str
    digest: str
    exit: int
    words: int
    functions: int
    test_words: int
    test_functions: int
    nearest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """How near a text is to a test: the cosine of the nearest pieces, and which part of the test that is."""

    cosine: float
    part: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of a text or a test, by the name of that."""

    owner: str
    text: str


class SemanticSearch:
    """Finds the tests of benchmarks in texts by what they mean."""

    def __init__(self, rules: SemanticRules) -> None:
        """Open the model. Raises what `harness.open_retriever` does, UsageError for an exit that it does not have."""
        self._threshold = rules.threshold
        self._retriever: Retriever = open_retriever(rules.model, ModelOptions())
        self._exit = chosen_exit(self._retriever, rules.exit)

    def leaks(self, texts: Sequence[TrainingText], benchmark: Benchmark) -> tuple[list[Leak], SemanticChecked]:
        """Return a leak for each text and test that are near enough, and what was compared; raises as `nearest`."""
        pairs, checked = self.nearest(texts, benchmark)
        found = [
            Leak(
                text=text,
                benchmark=benchmark.name,
                task_id=task_id,
                kind=Kind.SEMANTIC,
                evidence=f"cosine {near.cosine:.3f} to its {near.part}: {near.excerpt}",
            )
            for (text, task_id), near in pairs.items()
        ]
        return found, checked

    def nearest(
        self, texts: Sequence[TrainingText], benchmark: Benchmark
    ) -> tuple[dict[tuple[str, str], Near], SemanticChecked]:
        """Return how near the nearest pieces of each text and test are, from the threshold on, and what was compared.

        Raises MeasurementInvalid where the machine has too little memory, ModelUnavailable where the model fails.
        """
        tests = {kind: list(_of_tests(benchmark.tasks, kind)) for kind in _LANGUAGES}
        pieces = {_DESCRIPTION: list(_words_of(texts)), _SOLUTION: list(_functions_of(texts))}
        best: dict[tuple[str, str], Near] = {}
        nearest: list[float] = []
        for kind in _LANGUAGES:
            for cosine, mine, theirs in self._near(pieces[kind], tests[kind], kind, nearest):
                key = mine.owner, theirs.owner
                if key not in best or best[key].cosine < cosine:
                    excerpt = " ".join(mine.text.split())[:EXCERPT_CHARACTERS]
                    best[key] = Near(cosine=cosine, part=kind, excerpt=excerpt)
        return best, SemanticChecked(
            model=self._retriever.name,
            digest=self._retriever.digest,
            exit=self._exit,
            words=len(pieces[_DESCRIPTION]),
            functions=len(pieces[_SOLUTION]),
            test_words=len(tests[_DESCRIPTION]),
            test_functions=len(tests[_SOLUTION]),
            nearest=max(nearest, default=None),
        )

    def _near(
        self, pieces: Sequence[_Piece], tests: Sequence[_Piece], kind: str, nearest: list[float]
    ) -> Iterator[tuple[float, _Piece, _Piece]]:
        """Yield the pairs from the threshold on; the largest cosine of each batch goes to `nearest`."""
        if not pieces or not tests:
            return
        index = self._retriever.index(_documents(tests, kind), self._exit, _BATCH_SIZE)
        for start in range(0, len(pieces), _PIECES):
            some = pieces[start : start + _PIECES]
            cosines = index.scores(_documents(some, kind))
            nearest.append(float(cosines.max()))
            for row, column in zip(*(cosines >= self._threshold).nonzero(), strict=True):
                yield float(cosines[row, column]), some[row], tests[column]


def _documents(pieces: Sequence[_Piece], kind: str) -> list[Document]:
    language = _LANGUAGES[kind]
    return [Document(doc_id=str(place), text=one.text, language=language) for place, one in enumerate(pieces)]


def _of_tests(tasks: Sequence[Task], kind: str) -> Iterator[_Piece]:
    """Yield the descriptions of tests, or the functions of their solutions, that are long enough to be their own."""
    for task in tasks:
        parts = dict(parts_of(task))
        if kind not in parts or len(tokens_of(parts[kind])) < LEAST_TOKENS[kind]:
            continue
        if kind == _DESCRIPTION:
            yield _Piece(task.task_id, parts[kind])
        else:
            yield from _functions(task.task_id, task.reference, task.entry_point)


def _functions_of(texts: Sequence[TrainingText]) -> Iterator[_Piece]:
    for text in texts:
        for program in text.programs:
            yield from _functions(text.name, program)


def _functions(owner: str, program: str, only: str | None = None) -> Iterator[_Piece]:
    """Yield a program's functions, or those of one name."""
    for function in _readable(program):
        if only in (None, function.name) and len(tokens_of(function.code)) >= LEAST_TOKENS[_SOLUTION]:
            yield _Piece(owner, function.code)


def _readable(program: str) -> Iterator[WordlessFunction]:
    """Yield the functions of a program; none of what is no Python, or nested too deep to be written down."""
    if tree_of(program) is not None:
        with suppress(RecursionError, ValueError):
            yield from wordless_functions(program)


def _words_of(texts: Sequence[TrainingText]) -> Iterator[_Piece]:
    """Yield what texts say in words: docstrings, and paragraphs that are no program, without the marks of comments."""
    for text in texts:
        docstrings = (function.words for program in text.programs for function in _readable(program))
        paragraphs = (_COMMENT.sub("", part) for part in _BLANK.split(text.text))
        said = [*docstrings, *(part for part in paragraphs if tree_of(part) is None)]
        for piece in dict.fromkeys(window for part in said for window in _windows(part.split())):
            if len(tokens_of(piece)) >= LEAST_TOKENS[_DESCRIPTION]:
                yield _Piece(text.name, piece)


def _windows(words: Sequence[str]) -> Iterator[str]:
    """Yield pieces that an encoder reads whole, each half of which is in the one before."""
    for start in range(0, max(1, len(words) - _STRIDE), _STRIDE):
        yield " ".join(words[start : start + _WINDOW])
