"""Rounds with a teacher that takes too long, fails in the middle, or says nothing: the student is never the worse."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import msgspec

from distill.fault_stages import FaultStages
from distill.faults import FaultsConfig
from distill.keep import Decision
from distill.lessons import FaultSource, read_lessons
from distill.loop import Journal, LoopConfig, Machine
from distill.questions import choose
from distill.round import Round
from distill.round_runs import ANSWERS, QUESTIONS, RoundRuns
from distill.task_files import write_tasks
from harness import (
    Completion,
    EvalConfig,
    GenerationSettings,
    Model,
    ModelOptions,
    ModelUnavailable,
    NoProgress,
    Prompt,
    StopReason,
    Task,
    evaluate,
    find_checkpoint,
)
from harness import backends as harness_backends

pytestmark = [pytest.mark.hf, pytest.mark.slow]


@dataclass
class Teacher:
    """A teacher at the harness's seam that knows the answers, and gives as many as it is told to.

    Then it is `late`, as one whose time is up, or it is gone.
    """

    questions: Sequence[Task]
    answers: int
    late: bool = True
    asked: list[str] = field(default_factory=list)
    name: str = "teacher"
    digest: str = "d" * 64
    runtime: dict[str, str] = field(default_factory=dict)

    def versions(self) -> dict[str, str]:
        return {}

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        bodies = {task.task_id: task.reference.removeprefix(task.prompt) for task in self.questions}
        for place, prompt in enumerate(prompts):
            if place < self.answers:
                self.asked.append(prompt.task_id)
                yield Completion(text=bodies[prompt.task_id], stop_reason=StopReason.STOP, completion_tokens=3)
            elif self.late:
                assert settings.deadline is not None
                yield Completion(text=bodies[prompt.task_id][:9], stop_reason=StopReason.TIME, completion_tokens=2)
            else:
                raise ModelUnavailable("the teacher is gone.")


Load = Callable[[Teacher], None]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return what has the model called `teacher` be that one; others are loaded as ever."""
    real = harness_backends._load

    def loads(teacher: Teacher) -> None:
        def opened(name: str, options: harness_backends.ModelOptions) -> Model:
            return teacher if name == "teacher" else real(name, options)

        monkeypatch.setattr("harness.backends._load", opened)

    return loads


def config(tasks: Path, **teacher: object) -> LoopConfig:
    plain = {
        "student": "demo:student",
        "teacher": {"model": "teacher", **teacher},
        "tasks": str(tasks),
        "questions": {"source": "ladder", "count": 8, "replay": 0},
        "training": {"steps": 2, "batch_size": 4, "learning_rate": 1e-4},
        "weak_below": 0.6,
        "max_new_tokens": 160,
    }
    return msgspec.convert(plain, LoopConfig)


def questions_of(wanted: LoopConfig) -> tuple[Task, ...]:
    return choose(wanted.questions, ["expert"], ["easy"], (), seed=1).tasks


def played(wanted: LoopConfig, folder: Path, measured: Path) -> tuple[Decision, dict[str, dict[str, int]]]:
    machine = Machine(progress=NoProgress, say=lambda text: None)
    decision = Round(wanted, folder, 1, "demo:student", machine).play(measured)
    return decision, {name: stage.counts for name, stage in Journal(folder).done().items()}


def test_what_a_slow_teacher_has_answered_is_learnt(
    few_tasks: Path, measured: Path, tmp_path: Path, load: Load
) -> None:
    wanted = config(few_tasks, time_limit_seconds=3600)
    questions = questions_of(wanted)
    teacher = Teacher(questions=questions, answers=3)
    load(teacher)
    decision, stages = played(wanted, tmp_path / "round", measured)
    assert stages["answers"] == {"samples": 3, "tokens": 9, "teacher_calls": 3, "unanswered": 5}
    lessons = list(read_lessons(tmp_path / "round" / "lessons.jsonl"))
    assert [(one.task_id, one.prompt + one.completion) for one in lessons] == [
        (task.task_id, task.reference) for task in questions[:3]
    ]
    assert "train" in stages
    # What is done is not asked for again.
    assert played(wanted, tmp_path / "round", measured) == (decision, stages)
    assert teacher.asked == [task.task_id for task in questions[:3]]


