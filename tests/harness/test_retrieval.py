"""Retrieval: measures by hand-computed numbers, the baselines, runs from a folder, and what the sets are made of."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
from click.testing import CliRunner

from harness import (
    EvalConfig,
    MeasurementInvalid,
    ModelOptions,
    Report,
    UsageError,
    compare_runs,
    evaluate,
    load_run,
)
from harness.benchmarks.retrieval import RetrievalSet, benchmark_of, pair_task, query_task
from harness.cli import main
from harness.evaluation import generate
from harness.records import Document, PairTests, Sample, StopReason, to_json
from harness.rejudge import RejudgeConfig, rejudge
from harness.retrieval.answers import Likeness, PairAnswer, Ranking, examine_ranking
from harness.retrieval.latency import PASSES, latencies
from harness.retrieval.lexical import BagOfTokens, Bm25, tokens_of
from harness.retrieval.library import library_functions
from harness.retrieval.measures import best_threshold, f1, ranking_measures
from harness.retrieval.programs import anonymous, clone_of, description_of, near_misses
from harness.retrieval.source import pair_likenesses
from harness.retrieval.tally import exit_scores, f1_estimate
from harness.sampling import Decoding
from harness.verify import verify

PROGRAMS = {
    "add": "def f(left, right):\n    return left + right\n",
    "readLines": "def f(path):\n    return [line.strip() for line in open(path)]\n",
    "largest": "def f(numbers):\n    return max(numbers)\n",
    "smallest": "def f(numbers):\n    return min(numbers)\n",
}
QUERIES = {
    "q1": ("strip each line of a path", {"readLines": 1}),
    "q2": ("left plus right", {"add": 1}),
    "q3": ("a thing of no word there", {"largest": 1}),
    "q4": ("max of numbers", {"largest": 1, "smallest": 0}),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder in BEIR's layout, as CoIR's are."""
    path = tmp_path / "small"
    (path / "qrels").mkdir(parents=True)
    documents = ({"_id": name, "title": "", "text": text} for name, text in PROGRAMS.items())
    write_lines(path / "corpus.jsonl", documents)
    write_lines(path / "queries.jsonl", ({"_id": name, "text": text} for name, (text, _) in QUERIES.items()))
    rows = [f"{query}\t{name}\t{gain}" for query, (_, gains) in QUERIES.items() for name, gain in gains.items()]
    (path / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n")
    return path


def write_lines(path: Path, records: Iterable[object]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def run(folder: Path, out: Path, model: str = "bm25", **changes: Any) -> Report:
    (report,) = evaluate(EvalConfig(model=model, tasks=(str(folder),), out=out, **changes))
    return report


def test_measures_are_those_of_a_hand_computed_ranking() -> None:
    found = ranking_measures(["x", "b", "y", "a", "b"], {"a": 1.0, "b": 2.0, "c": 1.0, "x": 0.0})
    gained = 2 / 1.5849625007211563 + 1 / 2.321928094887362  # log2(3), log2(5)
    ideal = 2 / 1 + 1 / 1.5849625007211563 + 1 / 2
    assert found == pytest.approx(
        {"mrr@100": 1 / 2, "recall@1": 0, "recall@5": 2 / 3, "recall@10": 2 / 3, "ndcg@10": gained / ideal}
    )
    assert ranking_measures([], {"a": 1.0}) == dict.fromkeys(found, 0.0)
    assert set(ranking_measures(["a"], {"a": 3.0}).values()) == {1.0}
    with pytest.raises(ValueError, match="right"):
        ranking_measures(["a"], {"a": 0.0})


def test_a_right_document_that_is_listed_twice_counts_once() -> None:
    assert ranking_measures(["a", "a", "b"], {"a": 1.0, "b": 1.0})["ndcg@10"] == pytest.approx(1.0)


def test_f1_and_its_threshold_are_those_of_hand_computed_pairs() -> None:
    assert f1(3, 1, 2) == pytest.approx(2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5))
    assert f1(0, 4, 2) == 0.0
    # 0.9 yes, 0.8 yes, 0.6 no, 0.4 yes, 0.1 no: from 0.4 on precision 3/4 and recall 1 give 6/7, from 0.8 on 4/5.
    assert best_threshold([0.4, 0.9, 0.6, 0.1, 0.8], [True, True, False, False, True]) == pytest.approx(0.25)
    assert best_threshold([0.5, 0.5], [True, False]) == 0.5
    with pytest.raises(ValueError, match="pairs"):
        best_threshold([], [])


def test_an_interval_of_f1_holds_it_and_is_never_a_point() -> None:
    some, perfect = f1_estimate([30, 10, 10, 50]), f1_estimate([20, 0, 0, 20])
    assert some.low < some.value < some.high
    assert some.value == pytest.approx(0.75)
    assert perfect.value == 1.0 > perfect.low


def test_tokens_are_parts_of_identifiers() -> None:
    read = ["read", "lines", "read", "lines", "http", "server", "x", "2", "+", "1"]
    assert tokens_of("readLines read_lines HTTPServer x2+1", signs=True) == read
    assert tokens_of("readLines read_lines HTTPServer x2+1") == [token for token in read if token != "+"]


@pytest.mark.parametrize("retriever", [Bm25(), BagOfTokens()], ids=lambda one: one.name)
def test_baselines_rank_shared_tokens_first_and_unknown_ones_nowhere(retriever: Bm25 | BagOfTokens) -> None:
    documents = [Document(doc_id=name, text=text) for name, text in PROGRAMS.items()]
    queries = [Document(doc_id="", text=text) for text in ("left and right", "strip line path", "qqq", "")]
    scores = retriever.index(documents, 0, 8).scores(queries)
    assert scores.shape == (4, 4)
    assert scores[:2].argmax(axis=1).tolist() == [0, 1]
    assert not scores[2:].any()
    assert retriever.index([Document(doc_id="a", text="")], 0, 8).scores(queries).shape == (4, 1)


def test_a_bag_of_tokens_is_the_cosine_of_counts() -> None:
    index = BagOfTokens().index([Document(doc_id="", text="a b b")], 0, 8)
    (score,) = index.scores([Document(doc_id="", text="b c")])
    assert score.tolist() == pytest.approx([2 / (5**0.5 * 2**0.5)])


def test_a_run_of_a_folder_adds_up_and_says_what_it_measured(folder: Path, tmp_path: Path) -> None:
    report = run(folder, tmp_path / "run")
    assert (report.benchmark, report.tasks, report.outcomes["passed"]) == ("small", 4, 3)
    assert report.pass_at_k["1"].value == report.metrics["recall@1"].value == 0.75
    (only,) = report.exits
    assert (only.exit, [(one.name, one.queries) for one in only.sets]) == (0, [("small", 4)])
    assert only.sets[0].metrics == report.metrics
    assert only.latency is not None
    assert (only.latency.passes, only.latency.queries, only.latency.documents) == (PASSES, 4, 4)
    assert min(only.latency.seconds_per_query, only.latency.seconds_per_document) > 0
    assert verify(tmp_path / "run", 10, seed=0).mismatches == ()
    failed = next(one for one in load_run(tmp_path / "run").verdicts() if not one.passed)
    assert (failed.task_id, failed.evidence.expected) == ("small/q3", "largest")


def test_runs_of_two_models_compare_and_canonical_passes_everything(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path / "right", "canonical").pass_at_k["1"].value == 1.0
    run(folder, tmp_path / "bag", "bag-of-tokens")
    (found,) = compare_runs(tmp_path / "bag", tmp_path / "right")
    assert (found.tasks, found.after.value) == (4, 1.0)


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(folder, out)
    whole = {name: (out / name).read_bytes() for name in ("samples.jsonl", "verdicts.jsonl", "report.json")}
    (out / "samples.jsonl").write_bytes(whole["samples.jsonl"].splitlines(keepends=True)[0] + b'{"task')
    (out / "verdicts.jsonl").write_bytes(b"")
    (out / "report.json").unlink()
    run(folder, out)
    assert {name: (out / name).read_bytes() for name in whole} == whole


def test_rankings_that_were_written_elsewhere_are_judged_with_their_latency(folder: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    generate(EvalConfig(model="bm25", tasks=(str(folder),), out=here))
    (report,) = evaluate(EvalConfig(samples=here, tasks=(str(folder),), out=there))
    assert report.outcomes["passed"] == 3
    assert report.exits[0].latency is not None


def test_a_samples_file_of_rankings_is_judged(folder: Path, tmp_path: Path) -> None:
    answers = {
        "q1": Ranking(exit=2, exits={"1": ("add",), "2": ("readLines", "add"), "9" * 5000: ("add",)}),
        "q2": "add, I think",
    }
    lines = (
        {"task_id": f"small/{name}", "completion": one if isinstance(one, str) else to_json(one)}
        for name, one in answers.items()
    )
    write_lines(tmp_path / "mine.jsonl", lines)
    config = EvalConfig(samples=tmp_path / "mine.jsonl", tasks=(str(folder),), out=tmp_path / "run", partial=True)
    (report,) = evaluate(config)
    assert (report.outcomes["passed"], report.outcomes["no_code"]) == (1, 1)
    assert [one.exit for one in report.exits] == [1, 2]
    assert report.metrics["mrr@100"] == report.exits[1].sets[0].metrics["mrr@100"]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"decoding": Decoding(temperature=0.7)}, "--temperature 0.7: rankings are not written"),
        ({"decoding": Decoding(protocol="codex")}, "--protocol codex: rankings"),
        ({"decoding": Decoding(batch_size=0)}, "at least 1"),
        ({"options": ModelOptions(device="cuda")}, "bm25 has no weights"),
        ({"options": ModelOptions(exit=3)}, "exit 3: bm25 has no such exit"),
    ],
)
def test_an_option_that_says_nothing_to_a_ranking_is_refused(
    options: dict[str, object], match: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=match):
        run(folder, tmp_path / "run", **options)


