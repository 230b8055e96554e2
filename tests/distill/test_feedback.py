"""Feedback and levels of a finished run: each view recorded per sample, resumed, and put together by a named rule."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_runs
import msgspec
import pytest

from distill import feedback as feedback_module
from distill.feedback import FEEDBACK, Feedback, FeedbackConfig, give_feedback, read_feedback
from distill.levels import LEVELS, Level, LevelRule, find_levels, question_levels, read_levels, sample_level
from distill.model_view import ModelView
from distill.static_view import StaticView
from harness import (
    Completion,
    GenerationSettings,
    ModelUnavailable,
    Prompt,
    StopReason,
    UsageError,
    load_benchmark,
    load_run,
)

PARSED = FeedbackConfig(lint=False)
PASSES = {"T/0": [True, True], "T/1": [True, False], "T/2": [False, False], "T/3": [None, None], "T/4": [None, True]}


class Rubric:
    """A scoring model that gives every program the points of its task, and fails from the n-th prompt on."""

    name, digest = "rubric", "r" * 64

    def __init__(self, points: dict[str, float], fails_at: int | None = None) -> None:
        self.points, self.fails_at, self.asked = points, fails_at, 0

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        for prompt in prompts:
            if self.asked == self.fails_at:
                raise ModelUnavailable("the server is gone")
            self.asked += 1
            left = self.points[prompt.task_id]
            lines = ["Score:"]
            for rule in range(1, 6):
                given = min(left, 2.0 if rule == 1 else 1.0)
                left -= given
                lines.append(f"Rule {rule}. Name: {given}")
            yield Completion(text="\n".join(lines), stop_reason=StopReason.STOP)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run over a task file that is really there."""
    rows = [
        {
            "task_id": task_id,
            "prompt": "def f(x):\n",
            "entry_point": "f",
            "canonical_solution": "    return x\n",
            "test": "def check(candidate):\n    assert candidate(1) == 1\n",
        }
        for task_id in PASSES
    ]
    file = tmp_path / "tasks.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tiers = dict.fromkeys(PASSES, "easy")
    return made_runs.write_run(
        tmp_path / "run",
        PASSES,
        benchmark=str(file),
        dataset_source=str(file),
        dataset_digest=load_benchmark(str(file)).digest,
        tiers=tiers,
    )


def test_every_sample_has_its_views(run: Path, tmp_path: Path) -> None:
    path = give_feedback(load_run(run), tmp_path / "out", PARSED, Rubric(dict.fromkeys(PASSES, 4.5)))
    views = list(read_feedback(path))
    verdicts = list(load_run(run).verdicts())
    assert [(one.task_id, one.sample_index) for one in views] == [(v.task_id, v.sample_index) for v in verdicts]
    for one, verdict in zip(views, verdicts, strict=True):
        judged = verdict.outcome != "not_judged"
        assert one.execution == (verdict if judged else None)
        assert one.static == StaticView(
            parses=True, complete=None, runs=True if judged else None, messages=None, symbols={}, reason=""
        )
        assert one.model is not None
        assert (one.model.model, one.model.score, one.model.points) == ("rubric", 4.5, (2, 1, 1, 0.5, 0))


@pytest.mark.slow
def test_pylint_s_messages_are_in_the_feedback(run: Path, tmp_path: Path, require: Any) -> None:
    require(importlib.util.find_spec("pylint"), "pylint")
    path = give_feedback(load_run(run), tmp_path / "out", FeedbackConfig())
    for one in read_feedback(path):  # of the program "pass"
        assert one.static.messages == {"fatal": 0, "error": 0, "warning": 0, "refactor": 0, "convention": 0}


def test_a_killed_run_goes_on_and_asks_nobody_twice(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback_module, "BATCH", 2)
    points = dict.fromkeys(PASSES, 3.0)
    whole = give_feedback(load_run(run), tmp_path / "whole", PARSED, Rubric(points)).read_bytes()
    out = tmp_path / "out"
    with pytest.raises(ModelUnavailable):
        give_feedback(load_run(run), out, PARSED, Rubric(points, fails_at=5))
    assert (out / FEEDBACK).read_bytes().count(b"\n") == 4
    with (out / FEEDBACK).open("ab") as file:
        file.write(b'{"task_id":"T/2","sam')  # torn by the kill
    again = Rubric(points)
    assert give_feedback(load_run(run), out, PARSED, again).read_bytes() == whole
    assert again.asked == 6
    assert give_feedback(load_run(run), out, PARSED, again).read_bytes() == whole
    assert again.asked == 6


def test_feedback_on_something_else_is_not_mixed(run: Path, tmp_path: Path) -> None:
    give_feedback(load_run(run), tmp_path, PARSED)
    with pytest.raises(UsageError, match="another run"):
        give_feedback(load_run(run), tmp_path, PARSED, Rubric(dict.fromkeys(PASSES, 3.0)))


