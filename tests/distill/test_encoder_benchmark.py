"""Encoders over seeds: what is asked for, what an arm is, and what the tables say of seeds that are done."""

from __future__ import annotations

import ast
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    for package in ("torch", "transformers", "scipy", "bm25s", "datasketch"):
        pytest.importorskip(package)

import msgspec
import numpy as np

from benchmarks import encoder_seed, encoders
from benchmarks.encoder_records import PLANS, STEPS, Plan, Scores, arms_of
from benchmarks.encoder_report import write_report
from benchmarks.encoder_seed import Group, GroupedContrast, OneSeed, embeddings
from benchmarks.encoder_sets import Data, Ranked, RankingSet, lexical, modules_set, ranked
from benchmarks.encoder_steps import GROUP, ordered_data
from distill.code_data import Snippet
from distill.encoder import load_encoder
from distill.encoder_objectives import ContrastSettings, ExitSettings, PairedRows
from distill.training import train
from tests.distill.made_encoders import TEXTS, small_encoder

pytestmark = pytest.mark.hf

ASKED = ("read all the lines", "write all the bytes", "close every open door")
EXITS = PLANS["library"].exits
CODE = ("def read(lines): return all(lines)", "def write(data): return data", "def close(door): door.shut()")


def test_what_is_as_near_as_the_right_one_stands_before_or_behind_it_by_chance() -> None:
    scores = np.array([[0.9, 0.1, 0.1], [0.5, 0.5, 0.4], [0.9, 0.8, 0.7]])
    found = ranked(scores, (0, 0, 2))
    assert found.mrr == pytest.approx((1 + (1 + 1 / 2) / 2 + 1 / 3) / 3)
    assert (found.recall_at_1, found.recall_at_10) == (pytest.approx((1 + 1 / 2) / 3), 1.0)
    tied = np.array([[1.0] + [0.5] * 12])  # one before, then twelve places for the right one, nine of them among ten
    found = ranked(tied, (4,))
    assert (found.recall_at_1, found.recall_at_10) == (0.0, 9 / 12)
    assert found.mrr == pytest.approx(sum(1 / rank for rank in range(2, 14)) / 12)


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
    (tmp_path / "plan.json").write_bytes(msgspec.json.encode(Plan()))
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
    arms = arms_of(PLANS[STEPS])
    ways = [(arm.exits, arm.divergence, arm.context, arm.reads_modules) for arm in arms.values()]
    assert len({str(way) for way in ways}) == len(arms)


def test_programs_of_a_group_differ_in_what_they_compute_and_not_in_their_tokens() -> None:
    data = ordered_data(80, 48)
    asked = data.sets["steps"]
    for codes in ([one.code for one in data.train], asked.documents):
        for group in (codes[place : place + GROUP] for place in range(0, len(codes), GROUP)):
            assert len({"".join(sorted(code.splitlines())) for code in group}) == 1
            assert len({tuple(ran(code, value) for value in range(-20, 110)) for code in group}) == GROUP
    assert asked.right == tuple(range(48))
    assert all(query.count(", ") == 5 for query in asked.queries)


def ran(code: str, value: int) -> int:
    found: dict[str, Any] = {}
    exec(code, found)
    (function,) = (one for name, one in found.items() if name != "__builtins__")
    return int(function(value))


def test_a_description_in_order_asks_for_its_program_and_the_file_that_has_it() -> None:
    data = ordered_data(8, 48)
    asked, files = data.sets["steps"], data.sets["modules"]
    place = next(place for place, query in enumerate(asked.queries) if "square" in query)
    line = asked.documents[place].splitlines()[1 + asked.queries[place].split(", ").index("square")]
    name = name_of(asked.documents[place])
    assert line.strip() == f"{name} *= {name}"
    assert files.queries == asked.queries
    for code, right in zip(asked.documents, files.right, strict=True):
        assert [code in document for document in files.documents] == [one == right for one in range(16)]
    assert len({"".join(sorted(document.splitlines())) for document in files.documents}) == 4
    assert sorted(files.right) == sorted(list(range(16)) * 3)


def test_nothing_asked_for_has_steps_or_is_of_a_repository_that_training_has() -> None:
    data = ordered_data(4000, 600)
    trained = {kind_of(one.code) for one in data.train}
    ways = {way_of(one.code) for one in data.train}
    asked = data.sets["steps"].documents
    assert not trained & {kind_of(code) for code in asked}
    assert not ways & {way_of(code) for code in asked}
    assert {name_of(code) for code in asked} < {name for name, _ in ways}
    assert {tuple(one.package.split("/")) for one in data.train} == ways