def test_options_of_encoders_are_refused_where_text_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--tasks retrieval"):
        evaluate(EvalConfig(model="canonical", tasks=("humaneval",), out=tmp_path, options=ModelOptions(exit=2)))


class Counting:
    """A retriever that scores by a table, and counts how often it makes an index; `fails` says when it cannot."""

    name, digest, backend, tokenizer_digest, exits = "counting", "", "lexical", "", (1, 2)

    def __init__(self, table: Sequence[Sequence[float]] = ((1.0,),)) -> None:
        self.runtime: dict[str, str] = {}
        self.indexes: list[int] = []
        self._table = numpy.asarray(table, dtype=numpy.float32)

    def versions(self) -> dict[str, str]:
        return {}

    def place(self) -> tuple[str, int]:
        return "cpu", 1

    def index(self, documents: Sequence[Document], exit: int, batch_size: int) -> Counting:
        self.indexes.append(exit)
        return self

    def scores(self, queries: Sequence[Document]) -> numpy.ndarray:
        return self._table[: len(queries)]


def test_latency_is_of_every_exit_that_is_not_timed_with_a_pass_before_the_timed_ones() -> None:
    retriever = Counting()
    some = [Document(doc_id="", text="x")]
    found = list(latencies(retriever, some, some, 1)({1}))
    assert [one.exit for one in found] == [2]
    assert retriever.indexes == [2] * (PASSES + 1)


