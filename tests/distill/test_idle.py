"""A loop's configuration, when it is read: values out of their range are refused, and those that change nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from distill.config import dump, load_file, load_recipe, shipped, with_changes
from distill.faults import FaultsConfig
from distill.loop import AttemptsConfig, LoopConfig
from distill.training import TrainSettings
from harness import UsageError

PLAIN = {"student": "s", "teacher": {"model": "t"}, "training": {"steps": 1}}
SAMPLED = {"model": "t", "n_samples": 2, "temperature": 0.5}
REFINING = {"model": "t", "mends": True, "mending_lessons": "refine"}


def config(**changes: object) -> LoopConfig:
    return msgspec.convert({**PLAIN, **changes}, LoopConfig)


IDLE = [
    ({"pairs": {"contrastive": "dpo"}}, "pairs.contrastive"),
    ({"pairs": {"weight": 0.3}}, "pairs.weight"),
    ({"pairs": {"unlikelihood": 0.3}}, "pairs.unlikelihood"),
    ({"pairs": {"contrastive": "none", "weight": 0.3}, "faults": {"sources": ["student"]}}, "pairs.weight"),
    ({"pairs": {"contrastive": "dpo", "beta": 1.0}, "faults": {"sources": ["student"]}}, "pairs.beta"),
    ({"pairs": {"contrastive": "chosen-only", "gamma": 0.1}, "faults": {"sources": ["student"]}}, "pairs.gamma"),
    ({"pairs": {"dpo_beta": 1.0}, "faults": {"sources": ["student"]}}, "pairs.dpo_beta"),
    ({"pairs": {"by_row": True}, "logits": {}}, "pairs.by_row"),
    ({"teacher": {"samples": "x", "n_samples": 2, "temperature": 0.5}}, "teacher.temperature"),
    ({"teacher": {"model": "canonical", "temperature": 0.5}}, "teacher.temperature"),
    ({"teacher": {"model": "canonical", "batch_size": 5}}, "teacher.batch_size"),
    ({"teacher": {**SAMPLED, "mends": True}}, "teacher.n_samples"),
    ({"questions": {"feedback": "levels", "replay": 0.5}}, "questions.replay"),
    ({"questions": {"feedback": "none", "replay": 0.5}}, "questions.replay"),
    ({"questions": {"weights": {"hard": 9}}}, "questions.weights"),
    ({"questions": {"feedback": "none", "widen": 0.5}}, "questions.widen"),
    ({"attempts": {"probes": 9}}, "attempts"),
    ({"attempts": {"views": {"batch_size": 2}}, "questions": {"feedback": "levels"}}, "attempts.views.batch_size"),
    ({"faults": {"sources": ["mutation"], "n_samples": 2}}, "faults.n_samples"),
    ({"faults": {"sources": ["mutation"], "temperature": 0.2}}, "faults.temperature"),
    ({"faults": {"sources": ["student"], "mutants": 9}}, "faults.mutants"),
    ({"faults": {"sources": ["mutation"]}, "teacher": REFINING}, "faults.sources"),
    ({"prompt_weight": 0.5, "teacher": REFINING}, "prompt_weight"),
    ({"teacher": {"model": "canonical", "protocol": "ekt-3shot"}}, "teacher.protocol"),
    ({"teacher": {"samples": "x", "shots": "s.jsonl"}}, "teacher.shots"),
    ({"teacher": {"model": "t", "shots": "s.jsonl", "protocol": "ekt-0shot"}}, "teacher.shots"),
    ({"teacher": {"model": "t", "shots": "s.jsonl"}, "protocol": "lm-eval"}, "teacher.shots"),
    ({"teacher": {"model": "t", "mends": True, "protocol": "ekt-3shot"}}, "teacher.protocol"),
    ({"answers": {"selection": "first"}}, "answers.selection"),
    ({"answers": {"drop_spurious": True}, "filter_answers": False}, "answers.drop_spurious"),
    ({"answers": {"cut_off": True}}, "answers.cut_off"),
    ({"keep": {"always": True, "max_drop": 0.5}}, "keep.max_drop"),
    ({"logits": {"teacher_prompt": True}}, "logits.teacher_prompt"),
]


@pytest.mark.parametrize(("changes", "key"), IDLE)
def test_a_value_that_could_change_nothing_is_refused(changes: dict[str, object], key: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"{key} would change nothing"):
        config(**changes)


ACTING = [
    {"pairs": {"by_row": True}},  # L_sl of right answers alone
    {"pairs": {"contrastive": "dpo", "dpo_beta": 0.5, "weight": 0.3}, "faults": {"sources": ["student"]}},
    {"pairs": {"contrastive": "margin", "beta": 1.0}, "faults": {"sources": ["mutation"], "mutants": 5}},
    {"teacher": SAMPLED},
    {"teacher": {"model": "t", "temperature": 0.5, "mends": True}, "faults": {"n_samples": 2, "temperature": 0.9}},
    {"faults": {"sources": ["teacher"], "temperature": 0.2}},
    {"questions": {"replay": 0.5}},
    {"answers": {"selection": "first"}, "teacher": SAMPLED},
    {"answers": {"selection": "first"}, "teacher": {"samples": "x"}},
    {"answers": {"cut_off": True}, "filter_answers": False},
    {"logits": {"teacher_prompt": True}, "teacher": {"model": "t", "protocol": "ekt-3shot"}},
    {"teacher": {"model": "t", "shots": "s.jsonl", "protocol": "ekt-3shot"}, "protocol": "ekt-0shot"},
    {"teacher": {"model": "t", "shots": "s.jsonl"}},  # default asks questions with numbers as ekt-3shot does
    {"questions": {"feedback": "random-tier", "replay": 0.5}},
    {"questions": {"feedback": "same-tiers", "widen": 0.5, "weights": {"hard": 9}}, "attempts": {"probes": 9}},
    {"attempts": {"views": {"scorer": "s", "batch_size": 2}}, "questions": {"feedback": "levels"}},
]


@pytest.mark.parametrize("changes", ACTING)
def test_a_value_that_acts_is_taken(changes: dict[str, object]) -> None:
    assert msgspec.to_builtins(config(**changes)) != msgspec.to_builtins(config())


WRONG = [
    ({"rounds": 0}, "rounds is 1"),
    ({"rounds": -3}, "rounds is 1"),
    ({"seed": -1}, "seed 0 to"),
    ({"batch_size": 0}, "batch_size at least 1"),
    ({"max_new_tokens": 0}, "max_new_tokens is at least 1"),
    ({"prompt_weight": -1}, "prompt_weight is at least 0"),
    ({"weak_below": 1.5}, "weak_below"),
    ({"questions": {"source": "humaneval"}}, "one of ladder, .*, or a task file"),
    ({"teacher": {"model": "t", "n_samples": 0}}, "n_samples is at least 1"),
    ({"teacher": {"model": "t", "temperature": -1}}, "temperature at least 0"),
    ({"teacher": {"model": "t", "batch_size": 0}}, "batch_size is at least 1"),
    ({"teacher": {"model": "t", "n_samples": 2}}, "several greedy samples"),
    ({"training": {"steps": 1, "seed": -1}}, "seed -1"),
    ({"training": {"steps": 1, "seed": 2**32}}, "below 2"),
    ({"training": {"steps": 1, "adam_beta1": 1.0}}, "adam_beta1"),
    ({"training": {"steps": 1, "adam_beta2": -0.1}}, "adam_beta2"),
    ({"training": {"steps": 1, "weight_decay": -1}}, "weight_decay"),
    ({"training": {"steps": 1, "max_grad_norm": -1}}, "max_grad_norm"),
    ({"training": {"steps": 1, "lr_schedule": "paper", "warmup_steps": 5}}, "leave warmup_steps out"),
    ({"training": {"steps": 1, "window": 8}, "faults": {"sources": ["mutation"]}}, "random windows hold no pairs"),
    ({"teacher": {"model": "student"}, "faults": {"sources": ["student"], "temperature": 0}}, "no other answer"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_a_value_out_of_its_range_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    (tmp_path / "loop.yaml").write_text(msgspec.yaml.encode({**PLAIN, **changes}).decode())
    with pytest.raises(UsageError, match=message):
        load_file(tmp_path / "loop.yaml", LoopConfig)


def test_solved_questions_that_no_prompt_shows_are_refused_with_the_protocols_that_do() -> None:
    with pytest.raises(msgspec.ValidationError, match="the protocol ekt-0shot shows none, default and ekt-3shot do"):
        config(teacher={"model": "t", "shots": "s.jsonl"}, protocol="ekt-0shot")


def test_a_changed_recipe_drops_the_values_that_cannot_act_any_more() -> None:
    recipe = load_recipe("loop", "iterkd", LoopConfig)
    assert recipe.attempts.probes == 240
    assert with_changes(recipe, ["questions.feedback=none"]).attempts == AttemptsConfig()
    oracle = with_changes(load_recipe("loop", "persd", LoopConfig), ["teacher.model=canonical"])
    assert (oracle.teacher.temperature, oracle.teacher.mends) == (0.0, True)
    plain = with_changes(recipe, ["faults.sources=[]", "questions.feedback=none"])
    assert (plain.faults, plain.attempts) == (FaultsConfig(), AttemptsConfig())


@pytest.mark.parametrize(
    "changes",
    [
        ["pairs.contrastive=dpo"],
        ["pairs={contrastive: dpo}"],
        ["attempts.probes=9"],
        ["attempts.views.lint=true"],
        ["questions={feedback: none, replay: 0.5}"],
    ],
)
def test_a_change_that_changes_nothing_is_refused(changes: list[str]) -> None:
    with pytest.raises(UsageError, match=r"--set .* would change nothing: .*; leave it out"):
        with_changes(load_recipe("loop", "sft", LoopConfig), changes)


def test_the_whole_of_a_recipe_acts(tmp_path: Path) -> None:
    for name in shipped("loop"):
        recipe = load_recipe("loop", name, LoopConfig)
        (tmp_path / "whole.yaml").write_text(dump(recipe))
        assert load_file(tmp_path / "whole.yaml", LoopConfig) == recipe
        assert with_changes(recipe, ["seed=7"]) == msgspec.structs.replace(recipe, seed=7)


def test_a_training_has_a_seed_of_its_own_unless_it_is_given_one() -> None:
    assert (TrainSettings(steps=1).seed, TrainSettings(steps=1).first_seed) == (None, 0)
    assert TrainSettings(steps=1, seed=5).first_seed == 5
