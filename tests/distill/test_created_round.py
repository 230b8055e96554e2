"""Rounds of the loop on questions that a teacher writes: from seeds to a decision, and killed in any of its stages."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import msgspec
from click.testing import CliRunner

from distill.command import distill
from distill.created import read_created
from distill.created_stages import CREATED, PROGRAMS, TEXTS, CreatedStages
from distill.created_text import Fate
from distill.lessons import read_lessons
from distill.levels import Level
from distill.loop import CONFIG, Journal, LoopConfig, Machine
from distill.round import Round
from distill.round_runs import RoundRuns
from distill.task_files import read_families
from harness import Completion, GenerationSettings, NoProgress, Prompt, load_benchmark, load_run
from tests.distill.killing import die, killed
from tests.distill.test_created import runs
from tests.distill.writing_teacher import Told, WritingTeacher, ladder_script

pytestmark = [pytest.mark.hf, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


def config(tasks: Path) -> LoopConfig:
    plain = {
        "student": "demo:student",
        "teacher": {"model": "demo:teacher"},
        "tasks": str(tasks),
        "questions": {"count": 8, "feedback": "levels", "created": {"per_seed": {"easy": 1}}},
        "attempts": {"probes": 6, "n_samples": 1, "temperature": 0},
        "training": {"steps": 2, "batch_size": 4, "learning_rate": 1e-4},
        "weak_below": 0.6,
        "max_new_tokens": 160,
    }
    return msgspec.convert(plain, LoopConfig)


def test_a_round_on_questions_that_a_teacher_writes(
    few_tasks: Path, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = WritingTeacher(ladder_script(6))
    monkeypatch.setattr("distill.round_runs.open_model", lambda name, options: teacher)
    folder = tmp_path / "rounds" / "01"
    machine = Machine(workers=2, progress=NoProgress, say=lambda text: None)
    decision = Round(config(few_tasks), folder, 1, "demo:student", machine).play(measured)
    stages = {name: stage.counts for name, stage in Journal(folder).done().items()}
    assert list(stages) == [
        *("probes", "attempts", "levels", "created", "programs", "agreement", "questions"),
        *("answers", "lessons", "train", "candidate"),
    ]
    assert stages["created"] == {"teacher_calls": 6, "tokens": 60, "written": 6}
    assert stages["programs"] == {"teacher_calls": 30, "tokens": 300}
    assert stages["agreement"] == {"programs": 30, "accepted": 6}

    # Every question has its seed's tier and kind, the level of its seed, and is what answers are judged by.
    records = read_created(folder / CREATED)
    probes, questions = (load_benchmark(str(folder / name)).tasks for name in ("probes.jsonl", "questions.jsonl"))
    assert [task.prompt for task in questions] == [record.prompt for record in records]
    assert {record.agreement for record in records} == {0.8}
    tiers, families = {task.task_id: task.tier for task in probes}, read_families(folder / "probes.jsonl")
    for record, task in zip(records, questions, strict=True):
        assert (task.tier, task.split) == (tiers[record.seed], "train")
        assert read_families(folder / "questions.jsonl")[task.task_id] == families[record.seed]
    easy = {record.task_id for record in records if record.level is Level.EASY}
    assert {prompt.task_id for prompt in teacher.asked if "rarer than" in prompt.text} == easy
    assert {one.task_id for one in load_run(folder / "answers").verdicts()} == {record.task_id for record in records}

    lessons = list(read_lessons(folder / "lessons.jsonl"))
    passed = {one.task_id for one in load_run(folder / "answers").verdicts() if one.passed}
    assert passed
    assert {lesson.task_id for lesson in lessons} <= passed
    assert (folder / "checkpoint" / "distill.json").is_file()
    assert decision.student == (str(folder / "checkpoint") if decision.kept else "demo:student")
    (tmp_path / CONFIG).touch()
    shown = CliRunner().invoke(distill, ["status", str(tmp_path)]).output
    assert "30 teacher calls, 300 tokens" in shown
    assert "30 programs, 6 accepted" in shown


def test_a_teacher_that_writes_no_question_changes_nothing(
    few_tasks: Path, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = WritingTeacher([Told(text="I would ask for a sum."), Told(text=None)])
    monkeypatch.setattr("distill.round_runs.open_model", lambda name, options: teacher)
    folder = runs(tmp_path / "01", few_tasks, 4).folder
    for name in ("probes", "attempts", "levels"):
        Journal(folder).once(name, lambda: {"probes": 4})
    machine = Machine(workers=2, progress=NoProgress, say=lambda text: None)
    decision = Round(config(few_tasks), folder, 1, "demo:student", machine).play(measured)
    assert (decision.kept, decision.student, decision.run) == (False, "demo:student", str(measured))
    assert "no question" in decision.reason
    assert {record.fate for record in read_created(folder / CREATED)} == {Fate.NO_FUNCTION}
    assert "answers" not in Journal(folder).done()


class Mortal(WritingTeacher):
    """Is killed when it is asked for a text: the place of the question, and which of its texts."""

    def __init__(self, last: tuple[int, int] | None) -> None:
        super().__init__(ladder_script(8))
        self._last = last and (f"Created/1001-{last[0]}", last[1])

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        if self._last in {(prompt.task_id, prompt.sample_index) for prompt in prompts}:
            die()
        yield from super().generate(prompts, settings)


def write_questions(config: LoopConfig, folder: Path, last: tuple[int, int] | None = None, where: str = "") -> None:
    """Play the stages that make questions; killed at a teacher's text, or where a function is called."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distill.asking.BATCH", 3)
        patch.setattr("distill.round_runs.open_model", lambda name, options: Mortal(last))
        if where:
            patch.setattr(f"distill.created_stages.{where}", die)
        machine = Machine(progress=NoProgress, say=lambda text: None)
        of = RoundRuns(config=config, folder=folder, student="demo:student", seed=1001, machine=machine)
        assert config.questions.created is not None
        stages, journal = CreatedStages(of, config.questions.created), Journal(folder)
        for name, work in (("created", stages.write), ("programs", stages.solve), ("agreement", stages.agree)):
            journal.once(name, work)


DEADLY: tuple[tuple[tuple[int, int] | None, str], ...] = (
    ((5, 0), ""),
    ((4, 3), ""),
    (None, "agreement_of"),
    (None, "write_created"),
)


def test_killed_in_any_stage_the_questions_are_the_same(few_tasks: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name / "01" for name in ("killed", "whole")]
    wanted = config(few_tasks)
    for folder in folders:
        runs(folder, few_tasks, 8)
    for deadly in DEADLY:
        killed(write_questions, wanted, folders[0], *deadly)
    for folder in folders:
        write_questions(wanted, folder)
    for name in (TEXTS, PROGRAMS, CREATED):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1, name
    assert len(read_created(folders[0] / CREATED)) == 8
    assert len({str([one.counts for one in Journal(folder).done().values()]) for folder in folders}) == 1