def test_a_teacher_that_answers_nothing_in_time_changes_nothing(
    few_tasks: Path, measured: Path, tmp_path: Path, load: Load
) -> None:
    wanted = config(few_tasks, time_limit_seconds=3600)
    load(Teacher(questions=questions_of(wanted), answers=0))
    decision, stages = played(wanted, tmp_path / "round", measured)
    assert stages["answers"] == {"samples": 0, "tokens": 0, "teacher_calls": 0, "unanswered": 8}
    assert (decision.kept, decision.student, decision.run) == (False, "demo:student", str(measured))
    assert "makes a lesson, so nothing was trained" in decision.reason
    assert not (tmp_path / "round" / "checkpoint").exists()


def test_a_teacher_that_fails_in_the_middle_is_asked_for_the_rest_later(
    few_tasks: Path, measured: Path, tmp_path: Path, load: Load
) -> None:
    wanted = config(few_tasks)
    questions = questions_of(wanted)
    load(Teacher(questions=questions, answers=3, late=False))
    folder = tmp_path / "round"
    with pytest.raises(ModelUnavailable, match=r"answers: the teacher is gone\. The student is as it was") as raised:
        played(wanted, folder, measured)
    assert "run the same command again to go on" in str(raised.value)
    assert raised.value.exit_code == 2
    assert list(Journal(folder).done()) == ["questions"]
    assert not (folder / "checkpoint").exists()
    written = (folder / "answers" / "samples.jsonl").read_bytes()
    assert written.count(b"\n") == 3

    back = Teacher(questions=questions, answers=8, late=False)
    load(back)
    _, stages = played(wanted, folder, measured)
    assert back.asked == [task.task_id for task in questions[3:]]
    assert (folder / "answers" / "samples.jsonl").read_bytes().startswith(written)
    assert stages["answers"] == {"samples": 8, "tokens": 24, "teacher_calls": 8}
    assert stages["lessons"]["lessons"] == 8


def test_a_teacher_that_cannot_be_loaded_stops_the_round_where_it_is(
    few_tasks: Path, measured: Path, tmp_path: Path
) -> None:
    shutil.copytree(find_checkpoint("demo:teacher").folder, tmp_path / "teacher")
    weights = tmp_path / "teacher" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    wanted = config(few_tasks, model=str(tmp_path / "teacher"))
    with pytest.raises(ModelUnavailable, match="run the same command again to go on") as raised:
        played(wanted, tmp_path / "round", measured)
    assert (raised.value.exit_code, "\n" in str(raised.value)) == (2, False)
    assert list(Journal(tmp_path / "round").done()) == ["questions"]
    assert not (tmp_path / "round" / "checkpoint").exists()


def test_a_teacher_that_is_asked_for_faults_has_the_same_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = config(tmp_path / "unused", time_limit_seconds=3600)
    wanted = msgspec.structs.replace(wanted, faults=FaultsConfig(sources=(FaultSource.TEACHER,)))
    questions = questions_of(wanted)
    write_tasks(questions, tmp_path / QUESTIONS)
    evaluate(EvalConfig(tasks=(str(tmp_path / QUESTIONS),), out=tmp_path / ANSWERS, model="canonical"))
    opened: list[float] = []

    class Writes:
        name, digest = "writes", "w" * 64

        def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
            assert settings.deadline is not None
            assert settings.deadline >= opened[0] + 3600  # loading it takes none of its time
            names = {task.task_id: task.entry_point for task in questions}
            for place, prompt in enumerate(prompts):
                text = f"def {names[prompt.task_id]}(*given):\n    return 'no'\n"
                yield Completion(text=text, stop_reason=StopReason.TIME if place >= 2 else StopReason.STOP)

    def open_slowly(name: str, options: ModelOptions) -> Model:
        time.sleep(0.05)
        opened.append(time.monotonic())
        return Writes()

    monkeypatch.setattr("distill.round_runs.open_model", open_slowly)
    machine = Machine(progress=NoProgress, say=lambda text: None)
    runs = RoundRuns(config=wanted, folder=tmp_path, student="demo:student", seed=1, machine=machine)
    counts = FaultStages(runs).find(FaultSource.TEACHER)
    assert counts == {"samples": 2, "tokens": 0, "teacher_calls": 2, "unanswered": 6}
