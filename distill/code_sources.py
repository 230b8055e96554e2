"""The code that an encoder is trained on: read, split by package, without near duplicates and without tests."""

from __future__ import annotations

import ast
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain

import msgspec

from distill.code_data import STANDARD_LIBRARY, Snippet, Split, documented_functions, repositories_in, snippets_of
from distill.code_data import definitions as definitions_of
from distill.code_duplicates import LEAST_SIMILARITY, MOST_SIMILARITY, without_near_duplicates
from distill.decontaminate import Decontamination, LeakRules, decontaminate
from distill.texts import TrainingText, tree_of
from harness import UsageError


class CodeSources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where code comes from: `stdlib`, `installed`, folders of packages, or .jsonl files as CodeSearchNet's are.

    At most `limit` snippets are taken, drawn by `seed`. One is left out when its code is nearly that of another one
    (Jaccard `similarity` of character 5-grams), or when it gives a test of `benchmarks` away by its words or its shape.
    Without `comments`, Python is written anew from its syntax tree, as it is in the benchmark `retrieval`.
    """

    sources: tuple[str, ...] = (STANDARD_LIBRARY,)
    limit: int | None = None
    seed: int = 0
    comments: bool = True
    similarity: float = 0.7
    benchmarks: tuple[str, ...] = ("humaneval",)

    def __post_init__(self) -> None:
        if not self.sources or (self.limit is not None and self.limit < 2):
            raise ValueError("name at least one source; limit is at least 2")
        if not LEAST_SIMILARITY <= self.similarity <= MOST_SIMILARITY:
            raise ValueError(f"similarity {self.similarity}: {LEAST_SIMILARITY} to {MOST_SIMILARITY}")
        if self.limit is None and self.seed:
            raise ValueError("seed changes nothing without a limit: leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeData:
    """Snippets to train on and to look at meanwhile. `read` counts all there were, those of the test split too.

    `duplicates` counts what is nearly the same as another snippet; `leaks` says what gave tests away.
    """

    train: tuple[Snippet, ...]
    dev: tuple[Snippet, ...]
    read: int
    duplicates: int
    leaks: Decontamination

    @property
    def digest(self) -> str:
        """The SHA-256 over all snippets to train on and to look at."""
        return hashlib.sha256(msgspec.json.encode((self.train, self.dev))).hexdigest()


def code_data(config: CodeSources, *, documented: bool) -> CodeData:
    """Return functions with descriptions, or definitions as they stand. Raises UsageError where there are too few.

    What the benchmark `retrieval` tests is read too, whatever the sources are, so that its near duplicates are found.
    """
    found = list(snippets_of(config.sources, documented=documented))
    if config.limit is not None and len(found) > config.limit:
        chosen = sorted(random.Random(config.seed).sample(range(len(found)), config.limit))
        found = [found[place] for place in chosen]
    tested = [*_tested(documented), *(one for one in found if one.split is Split.TEST)]
    learnable = [one for one in found if one.split is not Split.TEST]
    kept = without_near_duplicates([*tested, *learnable], config.similarity)
    alone = [one if config.comments else without_comments(one) for one in kept if one.split is not Split.TEST]
    leaks = decontaminate(
        [_text(place, one) for place, one in enumerate(alone)], config.benchmarks, LeakRules(run=False)
    )
    clean = [one for place, one in enumerate(alone) if _name(place, one) not in leaks.leaking]
    train, dev = (tuple(one for one in clean if one.split is split) for split in (Split.TRAIN, Split.DEV))
    if len(train) < 2:
        raise UsageError(f"{', '.join(config.sources)}: {len(train)} snippets to train on, and it takes 2 at least")
    return CodeData(train=train, dev=dev, read=len(found), duplicates=len(learnable) - len(alone), leaks=leaks)


def without_comments(snippet: Snippet) -> Snippet:
    """Return a snippet of Python without comments, in Python's own layout; what cannot be parsed stays as it is."""
    tree = tree_of(snippet.code)
    return snippet if tree is None or not tree.body else replace(snippet, code=ast.unparse(tree))


@cache
def _tested(documented: bool) -> tuple[Snippet, ...]:
    """Return what the benchmark `retrieval` tests of the standard library."""
    read = documented_functions if documented else definitions_of
    tested = (one for one in repositories_in(STANDARD_LIBRARY) if one.is_tested)
    return tuple(chain.from_iterable(map(read, tested)))


def _name(place: int, snippet: Snippet) -> str:
    return f"{place}: {snippet.package}, {snippet.place}"


def _text(place: int, snippet: Snippet) -> TrainingText:
    said = f"{snippet.description}\n{snippet.code}" if snippet.description else snippet.code
    return TrainingText(name=_name(place, snippet), text=said, programs=(snippet.code,))


def by_package(snippets: Sequence[Snippet]) -> dict[str, list[int]]:
    """Return the places of snippets by package, ascending."""
    found: dict[str, list[int]] = {}
    for place, snippet in enumerate(snippets):
        found.setdefault(snippet.package, []).append(place)
    return found


def described(data: CodeData) -> Sequence[str]:
    """Return texts to make a tokenizer of: the training snippets with their descriptions."""
    return [f"{one.description}\n{one.code}" for one in data.train]