def name_of(code: str) -> str:
    return code.split("(")[1].split(")")[0]


def way_of(code: str) -> tuple[str, str]:
    last = code.splitlines()[-1]
    return name_of(code), last[: len(last) - len(last.lstrip())]


def kind_of(code: str) -> tuple[str, ...]:
    """The steps of a program, without its name, numbers and order."""
    name = name_of(code)
    lines = (re.sub(rf"\b{name}\b", "v", line.strip()) for line in code.splitlines()[1:-1])
    return tuple(sorted(re.sub(r"\b[2-9]0?\b", "k", line) for line in lines))


def test_an_arm_for_one_exit_is_cut_through_the_projection_that_was_trained() -> None:
    model, tokenizer = small_encoder(pooling="mean")
    import torch

    torch.nn.init.normal_(model.projections[-1].weight)
    own, cut = (embeddings(model, tokenizer, TEXTS, 48, trained) for trained in (None, EXITS[-1]))
    assert own[EXITS[-1]] == pytest.approx(cut[EXITS[-1]])
    assert own[EXITS[0]] != pytest.approx(cut[EXITS[0]], abs=0.1)


def test_a_batch_of_groups_is_one_of_their_pairs() -> None:
    pairs = [PairedRows(query=(one, 2), code=(3, one), altered=(3, one)) for one in range(5, 9)]
    groups = [Group(tuple(pairs[:2])), Group(tuple(pairs[2:]))]
    batch = GroupedContrast(ContrastSettings(), ExitSettings()).collate(groups, 0)
    assert batch["query_ids"][:, 0].tolist() == [5, 6, 7, 8]
    assert batch["input_ids"][:, 1].tolist() == [5, 6, 7, 8]
    assert (groups[0].length, len(groups[0].tokens)) == (2, 8)


@pytest.mark.slow
def test_a_world_of_orders_is_played_and_told_by_exit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = msgspec.structs.replace(
        PLANS[STEPS],
        pairs=64,
        queries=24,
        hidden_size=16,
        intermediate_size=32,
        vocabulary=300,
        bag_steps=2,
        steps=2,
        pretraining_steps=2,
        module_steps=3,
        batch_size=8,
    )
    learnt: list[tuple[Any, Any]] = []

    def noting(model: Any, rows: Any, stages: Any, settings: Any, *others: Any) -> Any:
        learnt.append((rows, settings))
        return train(model, rows, stages, settings, *others)

    monkeypatch.setattr(encoder_seed, "train", noting)
    through: list[int | None] = []

    def embedding(*asked: Any) -> Any:
        through.append(asked[-1])
        return embeddings(*asked)

    monkeypatch.setattr(encoder_seed, "embeddings", embedding)
    seed = OneSeed(tmp_path / "1", 1, plan, ordered_data(plan.pairs, plan.queries))
    seed.play("start")
    for arm, steps in (("single-2", 2), ("joint-kl", 2), ("joint-modules", 5), ("joint-mlm-context", 7)):
        played = seed.play(arm)
        assert (played.steps, set(played.exits)) == (steps, {1, 2, 4, 6})
        assert set(played.exits[6]) == ({"modules"} if steps > 2 else {"steps"})
    for rows, settings in learnt:
        if isinstance(rows[0], Group):
            assert settings.batch_size == 8 // GROUP
            assert all(len({one.query for one in row.pairs}) == GROUP for row in rows)
            assert all(len({tuple(sorted(one.code)) for one in row.pairs}) == 1 for row in rows)
    assert sum(isinstance(rows[0], Group) for rows, _ in learnt) == 6
    assert through == [None, None, 2, 2, *[None] * 6]


def test_a_process_that_failed_is_said_behind_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(encoders, "data_of", lambda *_: None)
    monkeypatch.setattr(encoders, "lexical", lambda *_: None)
    (tmp_path / "lexical.json").write_text('{"bm25": {"few": {"mrr": 0.3, "recall_at_1": 0.2, "recall_at_10": 0.5}}}')
    monkeypatch.setattr(encoders, "play", lambda module, out, seed, option, arms: "joint" not in arms.split(","))
    monkeypatch.setattr("sys.argv", ["encoders", "--out", str(tmp_path), "--seeds", "2"])
    with pytest.raises(SystemExit, match="2 of 6 processes failed"):
        encoders.main()
    assert "| bm25 |" in capsys.readouterr().out
