"""Tiers by an encoder: learnt of tasks that are no tests, told at an exit, and recorded as other tiers are."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import msgspec

from distill.command import distill
from distill.config import load_recipe
from distill.encoder_settings import KnownTiers, Sees, TuneTiers
from distill.lessons import LeakageError
from distill.task_files import write_tasks
from distill.tier_prediction import predicted_tiers, tune_tiers
from distill.tier_tasks import TierTasks, tier_tasks, told_by
from harness import (
    NumberTests,
    Task,
    TaskTier,
    TierKind,
    Tiers,
    TierSource,
    UsageError,
    digest_of,
    load_benchmark,
    mbpp_train,
    read_tiers,
    write_tiers,
)
from harness.statement import Statement
from harness.tiers import source_text
from tests.distill import made_encoders
from tests.distill.made_encoders import small_encoder

pytestmark = pytest.mark.hf
SHAPE = {**made_encoders.SHAPE, "initializer_range": 0.15}
TELLING = {"easy": "Add the two", "medium": "Sort all", "hard": "Factor the huge"}


def task(number: int, tier: str, split: str = "train") -> Task:
    words = f"{TELLING[tier]} numbers of box {number}."
    return Task(
        task_id=f"{split}/{number}",
        prompt=f"# {words}\n",
        entry_point="answer",
        reference=f"# {words}\nanswer = {number}\n",
        tests=NumberTests(expected=Fraction(number)),
        split=split,
        tier=tier,
        statement=Statement(description=words, tests=()),
    )


def tasks(count: int, split: str = "train") -> list[Task]:
    return [task(number, list(TELLING)[number % 3], split) for number in range(count)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("known") / "known.jsonl"
    write_tasks(tasks(120), path)
    return path


def settings(known: list[dict[str, object]], apart_from: tuple[str, ...] = (), **values: object) -> TuneTiers:
    plain = {
        "start": {"tokenizer": {"vocabulary": 300}, "fields": SHAPE},
        "known": known,
        "apart_from": apart_from,
        "training": {"steps": 60, "batch_size": 16, "learning_rate": 0.01},
    }
    return msgspec.convert(plain | values, TuneTiers)


@pytest.fixture(scope="module")
def model(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "tiers"
    report = tune_tiers(settings([{"tasks": str(file)}]), out)
    assert report.read == 120
    assert {one.exit for one in report.exits} == {1, 2}
    assert all(one.measures["right"] > 0.8 for one in report.exits)  # on tasks that were only looked at
    return out


@pytest.mark.slow
def test_new_tasks_get_the_tiers_that_the_words_of_others_had(model: Path, file: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.jsonl"
    write_tasks([replace(one, task_id=f"new/{one.task_id}") for one in tasks(30, "test")], new)
    out = tmp_path / "tiers.json"
    command = ["predict", str(new), "--model", str(model), "--exit", "1", "--out", str(out)]
    ran = CliRunner().invoke(distill, command)
    assert ran.exit_code == 0, ran.output
    benchmark = load_benchmark(str(new))
    found = read_tiers(out, benchmark)
    right = sum(one.tier == known.tier for one, known in zip(found.tasks, benchmark.tasks, strict=True))
    assert right >= 27
    assert found.source == TierSource(
        kind=TierKind.PREDICTED,
        settings={"predicted_by": f"{model}, exit 1", "sees": "question", "learnt_of": str(file)},
        digest=digest_of(model),
    )
    assert source_text(found.source) == f"predicted ({model}, exit 1)"
    assert predicted_tiers(benchmark, str(model)).source.settings["predicted_by"] == f"{model}, exit 2"
    with pytest.raises(UsageError, match="layer 3 is no exit"):
        predicted_tiers(benchmark, str(model), 3)


@pytest.mark.slow
def test_a_task_whose_tier_was_learnt_is_refused(model: Path, file: Path, tmp_path: Path) -> None:
    with pytest.raises(LeakageError, match=r"is one that .* has learnt: predict those of other tasks"):
        predicted_tiers(load_benchmark(str(file)), str(model))
    for part in small_encoder():
        part.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="has learnt no tiers: train one with `harness distill encoder tiers`"):
        predicted_tiers(load_benchmark("words-dev"), str(tmp_path))


def test_no_tier_is_learnt_of_a_test_or_of_what_gives_one_away(file: Path, tmp_path: Path) -> None:
    with pytest.raises(LeakageError, match="is a test, of which no tiers are learnt"):
        tier_tasks(settings([{"tasks": _tests(tmp_path)}]))
    test = tmp_path / "test.jsonl"
    write_tasks([replace(task(5, "hard", "test"), task_id="T/5")], test)
    found = tier_tasks(settings([{"tasks": str(file)}], (str(test),)))
    assert {leak.task_id for leak in found.leaks.leaks} == {"T/5"}
    assert found.read - len(found.train) - len(found.dev) == len(found.leaks.leaking) == 1
    assert "train/5" not in {one.name for one in (*found.train, *found.dev)}


def _tests(folder: Path) -> str:
    write_tasks(tasks(6, "test"), folder / "tests.jsonl")
    return str(folder / "tests.jsonl")


def test_tiers_are_those_of_a_file_where_one_is_named(file: Path, tmp_path: Path) -> None:
    benchmark = load_benchmark(str(file))
    turned = {"easy": "hard", "medium": "easy", "hard": "medium"}
    others = tuple(TaskTier(task_id=one.task_id, tier=turned[one.tier or ""]) for one in benchmark.tasks)
    source = TierSource(kind=TierKind.RUNS, digest="d")
    path = tmp_path / "tiers.json"
    tiers = Tiers(benchmark=benchmark.name, dataset_digest=benchmark.digest, source=source, tasks=others)
    write_tiers(tiers, path)
    own, given = (tier_tasks(settings([{"tasks": str(file)} | one])) for one in ({}, {"tiers": str(path)}))
    assert {one.name: turned[one.tier] for one in own.train} == {one.name: one.tier for one in given.train}
    assert own.digest != given.digest


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"tasks": "ladder"}, "has no end, and tiers of its own: give its count"),
        ({"tasks": "words-dev", "count": 3}, "is learnt whole: leave its count out"),
        ({"tasks": "mbpp", "tiers": "t.json"}, "not of mbpp: leave it out"),
        ({"tasks": "nothing"}, "there is no benchmark 'nothing'"),
    ],
)
def test_what_cannot_be_known_is_said_so(known: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tier_tasks(settings([known]))


def test_sources_without_end_and_dev_splits_have_tiers_of_their_own() -> None:
    found: TierTasks = tier_tasks(settings([{"tasks": "ladder", "count": 8}, {"tasks": "words-dev"}], ("words",)))
    assert found.tiers == ("easy", "expert", "hard", "medium")
    assert found.read == 308
    assert {one.name.split("/")[0] for one in found.train} == {"Ladder-train", "Words"}


@pytest.mark.data
def test_a_task_is_told_by_words_code_or_both(published_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(published_data))
    first = mbpp_train().tasks[0]
    (words,), (code,), both = (told_by(first, sees) for sees in (Sees.QUESTION, Sees.SOLUTION, Sees.BOTH))
    assert words.startswith("Write a")
    assert code.startswith("def f(")
    assert both == (words, code)
    with pytest.raises(UsageError, match="has no solution that is a function"):
        told_by(task(1, "easy"), Sees.SOLUTION)


def test_the_shipped_recipe_learns_of_no_benchmark_that_is_to_be_predicted() -> None:
    shipped = load_recipe("encoder-tiers", "cpu", TuneTiers)
    assert set(shipped.apart_from) == {"humaneval", "mbpp", "ladder"}
    assert KnownTiers(tasks="mbpp") in shipped.known
