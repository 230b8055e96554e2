"""Retrieval benchmarks of others, read as they are published, from a folder or file of the user's.

| what | files | source |
|---|---|---|
| CodeXGLUE's code search | `test.jsonl`, beside it `codebase.jsonl` where there is one | Lu et al. 2021 |
| CodeXGLUE's clone detection (BigCloneBench) | `data.jsonl`, `test.txt`, `valid.txt` | Lu et al. 2021 |
| CoIR and others in BEIR's layout | `corpus.jsonl`, `queries.jsonl`, `qrels/test.tsv` or `.jsonl` | Li et al. 2024 |

As in CodeXGLUE's own code, a program of its code search is its tokens with blanks between them, a query the tokens of
its docstring, and each query has one right program. A threshold for clones is chosen on `valid.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.benchmarks import data
from harness.benchmarks.retrieval import RetrievalSet, benchmark_of, pair_task, query_task
from harness.errors import SamplesError, UsageError
from harness.records import Benchmark, Document, PairTests, Task

_TOKENS = ("code_tokens", "function_tokens")
_CODEBASE = "codebase.jsonl"
_JAVA = "java"  # of which all of BigCloneBench is


def is_code_search(path: Path) -> bool:
    """Whether a file of JSON lines is one of CodeXGLUE's code search. Raises `SamplesError` for one that is none."""
    try:
        with path.open("rb") as stream:
            first = next(data.json_lines(stream, data.shown_path(path)), None)
    except OSError:
        return False  # whoever reads it says why
    return first is not None and "docstring_tokens" in first.fields


def load_folder(path: Path, name: str) -> Benchmark:
    """Return the benchmark of a folder in one of the layouts above.

    Raises `UsageError` for another folder, `DataMissing` or `SamplesError` naming file and line for one that is broken.
    """
    here = {one.name for one in path.iterdir()}
    if {"corpus.jsonl", "queries.jsonl"} <= here:
        found = _beir(path, name)
    elif {"data.jsonl", "test.txt"} <= here:
        found = _clones(path, name)
    elif "test.jsonl" in here:
        return load_code_search(path / "test.jsonl", name, path)
    else:
        raise UsageError(
            f"{data.shown_path(path)} holds no benchmark: there would be test.jsonl (CodeXGLUE's code search), "
            "data.jsonl with test.txt (its clone detection), or corpus.jsonl, queries.jsonl and qrels/test.tsv (CoIR)"
        )
    return benchmark_of(name, {name: found}, str(path))


def load_code_search(path: Path, name: str, source: Path) -> Benchmark:
    """Return CodeXGLUE's code search of one file: a query each line. Raises as `load_folder` does."""
    codebase = path.with_name(_CODEBASE)
    documents, named = [], {}
    corpus = codebase if codebase.is_file() else path
    for place, record in enumerate(data.records_of(data.read(corpus))):
        named[_url(record, place, corpus is path)] = str(place)
        documents.append(Document(doc_id=str(place), text=_code(record), language=_language(record)))
    tasks = []
    for place, record in enumerate(data.records_of(data.read(path))):
        right = named.get(_url(record, place, corpus is path))
        if right is None:
            raise record.error(f"no line of {_CODEBASE} has its 'url'")
        words = " ".join(_texts(record, "docstring_tokens"))
        if not words.strip():
            raise record.error("'docstring_tokens' holds no words")
        tasks.append(query_task(name, str(place), words, {right: 1.0}))
    return benchmark_of(name, {name: RetrievalSet(tasks=_some(tasks, path), documents=tuple(documents))}, str(source))


def _url(record: data.JsonRecord, place: int, is_own: bool) -> str:
    """Return what a query and its program share: the line, or where there is a codebase the url."""
    return str(place) if is_own else record.text("url")


def _code(record: data.JsonRecord) -> str:
    key = next((key for key in _TOKENS if key in record.fields), None)
    if key is None:
        raise record.error("the key 'code_tokens' is missing")
    return " ".join(_texts(record, key))


def _language(record: data.JsonRecord) -> str:
    return record.text("language").lower() if "language" in record.fields else ""


def _texts(record: data.JsonRecord, key: str) -> list[str]:
    value = record.fields.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise record.error(f"{key!r} must be a list of strings")
    return value


def _some(tasks: list[Task], path: Path) -> tuple[Task, ...]:
    if not tasks:
        raise SamplesError(f"{data.shown_path(path)}: holds no tasks")
    return tuple(tasks)


