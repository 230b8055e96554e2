"""An arm: its examples and what counts in their loss, its levels, and what its scores are means of."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from distill import experiment_arm, experiment_data
from distill.config import load_recipe
from distill.experiment import Arm, ExperimentConfig, LevelRule
from distill.experiment_data import PAPER_LEVELS, Program, TinyPyData, load, prepare
from distill.ordering import Difficulty
from harness import TinyPyExample, TinyPyLevel, TinyPyRecipe

SMOKE = load_recipe("curriculum", "smoke", ExperimentConfig)
TEXT = TinyPyExample(level=TinyPyLevel.ASSIGN, program="a = 7\nprint(a)", output="7")


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[TinyPyRecipe]:
    """What was asked of the generator, which gives the same two examples each time, and costs no sandbox."""
    recipes: list[TinyPyRecipe] = []

    def made(recipe: TinyPyRecipe) -> Iterator[TinyPyExample]:
        recipes.append(recipe)
        yield TEXT
        yield TinyPyExample(level=TinyPyLevel.FOR, program="for i in range(2) :\n\tprint(i)", output="0\n1")

    monkeypatch.setattr(experiment_data, "tinypy_examples", made)
    return recipes


def test_programs_are_made_once_and_kept_with_their_difficulty(tmp_path: Path, asked_for: list[TinyPyRecipe]) -> None:
    for _ in range(2):
        prepare(TinyPyData(count=2, levels=("1.1", "3.1"), seed=4), tmp_path)
    assert asked_for == [TinyPyRecipe(count=2, levels=(TinyPyLevel.ASSIGN, TinyPyLevel.FOR), seed=4)]
    first, second = load(tmp_path)
    assert (first.level, first.asked, first.answer) == ("1.1", "a = 7\nprint(a)\n# output", "\n# 7\n\n")
    assert first.asked + first.answer == TEXT.text
    assert first.difficulty == TEXT.difficulty().overall < second.difficulty
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


def test_a_generator_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(recipe: TinyPyRecipe) -> Iterator[TinyPyExample]:
        yield TEXT
        raise ValueError("no more")

    monkeypatch.setattr(experiment_data, "tinypy_examples", failing)
    with pytest.raises(ValueError, match="no more"):
        prepare(TinyPyData(count=2), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_papers_levels_have_no_while() -> None:
    assert PAPER_LEVELS == ("1.1", "1.2", "2.1", "2.2", "3.1", "3.2")


@pytest.mark.hf
def test_a_programs_characters_weigh_what_the_recipe_says(require: Any) -> None:
    require(importlib.util.find_spec("transformers"), "transformers")
    programs = [Program(level="1.1", asked="a=1\n# output", answer="\n# 1\n\n", program="a=1", difficulty=1.0)]
    light = experiment_arm.corpus_of(msgspec.structs.replace(SMOKE, prompt_weight=0.25), programs)
    assert light.tokenizer.decode(light.rows[0].tokens) == "a=1\n# output\n# 1\n\n"
    assert light.rows[0].weights == (0.25,) * 12 + (1.0,) * 6
    assert light.answers == [12]
    assert experiment_arm.corpus_of(SMOKE, programs).rows[0].weights is None


def test_levels_are_cut_at_thresholds_of_the_metric_and_by_rank_otherwise() -> None:
    difficulties = [1.0, 9.0, 2.0, 8.0, 3.0, 7.0]
    assert experiment_arm._levels(difficulties, Difficulty.METRIC, SMOKE) == [0, 2, 1, 2, 1, 2]
    assert experiment_arm._levels(difficulties, Difficulty.LOSS, SMOKE) == [0, 2, 0, 2, 1, 1]
    halves = msgspec.structs.replace(SMOKE, levels=LevelRule(thresholds=None, quantiles=2))
    assert experiment_arm._levels(difficulties, Difficulty.METRIC, halves) == [0, 1, 0, 1, 0, 1]


def test_scores_are_means_over_the_levels_that_were_trained() -> None:
    tiers = {"T/1.1/0": "easy", "T/1.1/1": "easy", "T/2.1/0": "hard", "T/4.1/0": "medium"}
    values = {"T/1.1/0": 1.0, "T/1.1/1": 0.0, "T/2.1/0": 1.0, "T/4.1/0": 0.0}
    run: Any = SimpleNamespace(config=SimpleNamespace(tiers=tiers))
    assert experiment_arm._by_kind("execution", values, run, {"1.1", "2.1"}) == {
        "execution": pytest.approx(2 / 3),
        "execution/easy": 0.5,
        "execution/hard": 1.0,
        "execution/1.1": 0.5,
        "execution/2.1": 1.0,
        "execution/4.1": 0.0,  # never trained on: in no other mean
    }


def test_a_models_judgement_is_asked_once_and_is_that_of_finished_random_arms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(experiment_arm, "_load", lambda folder, attention="sdpa": (folder, attention))

    def by_models(models: Any, rows: Any, answers: Any, pad: int) -> list[float]:
        asked.append(models)
        return [0.5]

    monkeypatch.setattr(experiment_arm.ordering, "by_models", by_models)
    monkeypatch.setattr(experiment_arm.ordering, "by_loss", lambda model, rows, pad: asked.append(model) or [1.5])
    monkeypatch.setattr(experiment_arm.ordering, "by_attention", lambda model, rows, pad: asked.append(model) or [2.5])
    for seed in (1, 2, 3):
        folder = Arm(name="random", seed=seed).folder(tmp_path)
        folder.mkdir(parents=True)
        if seed != 2:
            (folder / "arm.json").touch()
    program = Program(level="1.1", asked="", answer="", program="a = 1", difficulty=7.0)
    tokenizer = SimpleNamespace(pad_token_id=0)
    row = experiment_arm.Row(tokens=(1, 2, 3))
    corpus = experiment_arm.Corpus(programs=[program], rows=[row], answers=[2], tokenizer=tokenizer)
    arm = Arm(name="whatever", seed=3)

    def difficulty(by: Difficulty) -> list[float]:
        return [experiment_arm._difficulties(by, corpus, arm, tmp_path) for _ in range(2)][1]

    assert [difficulty(by)[0] for by in Difficulty] == [7.0, 3.0, 1.5, 2.5, 0.5]
    of_seed = tmp_path / "seed-3" / "random"
    assert asked == [
        (of_seed, "sdpa"),
        (of_seed, "eager"),
        [(tmp_path / "seed-1" / "random", "sdpa"), (of_seed, "sdpa")],
    ]
