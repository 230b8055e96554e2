"""Which lessons a round learns from: how the machine is doing has no say in it, and what is left out is counted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("transformers")

import msgspec

from distill.decontaminate import Decontamination, LeakRules
from distill.fault_stages import FaultStages
from distill.lesson_stage import DECONTAMINATION, LESSONS, learnt, why_nothing_is_learnt
from distill.lessons import LeakageError, read_lessons
from distill.likeness import Kind, Leak
from distill.loop import LoopConfig, Machine
from distill.round_runs import ANSWERS, QUESTIONS, RoundRuns
from distill.task_files import write_tasks
from distill.texts import text_of_lesson
from harness import EvalConfig, MeasurementInvalid, NoProgress, Unanswered, evaluate, ladder_train

pytestmark = pytest.mark.hf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a round's folder with three questions, right answers, and one that does not begin as its prompt."""
    made = tmp_path_factory.mktemp("round")
    questions = list(ladder_train(seed=3, count=3, tiers=("easy",)))
    write_tasks(questions, made / QUESTIONS)
    rows = [{"task_id": task.task_id, "solution": task.reference} for task in questions]
    rows.append({"task_id": questions[0].task_id, "solution": f"x = 1\n{questions[0].reference}"})
    (made / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluate(EvalConfig(tasks=(str(made / QUESTIONS),), samples=made / "s.jsonl", out=made / ANSWERS, workers=1))
    return made


def runs_of(folder: Path, **questions: object) -> RoundRuns:
    plain = {"student": "demo:student", "teacher": {"model": "t"}, "training": {"steps": 1}, "questions": questions}
    machine = Machine(progress=NoProgress, say=lambda text: None)
    config = msgspec.convert(plain, LoopConfig)
    return RoundRuns(config=config, folder=folder, student="demo:student", seed=1, machine=machine)


def finding(
    monkeypatch: pytest.MonkeyPatch, leaks: tuple[str, ...] = (), unknown: dict[str, bool] | None = None
) -> None:
    """Have the comparison find that these texts leak, and that of those it is not known, by whose doing."""
    unanswered = [
        Unanswered(name=name, task_id="T", reason="gone", machine_failed=failed)
        for name, failed in (unknown or {}).items()
    ]
    left_out = {*leaks, *(unknown or {})}

    def compare(texts: list[object], *_: object) -> Decontamination:
        names = [getattr(text, "name", "") for text in texts]
        return Decontamination(
            texts=len(texts),
            texts_digest="",
            programs=0,
            rules=LeakRules(),
            benchmarks=(),
            leaks=tuple(Leak(text=one, benchmark="b", task_id="T", kind=Kind.ID, evidence="\ud800") for one in leaks),
            weak=(),
            unanswered=tuple(unanswered),
            left_out=tuple(name for name in names if name in left_out),
        )

    monkeypatch.setattr("distill.lesson_stage.decontaminate", compare)


def names_in(folder: Path) -> list[str]:
    questions = [json.loads(line)["task_id"] for line in (folder / QUESTIONS).read_text().splitlines()]
    return [f"answers/{task_id}[0]" for task_id in questions]


def test_what_leaks_and_what_cannot_be_compared_are_counted_apart(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = names_in(folder)
    finding(monkeypatch, leaks=(first,), unknown={first: False, second: False})
    runs = runs_of(folder)
    counts = learnt(runs, FaultStages(runs))
    assert counts == {
        "lessons": 1,
        "left_out_as_leaks": 1,
        "left_out_as_not_comparable": 1,
        "left_out_as_too_long": 0,
        "left_out_as_another_prompt": 1,
    }
    assert [text_of_lesson(one).name for one in read_lessons(folder / LESSONS)] == [third]
    assert json.loads((folder / DECONTAMINATION).read_bytes())["leaks"][0]["evidence"] == "\ud800"
    with pytest.raises(LeakageError, match="gives a test away"):
        learnt(runs_of(folder, fail_on_leak=True), FaultStages(runs))


def test_a_failure_of_the_machine_leaves_no_lesson_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, _ = names_in(folder)
    for name in (LESSONS, DECONTAMINATION):
        (folder / name).unlink(missing_ok=True)
    finding(monkeypatch, leaks=(first,), unknown={second: True})
    runs = runs_of(folder, fail_on_leak=True)  # nor does it end the round as a leak
    with pytest.raises(MeasurementInvalid, match=r"1 of 3 lessons could not be compared .* Run the same command again"):
        learnt(runs, FaultStages(runs))
    assert not any((folder / name).exists() for name in (LESSONS, DECONTAMINATION))


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({"lessons": 0, "left_out_as_leaks": 0}, "no answer of org/name makes a lesson, so nothing was trained"),
        (
            {"lessons": 0, "left_out_as_leaks": 2, "left_out_as_too_long": 0, "left_out_as_not_comparable": 1},
            "every lesson was left out (2 as leaks, 1 as not comparable), so nothing was trained",
        ),
    ],
)
def test_a_round_without_lessons_says_why(counts: dict[str, int], reason: str) -> None:
    assert why_nothing_is_learnt(counts, "org/name") == reason
