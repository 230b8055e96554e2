"""Faulty sides: changed answers that show nothing of the change, and only what was judged and failed."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import msgspec
import pytest

from distill.answers import Learning, lessons_of
from distill.faults import FaultsConfig, mutated, with_faults, write_mutants
from distill.lessons import Fault, FaultSource, Lesson, read_lessons, write_lessons
from distill.loop import LoopConfig
from distill.task_files import write_tasks
from distill.teaching import TeacherConfig, stored_answers
from distill.texts import text_of_lesson
from harness import EvalConfig, Outcome, Run, Task, UsageError, evaluate, ladder_train, load_run

PROMPT = 'import math\n\ndef helper(x):\n    return x\n\ndef f(n, k):\n    """Add.\n    >>> f(1, 2)\n    3\n    """\n'
BODY = "    total = n\n    for x in range(k):\n        total += x + 2\n    return total\n"


def lesson(**changes: object) -> Lesson:
    plain = {
        "task_id": "T/0",
        "sample_index": 0,
        "run": "answers",
        "split": "train",
        "tier": "easy",
        "source": "someone",
        "prompt": PROMPT,
        "completion": BODY,
    }
    return msgspec.convert(plain | changes, Lesson)


FAULT = Fault(
    source=FaultSource.MUTATION, run="mutants", sample_index=2, outcome=Outcome.FAILED, completion="    return n\n"
)


def test_changed_answers_differ_in_one_place_of_the_body_alone() -> None:
    changed = mutated(PROMPT, BODY)
    assert len(changed) == len(set(changed)) > 8
    assert "    total = n\n    for x in range(k):\n        total += x - 2\n    return total\n" in changed
    assert BODY not in changed
    for completion in changed:
        ast.parse(PROMPT + completion)
        assert completion.endswith("\n")
        assert "pass" not in completion  # nobody writes that, so it would give the change away
        ours, theirs = BODY.splitlines(), completion.splitlines()
        assert sum(one != other for one, other in zip(ours, theirs, strict=True)) == 1


@pytest.mark.parametrize(
    "completion",
    [
        "    return (n+k)\n",  # ast.unparse would write it with other blanks
        "    return n + k  # the sum\n",
        "```python\nreturn n\n```",
        "I would add them.",
        "    return n +\n",
        "",
        "    return 1\n" * 2_000,
        "    return " + "-" * 3_000 + "1\n",
    ],
)
def test_an_answer_that_is_no_plain_body_is_not_changed(completion: str) -> None:
    assert mutated(PROMPT, completion) == []


def test_nearly_all_solutions_of_the_ladder_can_be_changed() -> None:
    tasks = list(ladder_train(seed=9, count=40))
    without = [task for task in tasks if not mutated(task.prompt, task.reference.removeprefix(task.prompt))]
    assert len(without) <= 3


def test_mutants_are_written_for_a_questions_first_right_answer(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    lessons = [lesson(), lesson(sample_index=1), lesson(task_id="T/1", passed=False), lesson(task_id="T/2")]
    assert write_mutants(lessons, path, 3, seed=1) == 6
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["task_id"] for row in rows] == ["T/0"] * 3 + ["T/2"] * 3
    changed = [PROMPT + completion for completion in mutated(PROMPT, BODY)]
    assert all(row["solution"] in changed for row in rows)  # whole, so that what is judged is what is learnt
    before = path.read_bytes()
    assert write_mutants(lessons, path, 3, seed=1) == 6
    assert path.read_bytes() == before
    write_mutants(lessons, path, 3, seed=2)
    assert path.read_bytes() != before


def test_what_passes_or_was_not_judged_is_no_fault() -> None:
    for outcome in (Outcome.PASSED, Outcome.NOT_JUDGED):
        with pytest.raises(ValueError, match="no fault"):
            Fault(source=FaultSource.STUDENT, run="tries", sample_index=0, outcome=outcome, completion="x")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, tuple[Task, ...]]:
    """Return a run of three questions: right and wrong, wrong in three ways, and right alone."""
    folder = tmp_path_factory.mktemp("judged")
    tasks = tuple(ladder_train(seed=3, count=3, tiers=("easy",)))
    write_tasks(tasks, folder / "q.jsonl")
    right = [task.reference.removeprefix(task.prompt) for task in tasks]
    answers = [
        (0, "    return None\n"),
        (0, right[0]),
        (0, right[0]),
        (1, "prose"),
        (1, ""),
        (1, "    return undefined\n"),
        (2, right[2]),
    ]
    lines = [json.dumps({"task_id": tasks[place].task_id, "completion": text}) for place, text in answers]
    (folder / "s.jsonl").write_text("\n".join(lines))
    evaluate(EvalConfig(tasks=(str(folder / "q.jsonl"),), samples=folder / "s.jsonl", out=folder / "tries"))
    return load_run(folder / "tries"), tasks


def test_a_lesson_gets_a_wrong_answer_to_its_own_question(judged: tuple[Run, tuple[Task, ...]]) -> None:
    run, tasks = judged
    lessons = [lesson(task_id=task.task_id, prompt=task.prompt) for task in tasks]
    first, second, third = with_faults(lessons, run, FaultSource.STUDENT)
    assert first.fault == Fault(
        source=FaultSource.STUDENT,
        run="tries",
        sample_index=0,
        outcome=Outcome.FAILED,
        completion="    return None\n",
    )
    assert second.fault is not None
    assert second.fault.completion == "prose"
    assert third.fault is None
    assert with_faults([first], run, FaultSource.MUTATION) == [first]  # the source before keeps it
    wrong = lesson(task_id=tasks[0].task_id, passed=False)
    assert with_faults([wrong], run, FaultSource.STUDENT) == [wrong]
    same = lesson(task_id=tasks[0].task_id, prompt=tasks[0].prompt, completion="    return None\n")
    assert with_faults([same], run, FaultSource.STUDENT)[0].fault is None


def test_lessons_are_distinct_right_answers_or_all_that_say_something(judged: tuple[Run, tuple[Task, ...]]) -> None:
    run, tasks = judged
    right = list(lessons_of(run))
    assert [(one.task_id, one.sample_index) for one in right] == [(tasks[0].task_id, 1), (tasks[2].task_id, 0)]
    assert [one.prompt + one.completion for one in right] == [tasks[0].reference, tasks[2].reference]
    everything = list(lessons_of(run, Learning(right_only=False)))
    assert [one.passed for one in everything] == [False, True, False, False, True]


def test_lessons_with_faults_come_back_and_old_files_are_read(tmp_path: Path) -> None:
    lessons = [lesson(), lesson(fault=msgspec.to_builtins(FAULT)), lesson(passed=False)]
    write_lessons(lessons, tmp_path / "l.jsonl")
    assert list(read_lessons(tmp_path / "l.jsonl")) == lessons
    first = json.loads((tmp_path / "l.jsonl").read_text().splitlines()[0])
    assert list(first) == ["task_id", "sample_index", "run", "split", "tier", "source", "prompt", "completion"]


def test_a_faulty_side_is_compared_with_tests_as_well() -> None:
    text = text_of_lesson(lesson(fault=msgspec.to_builtins(FAULT)))
    assert [program.rstrip().splitlines()[-1] for program in text.programs] == ["    return total", "    return n"]
    assert text_of_lesson(lesson()).programs == text.programs[:1]


def test_stored_answers_are_those_of_the_questions(tmp_path: Path) -> None:
    lines = ['{"task_id": "a", "completion": "1"}', "", '{"task_id": "b", "completion": "2", "more": 3}']
    (tmp_path / "in.jsonl").write_text("\r\n".join(lines))
    assert stored_answers(tmp_path / "in.jsonl", tmp_path / "out.jsonl", {"b", "c"}) == 1
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {"task_id": "b", "completion": "2"}
    with pytest.raises(UsageError, match="cannot read"):
        stored_answers(tmp_path / "no.jsonl", tmp_path / "out.jsonl", {"b"})


def test_settings_that_cannot_work_are_refused() -> None:
    for wrong in ({}, {"model": "a", "samples": "b"}):
        with pytest.raises(msgspec.ValidationError, match="either a model or a file"):
            msgspec.convert(wrong, TeacherConfig)
    with pytest.raises(msgspec.ValidationError, match="several greedy samples"):
        msgspec.convert({"sources": ["student"], "n_samples": 2, "temperature": 0.0}, FaultsConfig)
    with pytest.raises(msgspec.ValidationError, match="named once"):
        msgspec.convert({"sources": ["student", "student"]}, FaultsConfig)
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value 'oracle'"):
        msgspec.convert({"sources": ["oracle"]}, FaultsConfig)
    for teacher in ({"samples": "x", "mends": True}, {"model": "student", "mends": True}):
        with pytest.raises(msgspec.ValidationError, match="a model that can be asked, or canonical"):
            msgspec.convert(teacher, TeacherConfig)
    for teacher in ({"samples": "x"}, {"model": "canonical"}):
        with pytest.raises(msgspec.ValidationError, match="for a model that writes"):
            msgspec.convert({**teacher, "time_limit_seconds": 60}, TeacherConfig)
    with pytest.raises(msgspec.ValidationError, match="time_limit_seconds is above 0"):
        msgspec.convert({"model": "m", "time_limit_seconds": 0}, TeacherConfig)
    with pytest.raises(msgspec.ValidationError, match="refine needs a teacher that mends"):
        msgspec.convert({"model": "canonical", "mending_lessons": "refine"}, TeacherConfig)
    plain = {"student": "s", "training": {"steps": 1}, "faults": {"sources": ["teacher"]}}
    for teacher in ({"samples": "x"}, {"model": "student"}, {"model": "canonical"}):
        with pytest.raises(msgspec.ValidationError, match="a model for a teacher that can be asked"):
            msgspec.convert({**plain, "teacher": teacher}, LoopConfig)
