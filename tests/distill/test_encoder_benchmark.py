"""Encoders over seeds: what is asked for, what an arm is, and what the tables say of seeds that are done."""

from __future__ import annotations

import ast
import os
import random
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    for package in ("torch", "transformers", "scipy", "bm25s", "datasketch"):
        pytest.importorskip(package)

import msgspec
import numpy as np

from benchmarks import encoders
from benchmarks.encoder_records import ARMS, EXITS, Plan, Scores
from benchmarks.encoder_report import write_report
from benchmarks.encoder_seed import OneSeed, embeddings
from benchmarks.encoder_sets import Data, Ranked, RankingSet, lexical, modules_set, ranked
from distill.code_data import Snippet
from distill.encoder import load_encoder
from tests.distill.made_encoders import TEXTS, small_encoder

pytestmark = pytest.mark.hf

ASKED = ("read all the lines", "write all the bytes", "close every open door")
CODE = ("def read(lines): return all(lines)", "def write(data): return data", "def close(door): door.shut()")


def test_what_ranks_as_high_as_the_right_one_ranks_before_it() -> None:
    scores = np.array([[0.9, 0.1, 0.1], [0.5, 0.5, 0.4], [0.9, 0.8, 0.7]])
    assert ranked(scores, (0, 0, 2)) == Ranked(mrr=(1 + 1 / 2 + 1 / 3) / 3, recall_at_1=1 / 3, recall_at_10=1.0)


def test_long_documents_are_whole_statements_without_words_and_asked_for_by_their_own_functions() -> None:
    body = "\n".join(f"    total += {number} * value" for number in range(60))
    functions = [
        f'def f{number}(value):\n    """Return what the value of number {number} comes to."""\n    total = 0\n{body}\n'
        for number in range(4)
    ]
    long, short = ast.parse("\n".join(functions)), ast.parse(functions[0])
    found = modules_set([long, short], 10, random.Random(0))
    (document,) = found.documents
    assert (document.count("def "), "Return what" in document) == (2, False)  # the third does not fit
    assert sorted(zip(found.queries, found.right, strict=True)) == [
        (f"Return what the value of number {number} comes to.", 0) for number in range(2)
    ]


def test_words_are_measured_on_the_same_sets_once(tmp_path: Path) -> None:
    some = RankingSet(queries=ASKED, documents=CODE, right=(0, 1, 2))
    data = Data(train=(), sets={"few": some}, read=0, duplicates=0, leaks=0, same_words=0)
    found = lexical(tmp_path, data)
    assert found["bm25"]["few"] == Ranked(mrr=1.0, recall_at_1=1.0, recall_at_10=1.0)
    assert found["bag-of-tokens"].keys() == {"few"}
    assert lexical(tmp_path, msgspec.structs.replace(data, sets={})) == found


def test_all_exits_are_embedded_at_once_as_each_is_alone() -> None:
    model, tokenizer = small_encoder(pooling="mean")
    assert tuple(model.config.exit_layers) == EXITS
    for exit_layer, rows in embeddings(model, tokenizer, TEXTS, 48).items():
        assert rows == pytest.approx(model.encode(TEXTS, tokenizer=tokenizer, exit=exit_layer), abs=1e-5)


