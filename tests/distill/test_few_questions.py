"""Rounds whose source has few questions, or none that is left."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from distill.levels import LEVELS, Level, LevelRule, QuestionLevel, write_levels
from distill.loop import Journal, LoopConfig, Machine
from distill.round import Round
from distill.task_files import write_tasks
from harness import EvalConfig, NoProgress, evaluate, load_benchmark

MEASURED, ASKABLE = 24, 12
TEXTS = {"test": ("Return x, which is what was given to", "x"), "train": ("A number as it stands in line", "[x].pop()")}


def tasks(path: Path, tier: str, count: int, split: str) -> Path:
    said, solved = TEXTS[split]
    line = {"entry_point": "f", "canonical_solution": f"    return {solved}\n", "split": split, "tier": tier}
    rows = [
        line
        | {
            "task_id": f"{split}/{number}",
            "prompt": f'def f(x):\n    """{said} {number}."""\n',
            "test": f"def check(candidate):\n    assert candidate({number}) == {number}\n",
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run on a file of tests, in which all answers were wrong."""
    folder = tmp_path_factory.mktemp("measured")
    tests = tasks(folder / "tests.jsonl", "hard", MEASURED, "test")
    rows = [{"task_id": f"test/{number}", "completion": "    return None\n"} for number in range(MEASURED)]
    (folder / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluate(EvalConfig(tasks=(str(tests),), samples=folder / "s.jsonl", out=folder / "run", weak_below=0.6, workers=1))
    return folder


def config(measured: Path, source: Path, **questions: object) -> LoopConfig:
    plain = {
        "student": "demo:student",
        "teacher": {"samples": str(source.with_name("answers.jsonl"))},
        "tasks": str(measured / "tests.jsonl"),
        "training": {"steps": 1},
        "questions": {"source": str(source), "count": 20, **questions},
    }
    return msgspec.convert(plain, LoopConfig)


def test_a_round_with_fewer_questions_than_planned_says_so(measured: Path, tmp_path: Path) -> None:
    source = tasks(tmp_path / "q.jsonl", "hard", ASKABLE, "train")
    said: list[str] = []
    (tmp_path / "answers.jsonl").write_text("")
    machine = Machine(progress=NoProgress, say=said.append)
    Round(config(measured, source), tmp_path / "01", 1, "demo:student", machine).play(measured / "run")
    assert Journal(tmp_path / "01").done()["questions"].counts["short_of_plan"] == 8
    assert "round 1: 8 fewer than planned (hard: 12 of 20)" in said


def test_when_every_question_was_asked_there_is_nothing_to_try(measured: Path, tmp_path: Path) -> None:
    source = tasks(tmp_path / "q.jsonl", "hard", ASKABLE, "train")
    (tmp_path / "rounds" / "01").mkdir(parents=True)
    (tmp_path / "rounds" / "01" / "questions.jsonl").write_text(source.read_text())
    machine = Machine(progress=NoProgress, say=lambda text: None)
    wanted = config(measured, source, feedback="levels")
    decision = Round(wanted, tmp_path / "rounds" / "02", 2, "demo:student", machine).play(measured / "run")
    assert (decision.kept, decision.student, decision.weak) == (False, "demo:student", ("hard",))
    assert decision.reason == "no question is left that the student was not trained on, so nothing was trained"


def test_a_plan_that_asks_for_nothing_ends_the_round_and_not_the_loop(measured: Path, tmp_path: Path) -> None:
    source = tasks(tmp_path / "q.jsonl", "hard", ASKABLE, "train")
    folder = tmp_path / "01"
    folder.mkdir()
    probes = load_benchmark(str(source)).tasks[:6]
    write_tasks(probes, folder / "probes.jsonl")
    (folder / "levels").mkdir()
    hard = [
        QuestionLevel(
            task_id=task.task_id,
            level=Level.HARD,
            rule=LevelRule.PASS_RATE,
            samples=1,
            unknown=0,
            passed=0,
            tier="hard",
        )
        for task in probes
    ]
    write_levels(hard, folder / "levels" / LEVELS)
    for stage in ("probes", "attempts", "levels"):
        Journal(folder).once(stage, lambda: {"probes": len(probes)})
    machine = Machine(progress=NoProgress, say=lambda text: None)
    wanted = config(measured, source, feedback="levels", weights={"hard": 0})
    decision = Round(wanted, folder, 1, "demo:student", machine).play(measured / "run")
    assert (decision.kept, decision.student) == (False, "demo:student")
    assert "no question to train on, so nothing was trained" in decision.reason
