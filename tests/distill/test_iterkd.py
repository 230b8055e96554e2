"""The whole loop: probes, levels, questions by level, faulty sides, baselines, and teachers that are no good."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import msgspec

from distill.keep import Decision
from distill.lessons import FaultSource, read_lessons
from distill.levels import Level, read_levels
from distill.loop import Journal, LoopConfig, Machine, read_decision, run_loop, status_of
from distill.questions import choose
from distill.round import Round
from distill.task_files import read_families
from harness import (
    Completion,
    GenerationSettings,
    NoProgress,
    Outcome,
    Prompt,
    StopReason,
    Task,
    UsageError,
    load_benchmark,
    load_run,
)
from tests.distill.killing import killed_loop

pytestmark = [pytest.mark.hf, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


def config(tasks: Path, **changes: object) -> LoopConfig:
    plain: dict[str, object] = {
        "student": "demo:student",
        "teacher": {"model": "demo:teacher"},
        "tasks": str(tasks),
        "faults": {"sources": ["student", "mutation"], "mutants": 2},
        "training": {"steps": 4, "batch_size": 4, "learning_rate": 1e-4, "save_steps": 2},
        "weak_below": 0.6,
        "max_new_tokens": 160,
        **changes,
    }
    if "questions" not in changes:
        plain["questions"] = {"source": "ladder", "count": 12, "feedback": "levels"}
        plain["attempts"] = {"probes": 12, "n_samples": 2}
    return msgspec.convert(plain, LoopConfig)


def machine() -> Machine:
    return Machine(sandbox="auto", workers=2, progress=NoProgress, say=lambda text: None)


@pytest.fixture(scope="module")
def whole(few_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a loop that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole")
    run_loop(config(few_tasks), out, machine())
    return out


def test_a_round_of_iterkd(whole: Path) -> None:
    folder = whole / "rounds" / "01"
    decision = read_decision(folder)
    assert decision is not None
    assert decision.weak == ("expert",)
    (status,) = status_of(whole)
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
        source: stages["lessons"].get(f"faults_by_{source}", 0) for source in FaultSource
    }
    failures = {one.task_id for one in load_run(folder / "tries").verdicts() if not one.passed}
    own = {lesson.task_id for lesson in pairs if lesson.fault and lesson.fault.source is FaultSource.STUDENT}
    assert own <= failures


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


def test_a_teacher_that_is_not_there_changes_nothing(few_tasks: Path, measured: Path, tmp_path: Path) -> None:
    wanted = config(few_tasks, teacher={"model": str(tmp_path / "away")}, questions={"count": 8}, faults={})
    with pytest.raises(UsageError, match=r"no model .*away.* come with the harness") as raised:
        played(wanted, tmp_path / "round", measured)
    assert raised.value.exit_code == 2
    assert list(Journal(tmp_path / "round").done()) == ["questions"]  # once it is there, the round goes on
    assert not (tmp_path / "round" / "checkpoint").exists()


def test_a_recorded_round_can_be_played_again_without_the_teacher(
    few_tasks: Path, measured: Path, tmp_path: Path
) -> None:
    wanted = config(few_tasks, questions={"count": 8}, faults={})
    played(wanted, tmp_path / "live", measured)
    recorded = tmp_path / "live" / "answers" / "samples.jsonl"
    again = config(few_tasks, questions={"count": 8}, faults={}, teacher={"samples": str(recorded)})
    played(again, tmp_path / "offline", measured)
    sides = [
        [(one.prompt, one.completion) for one in read_lessons(tmp_path / name / "lessons.jsonl")]
        for name in ("live", "offline")
    ]
    assert sides[0] == sides[1]
    assert len({(tmp_path / name / "checkpoint/model.safetensors").read_bytes() for name in ("live", "offline")}) == 1


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


def test_an_oracle_as_a_teacher(few_tasks: Path, measured: Path, tmp_path: Path) -> None:
    wanted = config(few_tasks, teacher={"model": "canonical"}, questions={"count": 8}, faults={"sources": ["mutation"]})
    played(wanted, tmp_path / "round", measured)
    lessons = list(read_lessons(tmp_path / "round" / "lessons.jsonl"))
    questions = load_benchmark(str(tmp_path / "round" / "questions.jsonl")).tasks
    assert [one.prompt + one.completion for one in lessons] == [task.reference for task in questions]
    assert sum(one.fault is not None for one in lessons) >= 6


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


class Told:
    """A teacher at the harness's seam that writes what it is told to as the body of the function it is asked for."""

    name, digest = "told", "f" * 64

    def __init__(self, tasks: Sequence[Task], bodies: dict[str, str]) -> None:
        self._names = {task.task_id: task.entry_point for task in tasks}
        self._bodies = bodies
        self.asked: list[str] = []

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        for prompt in prompts:
            self.asked.append(prompt.task_id)
            text = f"```python\ndef {self._names[prompt.task_id]}(*given):\n{self._bodies[prompt.task_id]}```"
            yield Completion(text=text, stop_reason=StopReason.STOP)


