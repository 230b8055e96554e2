"""What `python -m benchmarks.encoders` trains on and asks for, and what BM25 and counts of tokens make of the same.

Here are the data of the world `library`; those of `steps` are in `benchmarks.encoder_steps`. Training code is that of
`harness distill encoder`: the standard library and what is installed, without the packages that are held out, their
near duplicates, and whatever has one of their descriptions. Three sets are asked for:

- `held-out`: the benchmark `retrieval`'s own functions of the standard library, with all of their descriptions;
- `packages`: functions of packages that are never trained on (`Split.DEV`), which settings may be chosen by;
- `modules`: the first 3,000 characters of modules of either, which a description of one of their functions is to find.
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from distill.code_data import INSTALLED, STANDARD_LIBRARY, Snippet, Split, first_paragraph, repositories_in, split_of
from distill.code_sources import CodeSources, code_data
from distill.texts import tree_of
from harness import write_whole
from harness.retrieval.lexical import BagOfTokens, Bm25
from harness.retrieval.library import SHORTEST_WORDS, described, library_functions
from harness.retrieval.programs import without_words
from harness.retrieval.records import Document

DATA, LEXICAL = "data.json", "lexical.json"
LEAST_FUNCTIONS, LEAST_CHARACTERS, MOST_CHARACTERS = 2, 1200, 3000  # of a long document
RECALLS = (1, 10)


class RankingSet(msgspec.Struct, frozen=True, kw_only=True):
    """Queries, documents, and the place of the one document that each query asks for."""

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    right: tuple[int, ...]


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `duplicates`, `leaks` and `same_words` count what was left out of the code that was read.

    So many training snippets as `group` says stand one after the other that are hard to tell apart. `modules` are long
    ones to train on as well.
    """

    train: tuple[Snippet, ...]
    sets: dict[str, RankingSet]
    read: int
    duplicates: int
    leaks: int
    same_words: int
    group: int = 1
    modules: tuple[Snippet, ...] = ()


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A set's mean reciprocal rank, and the shares of queries whose document is first, or one of ten (0..1)."""

    mrr: float
    recall_at_1: float
    recall_at_10: float


def prepared(out: Path, made: Callable[[], Data]) -> Data:
    """Return the data of a folder, made when they are first asked for."""
    path = out / DATA
    if not path.is_file():
        out.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode(made()))
    return msgspec.json.decode(path.read_bytes(), type=Data)


def library_data(pairs: int, queries: int) -> Data:
    """Return pairs and sets of this Python's packages."""
    code = code_data(
        CodeSources(sources=(STANDARD_LIBRARY, INSTALLED), limit=pairs, comments=False, benchmarks=()), documented=True
    )
    draw = random.Random(0)
    functions = library_functions()
    asked = described(functions)
    places = {one.name: place for place, one in enumerate(functions)}
    looked_at = draw.sample(code.dev, min(queries, len(code.dev)))
    sets = {
        "held-out": RankingSet(
            queries=tuple(one.description for one in asked),
            documents=tuple(one.code for one in functions),
            right=tuple(places[one.name] for one in asked),
        ),
        "packages": RankingSet(
            queries=tuple(one.description for one in looked_at),
            documents=tuple(one.code for one in looked_at),
            right=tuple(range(len(looked_at))),
        ),
        "modules": modules_set(list(_modules()), queries, draw),
    }
    tested = {query.lower() for one in sets.values() for query in one.queries}
    train = tuple(one for one in code.train if one.description.lower() not in tested)
    return Data(
        train=train,
        sets=sets,
        read=code.read,
        duplicates=code.duplicates,
        leaks=len(code.leaks.leaking),
        same_words=len(code.train) - len(train),
    )


def _modules() -> Iterator[ast.Module]:
    """Yield the modules of all packages that nothing is trained on."""
    for source in (STANDARD_LIBRARY, INSTALLED):
        for repository in repositories_in(source):
            if split_of(repository.name) is not Split.TRAIN:
                for path in repository.files:
                    tree = tree_of(path.read_text(encoding="utf-8", errors="replace"))
                    if tree is not None:
                        yield tree


def modules_set(modules: Sequence[ast.Module], queries: int, draw: random.Random) -> RankingSet:
    """Return beginnings of modules as documents, and descriptions of functions in them that no two functions share."""
    asked: list[tuple[str, int]] = []
    documents: list[str] = []
    for tree in modules:
        told, code = _beginning(tree)
        if len(told) >= LEAST_FUNCTIONS and len(code) >= LEAST_CHARACTERS and code not in documents:
            asked += [(text, len(documents)) for text in told]
            documents.append(code)
    counts = Counter(text.lower() for text, _ in asked)
    alone = [(text, place) for text, place in asked if counts[text.lower()] == 1]
    chosen = draw.sample(alone, min(queries, len(alone)))
    return RankingSet(
        queries=tuple(text for text, _ in chosen),
        documents=tuple(documents),
        right=tuple(place for _, place in chosen),
    )


def _beginning(tree: ast.Module) -> tuple[list[str], str]:
    """Return a module's first statements without words, whole ones, and descriptions of the functions in them."""
    told: list[str] = []
    code = ""
    for statement in tree.body:
        functions = [node for node in ast.walk(statement) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        said = [first_paragraph(ast.get_docstring(node) or "") for node in functions]
        longer = f"{code}\n{without_words(ast.Module(body=[statement], type_ignores=[]))}".strip()
        if len(longer) > MOST_CHARACTERS:
            break
        code = longer
        told += [text for text in said if len(text.split()) >= SHORTEST_WORDS]
    return told, code


def ranked(scores: np.ndarray, right: Sequence[int]) -> Ranked:
    """Return what scores, queries x documents, come to on average over all orders of what is equally near."""
    own = scores[np.arange(len(right)), list(right)][:, None]
    before, alike = (scores > own).sum(1), (scores == own).sum(1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, scores.shape[1] + 1))])
    first, ten = (float(np.clip((most - before) / alike, 0, 1).mean()) for most in RECALLS)
    mrr = ((harmonic[before + alike] - harmonic[before]) / alike).mean()
    return Ranked(mrr=float(mrr), recall_at_1=first, recall_at_10=ten)


def lexical(out: Path, data: Data) -> dict[str, dict[str, Ranked]]:
    """Return what BM25 and the cosine of counts of tokens come to, by name and set."""
    path = out / LEXICAL
    if not path.is_file():
        found = {
            model.name: {
                name: ranked(
                    model.index(_documents(one.documents), 0, 1).scores(_documents(one.queries)),
                    one.right,
                )
                for name, one in data.sets.items()
            }
            for model in (Bm25(), BagOfTokens())
        }
        write_whole(path, msgspec.json.format(msgspec.json.encode(found)))
    return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, Ranked]])


def _documents(texts: Sequence[str]) -> list[Document]:
    return [Document(doc_id=str(place), text=text) for place, text in enumerate(texts)]
