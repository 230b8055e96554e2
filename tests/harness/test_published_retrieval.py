"""Retrieval benchmarks of others, from small files as they are published, and what is said of broken ones."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from harness import Benchmark, UsageError, load_benchmark
from harness.records import PairTests, RankTests

LINE = {
    "repo": "ageitgey/face_recognition",
    "path": "examples/face.py",
    "func_name": "train",
    "original_string": "def train(a):\n    return a",
    "language": "python",
    "code": "def train(a):\n    return a",
    "code_tokens": ["def", "train", "(", "a", ")", ":", "return", "a"],
    "docstring": "Trains it.",
    "docstring_tokens": ["Trains", "it", "."],
    "sha": "c96b010c02f15e8eeb0f71308c641179ac1f19bb",
    "url": "https://example.org/face.py#L46",
    "partition": "test",
}
OTHER = LINE | {"url": "https://example.org/other.py#L1", "code_tokens": ["pass"], "docstring_tokens": ["Does", "so"]}


def write(path: Path, records: Iterable[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records))
    return path


def right_texts(benchmark: Benchmark) -> list[tuple[str, str]]:
    """Return each query with the text of the document that is right."""
    found = []
    for task in benchmark.tasks:
        assert isinstance(task.tests, RankTests)
        texts = {one.doc_id: one.text for one in benchmark.corpora[task.tests.corpus]}
        (right,) = task.tests.relevant
        found.append((task.prompt, texts[right]))
    return found


def test_advtest_searches_the_programs_of_its_own_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "AdvTest" / "test.jsonl", [LINE, OTHER])
    benchmark = load_benchmark(str(path))
    assert benchmark.name == "AdvTest"
    assert right_texts(benchmark) == [("Trains it .", "def train ( a ) : return a"), ("Does so", "pass")]
    assert {one.language for one in benchmark.corpora["AdvTest"]} == {"python"}
    assert load_benchmark(str(path.parent)).digest == benchmark.digest
    assert load_benchmark(benchmark.source).digest == benchmark.digest  # by which a run reads it again


def test_code_search_with_a_codebase_searches_that_by_url(tmp_path: Path) -> None:
    more = LINE | {"url": "https://example.org/more.py#L9", "function_tokens": ["more"]}
    del more["code_tokens"]
    write(tmp_path / "ruby" / "codebase.jsonl", [more, OTHER, LINE])
    write(tmp_path / "ruby" / "test.jsonl", [LINE])
    benchmark = load_benchmark(str(tmp_path / "ruby"))
    assert right_texts(benchmark) == [("Trains it .", "def train ( a ) : return a")]
    assert [one.text for one in benchmark.corpora["ruby"]][:2] == ["more", "pass"]


def test_bigclonebench_is_pairs_with_others_to_choose_a_threshold_on(tmp_path: Path) -> None:
    write(tmp_path / "bcb" / "data.jsonl", [{"func": f"void f{n}() {{}}", "idx": str(n)} for n in range(5)])
    write(tmp_path / "bcb" / "test.txt", ["1\t2\t0", "2\t3\t1"])
    write(tmp_path / "bcb" / "valid.txt", ["1\t0\t1"])
    benchmark = load_benchmark(str(tmp_path / "bcb"))
    pairs = [task.tests for task in (*benchmark.tasks, *benchmark.dev) if isinstance(task.tests, PairTests)]
    assert [(one.left, one.right, one.are_clones) for one in pairs] == [
        *(("1", "2", False), ("2", "3", True), ("1", "0", True))
    ]
    assert {one.doc_id for one in benchmark.corpora["bcb"]} == {"0", "1", "2", "3"}  # 4 is in no pair


def test_coir_is_read_with_judgements_in_either_form(tmp_path: Path) -> None:
    folder = tmp_path / "cosqa"
    corpus = [
        {"_id": "d1", "text": "int a;", "title": "", "language": "Java"},
        {"_id": "d2", "title": "b", "text": "B"},
    ]
    write(folder / "corpus.jsonl", corpus)
    write(
        folder / "queries.jsonl", [{"_id": "q1", "text": "a"}, {"_id": "q2", "text": "b"}, {"_id": "q3", "text": "c"}]
    )
    rows = ["query-id\tcorpus-id\tscore", "q1\td1\t1", "q1\td2\t0", "q2\td2\t2"]
    write(folder / "qrels" / "test.tsv", rows)
    by_table = load_benchmark(str(folder))
    assert right_texts(by_table) == [("a", "int a;"), ("b", "b\nB")]
    (folder / "qrels" / "test.tsv").unlink()
    judged = [dict(zip(("query-id", "corpus-id", "score"), row.split("\t"), strict=True)) for row in rows[1:]]
    write(folder / "qrels" / "test.jsonl", judged)
    assert load_benchmark(str(folder)).digest == by_table.digest
    tests = by_table.tasks[1].tests
    assert isinstance(tests, RankTests)
    assert tests.relevant == {"d2": 2.0}
    assert [document.language for document in by_table.corpora["cosqa"]] == ["java", ""]


BROKEN = {
    "nothing": ({"x.txt": [""]}, "holds no benchmark: there would be test.jsonl"),
    "no words": ({"test.jsonl": [LINE | {"docstring_tokens": []}]}, "test.jsonl, line 1: 'docstring_tokens' holds no"),
    "no code": ({"test.jsonl": [LINE | {"code_tokens": "x"}]}, "line 1: 'code_tokens' must be a list of strings"),
    "no url": ({"test.jsonl": [LINE], "codebase.jsonl": [OTHER]}, "no line of codebase.jsonl has its 'url'"),
    "no pairs": ({"data.jsonl": [{"func": "f", "idx": "1"}], "test.txt": ["1\t1\t1"]}, "cannot read .*valid.txt"),
    "bad pair": ({"data.jsonl": [], "test.txt": ["1 2 0"]}, "test.txt, line 1: expected two numbers"),
    "no function": ({"data.jsonl": [], "test.txt": ["1\t2\t0"]}, "test.txt, line 1: data.jsonl has no 'idx' '1'"),
    "no judgements": ({"corpus.jsonl": [], "queries.jsonl": []}, "cannot read .*qrels/test.tsv"),
    "no document": (
        {"corpus.jsonl": [], "queries.jsonl": [], "qrels/test.tsv": ["q\td\t1"]},
        "test.tsv, line 1: corpus.jsonl has no '_id' 'd'",
    ),
    "no query": (
        {"corpus.jsonl": [{"_id": "d", "text": ""}], "queries.jsonl": [], "qrels/test.tsv": ["q\td\t1"]},
        "queries.jsonl has no '_id' 'q'",
    ),
    "no number": (
        {"corpus.jsonl": [{"_id": "d", "text": ""}], "queries.jsonl": [], "qrels/test.tsv": ["q\td\thigh"]},
        "line 1: the score 'high' is no number",
    ),
}


@pytest.mark.parametrize(("files", "match"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_told_with_its_place(files: dict[str, list[object]], match: str, tmp_path: Path) -> None:
    for name, records in files.items():
        write(tmp_path / name, records)
    with pytest.raises(UsageError, match=match):
        load_benchmark(str(tmp_path))