@pytest.mark.slow
def test_arms_begin_alike_and_train_what_they_are_for(tmp_path: Path) -> None:
    train = tuple(
        Snippet(
            package=f"p{place % 4}",
            place=str(place),
            code=f"def f{place}(x):\n    return x + {place}",
            description=word,
        )
        for place, word in enumerate(ASKED * 8)
    )
    some = RankingSet(queries=ASKED, documents=CODE, right=(0, 1, 2))
    data = Data(train=train, sets={"few": some, "modules": some}, read=0, duplicates=0, leaks=0, same_words=0)
    plan = Plan(
        hidden_size=16, vocabulary=300, bag_steps=2, steps=2, pretraining_steps=2, batch_size=8, module_length=64
    )
    seed = OneSeed(tmp_path / "1", 1, plan, data)
    start = seed.play("start")
    first = load_encoder(tmp_path / "1" / "start")[0]
    assert (start.steps, set(start.exits[1])) == (0, {"few"})
    played = {arm: seed.play(arm) for arm in ("single-1", "joint-mlm-context")}
    assert [one.steps for one in played.values()] == [2, 4]
    assert [set(one.exits[4]) for one in played.values()] == [{"few"}, {"few", "modules"}]
    assert first.config.embedding_dropout == 0.2
    again = OneSeed(tmp_path / "2", 1, plan, data)
    again.play("start")
    for one, other in zip(first.parameters(), load_encoder(tmp_path / "2" / "start")[0].parameters(), strict=True):
        assert one.equal(other)


def scores(*mrrs: float) -> Scores:
    exits = {
        one: {"few": Ranked(mrr=mrr, recall_at_1=mrr / 2, recall_at_10=0.9)}
        for one, mrr in zip(EXITS, mrrs, strict=True)
    }
    return Scores(exits=exits, parameters=1_000, steps=60, tokens=5_000, cpu_seconds=1.0)


def test_a_table_has_each_single_exit_at_its_own_and_differences_paired_by_seed(tmp_path: Path) -> None:
    words = {"bm25": {"few": Ranked(mrr=0.3, recall_at_1=0.2, recall_at_10=0.5)}}
    (tmp_path / "lexical.json").write_bytes(msgspec.json.encode(words))
    for seed, more in ((1, 0.0), (2, 0.02), (3, 0.01)):
        arms = {"joint": (0.40, 0.41, 0.42), "single-1": (0.45, 0.1, 0.1), "single-4": (0.2, 0.3, 0.42)}
        for arm, mrrs in arms.items():
            grown = [mrr + more * (arm == "joint") for mrr in mrrs]
            (tmp_path / str(seed)).mkdir(exist_ok=True)
            (tmp_path / str(seed) / f"{arm}.json").write_bytes(msgspec.json.encode(scores(*grown)))
    text = write_report(tmp_path, range(1, 4))
    assert text == (tmp_path / "encoders.md").read_text()
    assert "| bm25 |  |  | 30.0; 20.0, 50.0 |" in text
    assert "| joint | 41.0 (38.5 to 43.5); 20.5, 90.0 |" in text
    assert "| each exit alone | 45.0 (45.0 to 45.0); 22.5, 90.0 | - | 42.0 (42.0 to 42.0); 21.0, 90.0 |" in text
    assert "| joint less each exit alone | -4.0 (-6.5 to -1.5; p 0.020; 0/3) | - | +1.0 (-1.5 to +3.5;" in text
    assert "| joint less the last exit alone, cut | +21.0 (" in text
    assert "- exit 1: joint is below a model trained for that exit alone" in text
    assert "- exit 4: joint is above (within its interval) a model trained for that exit alone" in text
    assert "- exit 1: joint is above bm25" in text


def test_arms_have_one_way_each() -> None:
    ways = [(arm.exits, arm.divergence, arm.context) for arm in ARMS.values()]
    assert len({str(way) for way in ways}) == len(ARMS)


def test_a_process_that_failed_is_said_behind_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(encoders, "prepared", lambda *_: None)
    monkeypatch.setattr(encoders, "lexical", lambda *_: None)
    (tmp_path / "lexical.json").write_text('{"bm25": {"few": {"mrr": 0.3, "recall_at_1": 0.2, "recall_at_10": 0.5}}}')
    monkeypatch.setattr(encoders, "play", lambda module, out, seed, option, arms: "joint" not in arms.split(","))
    monkeypatch.setattr("sys.argv", ["encoders", "--out", str(tmp_path), "--seeds", "2"])
    with pytest.raises(SystemExit, match="2 of 6 processes failed"):
        encoders.main()
    assert "| bm25 |" in capsys.readouterr().out