def _clones(folder: Path, name: str) -> RetrievalSet:
    """Return CodeXGLUE's clone detection: a pair each line of test.txt."""
    known: dict[str, Document] = {}
    for record in data.records_of(data.read(folder / "data.jsonl")):
        function = record.text("idx") if isinstance(record.fields.get("idx"), str) else str(record.fields.get("idx"))
        known[function] = Document(doc_id=function, text=record.text("func"), language=_JAVA)
    tasks = _some(list(_pairs(folder / "test.txt", known, name, "test")), folder / "test.txt")
    dev = _some(list(_pairs(folder / "valid.txt", known, name, "dev")), folder / "valid.txt")
    asked = {side for task in (*tasks, *dev) if isinstance(task.tests, PairTests) for side in _sides(task.tests)}
    return RetrievalSet(tasks=tasks, documents=tuple(one for doc_id, one in known.items() if doc_id in asked), dev=dev)


def _sides(pair: PairTests) -> tuple[str, str]:
    return pair.left, pair.right


def _pairs(path: Path, known: dict[str, Document], name: str, split: str) -> Iterator[Task]:
    for place, (number, words) in enumerate(_rows(path)):
        if len(words) != 3 or words[2] not in ("0", "1"):
            raise SamplesError(f"{data.shown_path(path)}, line {number}: expected two numbers of functions and 0 or 1")
        left, right, label = words
        for side in (left, right):
            if side not in known:
                raise SamplesError(
                    f"{data.shown_path(path)}, line {number}: data.jsonl has no 'idx' {data.shown(side)}"
                )
        pair = PairTests(corpus=name, left=left, right=right, are_clones=label == "1")
        yield pair_task(name, str(place), pair, split)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of a table with their numbers, apart at tabs, blank ones left out."""
    try:
        lines = data.read(path).content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise SamplesError(f"{data.shown_path(path)}: not UTF-8: save it as UTF-8") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, re.split(r"\t", line.strip())


def _beir(folder: Path, name: str) -> RetrievalSet:
    """Return queries, corpus and judgements in BEIR's layout. Queries without a right document are left out."""
    documents: dict[str, Document] = {}
    for record in data.records_of(data.read(folder / "corpus.jsonl")):
        doc_id = record.text("_id")
        title = record.text("title") if isinstance(record.fields.get("title"), str) else ""
        text = f"{title}\n{record.text('text')}" if title.strip() else record.text("text")
        documents[doc_id] = Document(doc_id=doc_id, text=text, language=_language(record))
    relevant: dict[str, dict[str, float]] = {}
    for place, query, doc_id, gain in _judgements(folder / "qrels"):
        if doc_id not in documents:
            raise SamplesError(f"{place}: corpus.jsonl has no '_id' {data.shown(doc_id)}")
        if gain > 0:
            relevant.setdefault(query, {})[doc_id] = gain
    tasks = [
        query_task(name, query, record.text("text"), relevant.pop(query), _language(record))
        for record in data.records_of(data.read(folder / "queries.jsonl"))
        if (query := record.text("_id")) in relevant
    ]
    if relevant:
        raise SamplesError(
            f"{data.shown_path(folder / 'qrels')}: queries.jsonl has no '_id' {data.shown(min(relevant))}"
        )
    return RetrievalSet(tasks=_some(tasks, folder / "queries.jsonl"), documents=tuple(documents.values()))


def _judgements(folder: Path) -> Iterator[tuple[str, str, str, float]]:
    """Yield place, query, document and gain of the test split's judgements."""
    path = folder / "test.tsv"
    if (folder / "test.jsonl").is_file() and not path.is_file():
        for record in data.records_of(data.read(folder / "test.jsonl")):
            gain = record.fields.get("score")
            yield record.place, record.text("query-id"), record.text("corpus-id"), _gain(gain, record.place)
        return
    for number, words in _rows(path):
        place = f"{data.shown_path(path)}, line {number}"
        if len(words) != 3:
            raise SamplesError(f"{place}: expected a query, a document and a score with tabs between them")
        if not (number == 1 and words[2] == "score"):
            yield place, words[0], words[1], _gain(words[2], place)


def _gain(value: object, place: str) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise SamplesError(f"{place}: the score {data.shown(value)} is no number") from None
