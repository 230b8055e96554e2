"""The whole loop: probes, levels, questions by level, faulty sides, baselines, and teachers that are no good."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import msgspec

from distill.keep import Decision
from distill.lessons import FaultSource, read_lessons
from distill.levels import Level, read_levels
from distill.loop import Journal, LoopConfig, Machine, run_loop, status_of
from distill.questions import choose, read_families
from distill.round import Round
from harness import EvalConfig, NoProgress, Outcome, Task, UsageError, evaluate, load_benchmark, load_run
from harness.benchmarks.ladder.rungs import SHIPPED

pytestmark = [pytest.mark.hf, pytest.mark.slow]


@pytest.fixture(scope="module")
def few_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 20 easy and 20 expert tasks of the ladder, with their tiers."""
    rows = [json.loads(line) for line in SHIPPED.read_text(encoding="ascii").splitlines()]
    chosen = [row for tier in ("easy", "expert") for row in [one for one in rows if one["tier"] == tier][:20]]
    path = tmp_path_factory.mktemp("tasks") / "few.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="ascii")
    return path


def config(tasks: Path, **changes: object) -> LoopConfig:
    plain = {
        "student": "demo:student",
        "teacher": {"model": "demo:teacher"},
        "tasks": str(tasks),
        "questions": {"source": "ladder", "count": 12, "feedback": "levels"},
        "attempts": {"probes": 12, "n_samples": 2},
        "faults": {"sources": ["student", "mutation"], "mutants": 2},
        "training": {"steps": 4, "batch_size": 4, "learning_rate": 1e-4, "save_steps": 2},
        "weak_below": 0.6,
        "max_new_tokens": 160,
        **changes,
    }
    return msgspec.convert(plain, LoopConfig)


def machine() -> Machine:
    return Machine(sandbox="auto", workers=2, progress=NoProgress, say=lambda text: None)


def test_a_round_of_iterkd(few_tasks: Path, tmp_path: Path) -> None:
    (decision,) = run_loop(config(few_tasks), tmp_path, machine())
    assert decision.weak == ("expert",)
    folder = tmp_path / "rounds" / "01"
    (status,) = status_of(tmp_path)
    stages = {stage.stage: stage.counts for stage in status.stages}
    assert list(stages) == [
        *("evaluate", "probes", "attempts", "levels", "questions", "answers", "tries", "mutants", "lessons"),
        *("train", "candidate"),
    ]

    # The student tries what it is not trained on, and its levels say what is asked.
    probes, questions = (load_benchmark(str(folder / name)).tasks for name in ("probes.jsonl", "questions.jsonl"))
    assert [task.tier for task in probes] == ["easy"] * 6 + ["expert"] * 6
    assert {task.prompt for task in probes}.isdisjoint(task.prompt for task in questions)
    assert stages["attempts"]["samples"] == 24
    levels = list(read_levels(folder / "levels" / "levels.jsonl"))
    assert [one.task_id for one in levels] == [task.task_id for task in probes]
    assert sum(stages["levels"][level] for level in Level) == 12
    families = read_families(folder / "questions.jsonl")
    assert len(families) == len(questions)
    plan = json.loads((folder / "plan.json").read_text())
    assert sum(part["count"] for part in plan) == 12
    probed = read_families(folder / "probes.jsonl")
    failed = {probed[one.task_id] for one in levels if one.level is Level.HARD}
    drilled = {part["families"][0]: part["count"] for part in plan if part["why"] == "more of the same kind"}
    assert failed
    assert all(drilled[family] for family in failed)

    # Correct sides pass, faulty ones fail, each by a verdict that is there.
    lessons = list(read_lessons(folder / "lessons.jsonl"))
    pairs = [lesson for lesson in lessons if lesson.fault]
    assert pairs
    for lesson in pairs:
        assert lesson.fault is not None
        verdicts = {(one.task_id, one.sample_index): one for one in load_run(folder / lesson.fault.run).verdicts()}
        verdict = verdicts[lesson.task_id, lesson.fault.sample_index]
        assert verdict.outcome is lesson.fault.outcome
        assert verdict.outcome not in (Outcome.PASSED, Outcome.NOT_JUDGED)
        assert lesson.fault.completion != lesson.completion
    sources = [lesson.fault.source for lesson in pairs if lesson.fault]
    assert {source: sources.count(source) for source in FaultSource} == {
        source: stages["lessons"][f"faults_by_{source}"] for source in FaultSource
    }
    failures = {one.task_id for one in load_run(folder / "tries").verdicts() if not one.passed}
    own = {lesson.task_id for lesson in pairs if lesson.fault and lesson.fault.source is FaultSource.STUDENT}
    assert own <= failures