def test_a_pair_is_as_similar_as_its_sides_next_to_the_left_one_with_itself() -> None:
    documents = [Document(doc_id=name, text="") for name in "ab"]
    pair = PairTests(corpus="s", left="a", right="b", are_clones=True)
    back = PairTests(corpus="s", left="b", right="a", are_clones=True)
    tasks = [pair_task("s", "1", pair), pair_task("s", "2", back)]
    assert pair_likenesses(Counting([[4.0, 1.0], [1.0, 0.0]]), documents, tasks) == [0.25, 0.0]


def test_pairs_are_told_by_the_threshold_of_other_pairs_and_counted_into_f1() -> None:
    tests = PairTests(corpus="clones", left="a", right="b", are_clones=False)
    answer = PairAnswer(
        exit=2,
        exits={"1": Likeness(similarity=0.9, threshold=0.5), "2": Likeness(similarity=0.4, threshold=0.5)},
    )
    sample = Sample(task_id="c/1", sample_index=0, completion=to_json(answer), program="", stop_reason=StopReason.STOP)
    finding = examine_ranking(tests, sample)
    assert finding.outcome == "passed"
    assert finding.exits == {"1": {"false_positive": 1.0}, "2": {"true_negative": 1.0}}
    scores = exit_scores({"c/1": finding.exits, "c/2": {"1": {"true_positive": 1.0}}}, {"c/1": "c", "c/2": "c"}, ())
    assert [(one.exit, one.sets[0].queries) for one in scores] == [(1, 2), (2, 1)]
    assert scores[0].sets[0].metrics["f1"].value == pytest.approx(2 / 3)


