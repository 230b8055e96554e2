"""What is learnt of mended programs: the mended alone, or behind the student's wrong program and what went wrong."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import msgspec
from transformers import AutoTokenizer

from distill.answers import lessons_of
from distill.config import load_recipe, with_changes
from distill.estimate import estimate
from distill.lessons import FaultSource, Lesson
from distill.loop import LoopConfig, Machine
from distill.mending import mended, mending_lessons
from distill.round_runs import ANSWERS, QUESTIONS, RoundRuns
from distill.study import examples_of
from distill.task_files import write_tasks
from distill.teaching import MendingLessons
from distill.texts import text_of_lesson
from distill.training import Row
from harness import (
    Completion,
    EvalConfig,
    GenerationSettings,
    NoProgress,
    Outcome,
    Prompt,
    StopReason,
    evaluate,
    find_checkpoint,
    ladder_train,
    load_run,
)

pytestmark = pytest.mark.hf
WRONG = "    return 'no'\n"


def config(kind: str = "combine") -> LoopConfig:
    teacher = {"model": "canonical", "mends": True, "mending_lessons": kind}
    return msgspec.convert({"student": "demo:student", "teacher": teacher, "training": {"steps": 2}}, LoopConfig)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> RoundRuns:
    """Return a round of four questions: the tries are right, wrong, no program, and no Python."""
    folder = tmp_path_factory.mktemp("round")
    questions = list(ladder_train(seed=3, count=4, tiers=("easy",)))
    write_tasks(questions, folder / QUESTIONS)
    bodies = [questions[0].reference.removeprefix(questions[0].prompt), WRONG, "", "    retrun 1\n"]
    rows = [{"task_id": task.task_id, "completion": body} for task, body in zip(questions, bodies, strict=True)]
    rows[2] = {"task_id": questions[2].task_id, "solution": ""}
    (folder / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluate(EvalConfig(tasks=(str(folder / QUESTIONS),), samples=folder / "s.jsonl", out=folder / "tries"))
    machine = Machine(progress=NoProgress, say=lambda text: None)
    return RoundRuns(config=config(), folder=folder, student="demo:student", seed=1, machine=machine)


@pytest.fixture(scope="module")
def answered(tried: RoundRuns) -> list[Lesson]:
    """Return the lessons of what the oracle mended."""
    assert mended(tried) == {"samples": 3, "tokens": 0, "teacher_calls": 3}
    return list(lessons_of(load_run(tried.folder / ANSWERS)))


def test_an_oracle_mends_what_the_student_got_wrong(tried: RoundRuns, answered: list[Lesson]) -> None:
    failed = load_run(tried.folder / "tries").tasks()[1:]
    assert [(one.task_id, one.prompt + one.completion) for one in answered] == [
        (task.task_id, task.reference) for task in failed
    ]


def test_the_wrong_program_is_shown_with_what_the_verdict_says(tried: RoundRuns, answered: list[Lesson]) -> None:
    found = mending_lessons(tried, answered)
    assert found[:3] == answered
    run = load_run(tried.folder / "tries")
    verdicts = {one.task_id: one for one in run.verdicts()}
    wrong, garbled = found[3:]  # where there was no program, none can be shown
    for answer, lesson in ((answered[0], wrong), (answered[2], garbled)):
        verdict = verdicts[lesson.task_id]
        assert lesson.mends is not None
        assert (lesson.mends.source, lesson.mends.run) == (FaultSource.STUDENT, "tries")
        assert (lesson.mends.sample_index, lesson.mends.outcome) == (verdict.sample_index, verdict.outcome)
        assert (lesson.completion, lesson.split, lesson.fault) == (answer.completion, "train", None)
        program = next(one.program for one in run.samples() if one.task_id == lesson.task_id)
        assert lesson.prompt.startswith(program.rstrip() + "\n")
        assert lesson.prompt.endswith("# Mended:\n" + answer.prompt)
        assert f"# {verdict.outcome}: {verdict.evidence.reason}\n" in lesson.prompt
    assert wrong.mends is not None
    assert wrong.mends.outcome is Outcome.FAILED
    for told in ("call", "expected", "actual"):
        assert f"# {told}: {getattr(verdicts[wrong.task_id].evidence, told)}\n" in wrong.prompt
    compile(wrong.prompt + wrong.completion, "lesson", "exec")  # to a model that continues programs it is one
    assert wrong.programs == (answered[0].prompt + answered[0].completion, answered[0].prompt + WRONG)
    assert wrong.programs[0] in [program + "\n" for program in text_of_lesson(wrong).programs]
    assert len({text_of_lesson(lesson).name for lesson in found}) == 5


@pytest.mark.parametrize(
    ("kind", "answers", "refinements"),
    [(MendingLessons.ANSWER, 3, 0), (MendingLessons.REFINE, 0, 2), (MendingLessons.COMBINE, 3, 2)],
)
def test_the_kinds_of_lessons(
    tried: RoundRuns, answered: list[Lesson], kind: MendingLessons, answers: int, refinements: int
) -> None:
    lessons = mending_lessons(replace(tried, config=config(kind)), answered)
    assert [one.mends is not None for one in lessons] == [False] * answers + [True] * refinements


def test_a_wrong_program_that_is_shown_is_not_learnt(tried: RoundRuns, answered: list[Lesson]) -> None:
    lessons = mending_lessons(tried, answered)
    tokenizer = AutoTokenizer.from_pretrained(str(find_checkpoint("demo:student").folder))
    rows = examples_of(tokenizer, lessons, 0.5)
    for lesson, row in zip(lessons, rows, strict=True):
        assert isinstance(row, Row)
        assert row.weights is not None
        prompt = len(tokenizer(lesson.prompt)["input_ids"])
        assert set(row.weights[:prompt]) == {0.0 if lesson.mends else 0.5}
        assert set(row.weights[prompt:]) == {1.0}
        assert tokenizer.decode(row.tokens[prompt:-1]) == lesson.completion


def test_the_recipe_has_both_kinds() -> None:
    recipe = load_recipe("loop", "persd", LoopConfig)
    assert recipe.teacher.mending_lessons is MendingLessons.COMBINE
    tokens = {
        kind: next(
            cost.amount
            for cost in estimate(with_changes(recipe, [f"teacher.mending_lessons={kind}"]))
            if cost.what == "training tokens"
        )
        for kind in MendingLessons
    }
    assert tokens[MendingLessons.REFINE] == pytest.approx(2 * tokens[MendingLessons.ANSWER], abs=1)
    assert tokens[MendingLessons.COMBINE] == pytest.approx(1.5 * tokens[MendingLessons.ANSWER], abs=1)


def test_a_teacher_that_mends_has_a_time_limit(
    tried: RoundRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = {task.task_id: task for task in load_run(tried.folder / "tries").tasks()}

    class Slow:
        name, digest = "slow", "s" * 64

        def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
            assert settings.deadline is not None
            for place, prompt in enumerate(prompts):
                text = questions[prompt.task_id].reference[: None if place < 2 else 40]
                yield Completion(text=text, stop_reason=StopReason.TIME if place >= 2 else StopReason.STOP)

    monkeypatch.setattr("distill.round_runs.open_model", lambda name, options: Slow())
    changes = ["teacher.model=demo:teacher", "teacher.time_limit_seconds=3600"]
    shutil.copytree(tried.folder, tmp_path / "round", ignore=shutil.ignore_patterns(ANSWERS))
    runs = replace(tried, config=with_changes(config(), changes), folder=tmp_path / "round")
    assert mended(runs) == {"samples": 2, "tokens": 0, "teacher_calls": 2, "unanswered": 1}