@pytest.fixture(scope="module")
def measured(few_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of the student, so that rounds need not begin with one."""
    out = tmp_path_factory.mktemp("measured") / "student"
    evaluate(EvalConfig(tasks=(str(few_tasks),), out=out, model="demo:student", weak_below=0.6))
    return out


def played(wanted: LoopConfig, folder: Path, measured: Path) -> tuple[Decision, dict[str, dict[str, int]]]:
    """Play a round behind a run that is there, and return its decision and what its stages counted."""
    decision = Round(wanted, folder, 1, "demo:student", machine()).play(measured)
    return decision, {name: stage.counts for name, stage in Journal(folder).done().items()}


def of_a_file(tasks: Path, answers: Path, **changes: object) -> LoopConfig:
    """Return a plain loop with a teacher whose answers were written down."""
    plain = {"questions": {"count": 8, "replay": 0}, "faults": {}, "teacher": {"samples": str(answers)}}
    return config(tasks, **plain, **changes)


def answer_file(path: Path, wanted: LoopConfig, answers: Sequence[str | None]) -> list[Task]:
    """Write an answer to each question of the round, the right one for None, and return the questions."""
    questions = choose(wanted.questions, ["expert"], ["easy"], (), seed=1).tasks
    with path.open("w") as out:
        for task, answer in zip(questions, itertools.cycle(answers)):
            right = task.reference.removeprefix(task.prompt)
            row = {"task_id": task.task_id, "completion": right if answer is None else answer}
            out.write(json.dumps(row) + "\n")
    return list(questions)


HOSTILE = "    import os, signal\n    os.kill(os.getppid(), signal.SIGKILL)\n    while True: os.fork()\n"
TAMPERING = "    class Same:\n        def __eq__(self, other): return True\n    return Same()\n"
BAD = [
    pytest.param("    return 'no'\n", id="wrong"),
    pytest.param("I would first look at the rows, and then add them up.", id="prose"),
    pytest.param(HOSTILE, id="hostile"),
    pytest.param(TAMPERING, id="tampering"),
    pytest.param("", id="nothing"),
    pytest.param("\x00\ud800```python\n", id="garbage"),
]


@pytest.mark.parametrize("answer", BAD)
def test_a_teacher_without_a_right_answer_changes_nothing(
    few_tasks: Path, measured: Path, tmp_path: Path, answer: str
) -> None:
    wanted = of_a_file(few_tasks, tmp_path / "answers.jsonl")
    answer_file(tmp_path / "answers.jsonl", wanted, [answer])
    decision, stages = played(wanted, tmp_path / "round", measured)
    assert (decision.kept, decision.student, decision.run) == (False, "demo:student", str(measured))
    assert "makes a lesson, so nothing was trained" in decision.reason
    assert stages["answers"]["samples"] == 8
    assert stages["lessons"]["lessons"] == 0
    assert not (tmp_path / "round" / "checkpoint").exists()


def test_a_teacher_that_answers_no_question_changes_nothing(few_tasks: Path, measured: Path, tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text('{"task_id": "another", "completion": "x"}\n')
    decision, stages = played(of_a_file(few_tasks, tmp_path / "answers.jsonl"), tmp_path / "round", measured)
    assert (decision.kept, decision.student) == (False, "demo:student")
    assert stages["answers"] == {"samples": 0, "tokens": 0, "teacher_calls": 0}
    for line in ("prose", '{"task_id": "a"}', '{"task_id": "a", "solution": "x"}', '{"completion": "x"}'):
        (tmp_path / "answers.jsonl").write_text(line)
        with pytest.raises(UsageError, match=r"answers.jsonl, line 1"):
            played(of_a_file(few_tasks, tmp_path / "answers.jsonl"), tmp_path / "other", measured)


def test_right_answers_among_bad_ones_are_learnt_alone_and_all_where_nothing_is_filtered(
    few_tasks: Path, measured: Path, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.jsonl"
    wanted = of_a_file(few_tasks, answers)
    questions = answer_file(answers, wanted, [None, HOSTILE, "", "prose"])
    _, stages = played(wanted, tmp_path / "filtered", measured)
    lessons = list(read_lessons(tmp_path / "filtered" / "lessons.jsonl"))
    assert [(one.task_id, one.prompt + one.completion) for one in lessons] == [
        (task.task_id, task.reference) for task in questions[::4]
    ]
    assert {one.source for one in lessons} == {"stored.jsonl"}
    assert stages["answers"]["teacher_calls"] == 0

    everything = msgspec.structs.replace(wanted, filter_answers=False)
    played(everything, tmp_path / "unfiltered", measured)
    lessons = list(read_lessons(tmp_path / "unfiltered" / "lessons.jsonl"))
    assert [one.passed for one in lessons] == [True, False, False] * 2  # an empty answer says nothing
    assert lessons[0] == next(iter(read_lessons(tmp_path / "filtered" / "lessons.jsonl")))


def test_a_student_that_teaches_itself(few_tasks: Path, measured: Path, tmp_path: Path) -> None:
    wanted = config(
        few_tasks,
        teacher={"model": "student", "n_samples": 2, "temperature": 0.8},
        questions={"count": 8, "feedback": "none"},
        faults={},
    )
    _, stages = played(wanted, tmp_path / "round", measured)
    assert stages["answers"] == {**stages["answers"], "samples": 16, "teacher_calls": 0}
    lessons = list(read_lessons(tmp_path / "round" / "lessons.jsonl"))
    assert {one.source for one in lessons} == {"demo:student"}