def test_a_benchmark_of_pairs_runs_with_its_threshold_from_dev(tmp_path: Path) -> None:
    pairs = tmp_path / "bigclone"
    pairs.mkdir()
    functions = {"1": PROGRAMS["add"], "2": PROGRAMS["add"].replace("left", "l"), "3": PROGRAMS["readLines"]}
    write_lines(pairs / "data.jsonl", ({"func": text, "idx": name} for name, text in functions.items()))
    (pairs / "valid.txt").write_text("1\t2\t1\n1\t3\t0\n")
    (pairs / "test.txt").write_text("2\t1\t1\n2\t3\t0\n")
    report = run(pairs, tmp_path / "run", "bag-of-tokens")
    assert (report.outcomes["passed"], report.metrics["f1"].value) == (2, 1.0)


def test_a_machine_that_runs_out_of_memory_gives_no_score(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def fail(*_: object) -> None:
        raise MeasurementInvalid("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(Bm25, "index", fail)
        with pytest.raises(MeasurementInvalid):
            run(folder, out)
    assert not (out / "report.json").exists()
    assert run(folder, out).outcomes["passed"] == 3


def test_programs_lose_their_words_and_names() -> None:
    words = '"""Return it.\n    >>> area(1)\n    3\n    """'
    source = f"import math\ndef area(r):\n    {words}\n    # pi\n    return area and r\n"
    assert description_of(source, "area") == "Return it."
    assert anonymous(source, "area") == "import math\n\ndef f(r):\n    return f and r"


def test_a_near_miss_is_another_program() -> None:
    program = ast.unparse(ast.parse("def f(a):\n    return max(a) + 1\n"))
    (miss,) = near_misses(program, 1)
    assert miss != program
    assert near_misses("def f(a):\n    return a", 1) == []


def test_a_clone_does_the_same_in_other_names() -> None:
    source = (
        "def shrink(items, limit, *, key=None):\n    kept = []\n    for item in items:\n        if len(kept) < limit:\n"
        "            kept.append(item if key is None else key(item))\n        else:\n            break\n"
        "    return [x for x in kept if x > 2]\n"
    )
    clone = clone_of(source)
    spaces: list[dict[str, Any]] = [{}, {}]
    for text, space in zip((source, clone), spaces, strict=True):
        exec(text, space)
    shrink, other = spaces[0]["shrink"], spaces[1]["f"]
    for arguments in (([5, 1, 9, 3], 3), ([], 2)):
        assert shrink(*arguments) == other(*arguments)
        assert shrink(*arguments, key=abs) == other(*arguments, key=abs)
    assert not {"items", "limit", "kept", "shrink"} & set(tokens_of(clone))
    assert "key" in tokens_of(clone)  # by which it may be called


def test_a_library_without_its_source_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no source of calendar"):
        library_functions(tmp_path)


def test_the_digest_is_of_queries_documents_and_what_is_right() -> None:
    def digest(query: str, text: str, gain: float) -> str:
        one = RetrievalSet(
            tasks=(query_task("s", "1", query, {"a": gain}),), documents=(Document(doc_id="a", text=text),)
        )
        return benchmark_of("s", {"s": one}, "").digest

    assert len({digest("q", "t", 1.0), digest("r", "t", 1.0), digest("q", "u", 1.0), digest("q", "t", 2.0)}) == 4


def test_a_run_is_shown_with_its_exits_and_can_be_done_again(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "run")
    shown = CliRunner().invoke(main, ["show", str(tmp_path / "run"), "--failures", "1"])
    assert re.search(r"small +mrr@100 +83.3%", shown.stdout)
    assert re.search(r"a query +ms +[0-9]", shown.stdout)
    assert "the right one is at rank 3" in shown.stdout
    again = CliRunner().invoke(main, ["eval", "--repeat", str(tmp_path / "run"), "--out", str(tmp_path / "again")])
    assert "4 of 4 samples are byte for byte those of" in again.stdout


def test_programs_are_not_extracted_from_rankings(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "run")
    with pytest.raises(UsageError, match="has rankings"):
        rejudge(RejudgeConfig(run=tmp_path / "run", protocol="codex", out=tmp_path / "again"))


def test_a_sequential_gate_refuses_sets_that_come_one_after_the_other(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "base")
    gate = ["gate", str(tmp_path / "run"), "--sequential", "--baseline", str(tmp_path / "base")]
    refused = CliRunner().invoke(main, [*gate, "--", "--model", "bm25", "--tasks", str(folder)])
    assert isinstance(refused.exception, UsageError)
    assert "is ranked set by set" in str(refused.exception)