def test_lines_that_are_no_feedback_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not there"):
        list(read_feedback(tmp_path / FEEDBACK))
    (tmp_path / FEEDBACK).write_text('{"task_id": 3}\n')
    with pytest.raises(UsageError, match="line 1"):
        list(read_feedback(tmp_path / FEEDBACK))


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"max_new_tokens": 0}, {"batch_size": 0}, {"colour": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, FeedbackConfig)


def test_levels_by_pass_rate(run: Path, tmp_path: Path) -> None:
    levels = find_levels(run, tmp_path / "out", PARSED)
    assert [(one.task_id, one.level, one.samples, one.unknown, one.passed) for one in levels] == [
        ("T/0", Level.EASY, 2, 0, 2),
        ("T/1", Level.MEDIUM, 2, 0, 1),
        ("T/2", Level.HARD, 2, 0, 0),
        ("T/3", None, 0, 2, 0),  # not judged: says nothing, and is not hard
        ("T/4", Level.EASY, 1, 1, 1),
    ]
    assert {(one.rule, one.tier, one.scores) for one in levels} == {(LevelRule.PASS_RATE, "easy", ())}
    assert list(read_levels(tmp_path / "out" / LEVELS)) == levels


def test_levels_by_the_paper(run: Path, tmp_path: Path) -> None:
    scorer = Rubric({"T/0": 5.0, "T/1": 5.0, "T/2": 2.0, "T/3": 0.0, "T/4": 3.5})
    by_running = find_levels(run, tmp_path, PARSED, LevelRule.PAPER, scorer)
    assert [one.level for one in by_running] == [Level.EASY, Level.EASY, Level.HARD, None, Level.MEDIUM]
    by_tests = find_levels(run, tmp_path, PARSED, LevelRule.PAPER_TESTED, scorer)
    assert [one.level for one in by_tests] == [Level.EASY, Level.MEDIUM, Level.HARD, None, Level.MEDIUM]
    assert by_tests[0].scores == (5.0, 5.0)
    assert json.loads((tmp_path / LEVELS).read_bytes().split(b"\n")[0])["rule"] == "paper_tested"
    with pytest.raises(UsageError, match="need a model view"):
        find_levels(run, tmp_path, PARSED, LevelRule.PAPER)


def made(passed: bool | None, score: float | None, **static: Any) -> Feedback:
    view = StaticView(parses=True, complete=True, runs=True, messages=None, symbols={}, reason="")
    return Feedback(
        task_id="T/0",
        sample_index=0,
        inputs="",
        execution=None if passed is None else made_runs.verdict("T/0", 0, passed),
        static=replace(view, **static),
        model=ModelView(model="m", text="", points=(), score=score),
    )


@pytest.mark.parametrize(
    ("one", "level"),
    [
        (made(True, 5.0), Level.EASY),
        (made(True, 4.5), Level.MEDIUM),
        (made(True, 2.5), Level.MEDIUM),
        (made(True, 2.0), Level.HARD),
        (made(True, 6.0, complete=False), Level.HARD),
        (made(True, 6.0, complete=None), Level.EASY),
        (made(True, 6.0, runs=None), Level.EASY),
        (made(True, 6.0, runs=False), Level.HARD),
        (made(False, 6.0), Level.EASY),  # it runs, and the paper has no tests
        (made(True, None), None),
        (made(True, None, complete=False), Level.HARD),
        (made(None, 0.0, complete=False, runs=False), None),  # the machine's failure
    ],
)
def test_the_paper_s_rule(one: Feedback, level: Level | None) -> None:
    assert sample_level(one, LevelRule.PAPER) is level


def test_the_rule_with_tests() -> None:
    assert sample_level(made(False, 6.0), LevelRule.PAPER_TESTED) is Level.HARD
    assert sample_level(made(True, 6.0, runs=False), LevelRule.PAPER_TESTED) is Level.EASY
    assert question_levels([made(True, 6.0), made(False, 6.0)], LevelRule.PAPER_TESTED)[0].level is Level.MEDIUM


def test_a_scorer_that_cannot_be_read_makes_no_question_hard() -> None:
    broken, unread = made(False, None, runs=False), made(True, None)
    (level,) = question_levels([broken, unread, unread], LevelRule.PAPER)
    assert (level.level, level.samples, level.unknown) == (None, 1, 2)
    (level,) = question_levels([broken, unread, made(None, None)], LevelRule.PAPER)
    assert (level.level, level.samples, level.unknown) == (Level.HARD, 1, 2)


def test_inputs_are_a_digest(run: Path, tmp_path: Path) -> None:
    (digest,) = {one.inputs for one in read_feedback(give_feedback(load_run(run), tmp_path, PARSED))}
    assert len(digest) == len(hashlib.sha256().hexdigest())