def test_a_teacher_that_is_asked_for_faults(
    few_tasks: Path, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config(few_tasks, questions={"count": 8}, faults={"sources": ["teacher"]})
    questions = choose(wanted.questions, ["expert"], ["easy"], (), seed=1).tasks
    bodies = {task.task_id: "    return 'no'\n" for task in questions}
    monkeypatch.setattr("distill.round_runs.open_model", lambda name, options: Told(questions, bodies))
    _, stages = played(wanted, tmp_path / "round", measured)
    lessons = list(read_lessons(tmp_path / "round" / "lessons.jsonl"))
    assert stages["asked"]["teacher_calls"] >= len(lessons) >= 1
    for lesson in lessons:
        assert lesson.fault is not None
        assert (lesson.fault.source, lesson.fault.run) == (FaultSource.TEACHER, "asked")
        assert (lesson.fault.outcome, lesson.fault.completion) == (Outcome.FAILED, "    return 'no'\n")


def test_a_teacher_that_mends_what_the_student_got_wrong(
    few_tasks: Path, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = {"model": "demo:teacher", "mends": True, "mending_lessons": "combine"}
    wanted = config(few_tasks, teacher=teacher, questions={"count": 8}, faults={"sources": ["student"]})
    questions = choose(wanted.questions, ["expert"], ["easy"], (), seed=1).tasks
    told = Told(questions, {task.task_id: task.reference.removeprefix(task.prompt) for task in questions})
    monkeypatch.setattr("distill.round_runs.open_model", lambda name, options: told)
    _, stages = played(wanted, tmp_path / "round", measured)
    assert list(stages) == ["questions", "tries", "answers", "lessons", "train", "candidate"]
    failed = [one.task_id for one in load_run(tmp_path / "round" / "tries").verdicts() if not one.passed]
    assert told.asked == failed
    lessons = list(read_lessons(tmp_path / "round" / "lessons.jsonl"))
    assert [(one.task_id, one.prompt + one.completion) for one in lessons if not one.mends] == [
        (task.task_id, task.reference) for task in questions if task.task_id in failed
    ]
    assert stages["lessons"]["faults_by_student"] >= 1  # the wrong side of each pair is what was mended
    shown = [one for one in lessons if one.mends]
    assert len(shown) + stages["lessons"]["left_out_as_too_long"] == len(failed)
    assert all(one.fault is None and one.mends and one.mends.run == "tries" for one in shown)


DEADLY = (  # what tests/distill/test_loop.py has not: in probes, levels, mutants (twice), and training on pairs
    *("distill.round.choose_probes", "distill.levels.write_levels", "distill.fault_stages.write_mutants"),
    *("distill.fault_stages.with_faults", "distill.pairs.train"),
)


def test_killed_in_any_stage_the_whole_loop_goes_on_to_the_same_student(
    few_tasks: Path, whole: Path, tmp_path: Path
) -> None:
    wanted = config(few_tasks)
    for name in DEADLY:  # one after the other, in one folder
        killed_loop(wanted, tmp_path, name)
    (killed,) = run_loop(wanted, tmp_path, machine())
    folders = [out / "rounds" / "01" for out in (tmp_path, whole)]
    for name in ("probes.jsonl", "plan.json", "questions.jsonl", "lessons.jsonl", "checkpoint/model.safetensors"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1, name
    undisturbed = read_decision(folders[1])
    assert undisturbed is not None
    assert (killed.kept, killed.reason, killed.changes) == (
        undisturbed.kept,
        undisturbed.reason,
        undisturbed.changes,
    )
