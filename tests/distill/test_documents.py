"""What models are trained on from scratch: documents, their weights, and the tokens of word problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.config import load_file, load_recipe, shipped, with_changes
from distill.curriculum import Stage
from distill.documents import PretrainData, documents_of, tasks_of, texts_for_tokens
from distill.logits import see_that_tokens_agree
from distill.pretrain import PretrainConfig, pretrain
from distill.scratch import ModelRecipe, TokenizerRecipe, make_tokenizer
from distill.training import Row, TrainSettings
from harness import UsageError, load_benchmark
from harness.protocols import rules_for

pytestmark = pytest.mark.hf
FEW = PretrainData(source="words", tiers={"easy": 4, "hard": 2}, problems=3, unsolved=2)


def made(data: PretrainData, prompt_weight: float = 0.1) -> tuple[Any, list[Any]]:
    tasks = tasks_of(data)
    tokenizer = make_tokenizer(TokenizerRecipe(kind="words"), texts_for_tokens(data, tasks))
    return tokenizer, documents_of(tokenizer, data, tasks, prompt_weight)


@pytest.fixture(scope="module")
def few() -> tuple[Any, list[Any]]:
    return made(FEW)


def test_every_word_and_number_of_a_test_is_a_token(few: tuple[Any, list[Any]]) -> None:
    tokenizer, benchmark = few[0], load_benchmark("words")
    rules = rules_for("default", benchmark)
    for task in benchmark.tasks:
        text = str(rules.prompt(task)) + task.reference.removeprefix(task.prompt)
        tokens = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id is None
        assert 0 not in tokens  # the end of a text, which stands for what is unknown
        assert tokenizer.decode(tokens) == text
        assert len(tokens) <= 180
    assert tokenizer("zebra")["input_ids"] == [0]
    assert len(tokenizer(" 7 41")["input_ids"]) == 2


def test_tokens_are_those_of_all_word_problems_whatever_the_data(few: tuple[Any, list[Any]]) -> None:
    other, _ = made(PretrainData(source="words", tiers={"hard": 1}, seed=9))
    assert other.get_vocab() == few[0].get_vocab()


def test_a_document_of_several_counts_all_programs_but_the_first(few: tuple[Any, list[Any]]) -> None:
    tokenizer, rows = few
    solved = rows[:2]
    assert len(rows) == 4
    for row in solved:
        text = tokenizer.decode(row.tokens)
        assert text.endswith("<|endoftext|>")
        assert text.count("<|endoftext|>") == 1
        parts = text.removesuffix("<|endoftext|>").split("\n\n")
        assert len(parts) == 3
        counted = [token for token, weight in zip(row.tokens, row.weights, strict=True) if weight == 1.0]
        programs = [part.partition("\n")[2] for part in parts[1:]]
        assert tokenizer.decode(counted) == f"{programs[0]}\n\n{programs[1]}<|endoftext|>"
        first = len(tokenizer(parts[0] + "\n\n")["input_ids"])
        assert set(row.weights[:first]) == {0.0}
        assert set(row.weights) == {0.0, 0.1, 1.0}


def test_behind_a_question_alone_stands_another_question(few: tuple[Any, list[Any]]) -> None:
    tokenizer, rows = few
    asked = {task.prompt for task in tasks_of(FEW)}
    for row in rows[2:]:
        questions = tokenizer.decode(row.tokens).removesuffix("<|endoftext|>").splitlines(keepends=True)
        assert len(questions) == 3
        assert all(question.startswith("# ") for question in questions)
        assert not asked & set(questions)
        first = len(tokenizer(questions[0])["input_ids"])
        assert row.weights == (0.0,) * first + (1.0,) * (len(row.tokens) - first)


def test_a_document_of_one_task_is_the_task_and_its_answer() -> None:
    data = PretrainData(tiers={"easy": 2})
    tasks = tasks_of(data)
    tokenizer = make_tokenizer(TokenizerRecipe(vocabulary=300), texts_for_tokens(data, tasks))
    rows = documents_of(tokenizer, data, tasks, 0.25)
    assert [tokenizer.decode(row.tokens) for row in rows] == [f"{task.reference}<|endoftext|>" for task in tasks]
    for row, task in zip(rows, tasks, strict=True):
        assert row.weights is not None
        assert row.weights.count(0.25) == len(tokenizer(task.prompt)["input_ids"])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="several"):
        PretrainData(source="words", tiers={"easy": 1}, unsolved=1)
    with pytest.raises(ValueError, match="source 'wrods': one of ladder, words"):
        PretrainData(source="wrods", tiers={"easy": 1})
    with pytest.raises(ValueError, match="at least"):
        PretrainData(source="words", tiers={"easy": -1})
    with pytest.raises(UsageError, match=r"data\.tiers of words: no tier 'expert'"):
        tasks_of(PretrainData(source="words", tiers={"expert": 1}))


class Told(Exception):
    """What ends a training before its first step."""


def test_tasks_by_themselves_are_learnt_before_documents_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(model: object, rows: list[Row], stages: list[Stage], *_: object) -> None:
        raise Told([(stage.share, [rows[place].tokens for place in stage.examples]) for stage in stages])

    monkeypatch.setattr("distill.pretrain.train", told)
    fields = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = PretrainConfig(
        tokenizer=TokenizerRecipe(kind="words"),
        model=ModelRecipe(family="llama", fields={**fields, "num_key_value_heads": 1}),
        data=FEW,
        training=TrainSettings(steps=8),
        alone=0.25,
    )
    with pytest.raises(Told) as first:
        pretrain(config, tmp_path)
    tokenizer, documents = made(FEW)
    (share, alone), (rest, together) = first.value.args[0]
    assert (share, rest) == (0.25, 0.75)
    assert [tokenizer.decode(tokens).count("# ") for tokens in alone] == [1] * 6
    assert together == [row.tokens for row in documents]
    with pytest.raises(Told) as second:
        pretrain(msgspec.structs.replace(config, alone=0.0), tmp_path)
    assert second.value.args[0] == [(1.0, together)]


@pytest.mark.parametrize(
    ("alone", "problems", "said"), [(1.0, 3, "below 1"), (-0.1, 3, "at least 0"), (0.5, 1, "anyway")]
)
def test_a_share_that_tasks_by_themselves_cannot_have_is_refused(alone: float, problems: int, said: str) -> None:
    plain = {"tokenizer": {"kind": "words"}, "model": {"family": "llama"}, "training": {"steps": 2}, "alone": alone}
    data = {"source": "words", "tiers": {"easy": 3}, "problems": problems}
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(plain | {"data": data}, PretrainConfig)


@pytest.mark.parametrize("name", shipped("pretrain"))
def test_shipped_recipes_have_tiers_that_there_are(name: str) -> None:
    config = load_recipe("pretrain", name, PretrainConfig)
    if config.data.source != "gsm8k":
        one = msgspec.structs.replace(config.data, tiers=dict.fromkeys(config.data.tiers, 1))
        assert [task.tier for task in tasks_of(one)] == list(config.data.tiers)


@pytest.mark.slow
def test_teacher_and_student_by_their_recipes_have_the_same_tokens(tmp_path: Path) -> None:
    for name in ("teacher", "student"):
        short = ("training.steps=2", "data.tiers={easy: 3, hard: 3}", f"data.unsolved={int(name == 'teacher')}")
        config = with_changes(load_recipe("pretrain", f"words-{name}", PretrainConfig), short)
        done = pretrain(config, tmp_path / name)
        assert done.steps == 2
        assert not (tmp_path / name / "training").exists()
        facts = json.loads((tmp_path / name / "training.json").read_text())
        assert facts["rows"] == (9 if name == "teacher" else 6)  # six alone, two documents of three, one of questions
        assert 100_000 < facts["parameters"] < 400_000
        assert load_file(tmp_path / name / "pretrain.yaml", PretrainConfig) == config
    see_that_tokens_agree(str(tmp_path / "student"), str(tmp_path / "teacher"))
