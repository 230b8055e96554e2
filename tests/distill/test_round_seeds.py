"""What is drawn in a round follows the loop's seed and the round; what is trained is what was measured."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import msgspec

from distill.fault_stages import FaultStages
from distill.lessons import FaultSource, Lesson, write_lessons
from distill.loop import LoopConfig, Machine
from distill.pairs import PairSettings
from distill.round import LESSONS, Round
from distill.round_runs import RoundRuns
from distill.study import StudySettings, study
from distill.training import TrainSettings
from harness import EvalConfig, NoProgress, StoreMismatch, digest_of, find_checkpoint, load_weights
from tests.distill import made_lessons

pytestmark = pytest.mark.hf
MACHINE = Machine(progress=NoProgress, say=lambda text: None)
DEMO = Path(find_checkpoint("demo:student").folder)
TRAINING = {"steps": 2, "batch_size": 1}


class ReachedError(Exception):
    """What was to be seen was seen."""


def config(**changes: object) -> LoopConfig:
    plain = {"student": "demo:student", "teacher": {"model": "demo:teacher"}, "training": TRAINING, **changes}
    return msgspec.convert(plain, LoopConfig)


def lesson(number: int, answer: str) -> Lesson:
    return made_lessons.lesson(f"def f{number}(x):\n", answer, task_id=f"T/{number}")


@pytest.mark.parametrize(
    ("changes", "number", "seed"),
    [
        ({"seed": 3}, 1, 3001),
        ({"seed": 3}, 2, 3002),
        ({"seed": 4}, 1, 4001),
        ({"seed": 3, "training": {**TRAINING, "seed": 7}}, 2, 7),
    ],
)
def test_a_training_has_the_rounds_seed_unless_it_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], number: int, seed: int
) -> None:
    seen: list[TrainSettings] = []

    def look(model: object, tokenizer: object, lessons: object, settings: StudySettings, folder: Path) -> None:
        seen.append(settings.training)
        raise ReachedError

    write_lessons([lesson(1, "    return 1\n")], tmp_path / LESSONS)
    monkeypatch.setattr("distill.round.study", look)
    with pytest.raises(ReachedError):
        Round(config(**changes), tmp_path, number, "demo:student", MACHINE)._trained(digest_of(DEMO))
    assert [one.seed for one in seen] == [seed]


def test_a_student_that_was_not_measured_is_not_trained(tmp_path: Path) -> None:
    write_lessons([lesson(1, "    return 1\n")], tmp_path / LESSONS)
    with pytest.raises(StoreMismatch, match="demo:student is another model than the one that was evaluated"):
        Round(config(), tmp_path, 1, "demo:student", MACHINE)._trained("0" * 64)
    assert [path.name for path in tmp_path.iterdir()] == [LESSONS]


def test_a_student_that_teaches_itself_does_not_write_its_answers_again_as_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, int] = {}

    def look(asked: EvalConfig, progress: object) -> None:
        seen[str(asked.model)] = asked.decoding.seed
        raise ReachedError

    monkeypatch.setattr("distill.round_runs.evaluate", look)
    for teacher in ("student", "demo:teacher"):
        given = config(teacher={"model": teacher, "temperature": 0.8}, faults={"sources": ["student"]})
        runs = RoundRuns(config=given, folder=tmp_path, student=teacher, seed=1001, machine=MACHINE)
        with pytest.raises(ReachedError):
            FaultStages(runs).find(FaultSource.STUDENT)
    assert seen["demo:teacher"] == 1001
    assert seen["student"] not in range(4_000_001_000)  # the seeds of all rounds, and those of their answers


def test_answers_count_alike_where_no_lesson_has_a_wrong_one(tmp_path: Path) -> None:
    lessons = [lesson(1, "    return 1\n"), lesson(2, "    return 'a longer answer than the other one is'\n")]
    losses = []
    for by_row in (False, True):
        loaded = load_weights(str(DEMO), "demo:student", dtype="float32", device="cpu", trust=False)
        settings = StudySettings(
            training=TrainSettings(steps=1, batch_size=2), pairs=PairSettings(by_row=by_row), prompt_weight=0.0
        )
        losses.append(study(loaded.model, loaded.tokenizer, lessons, settings, tmp_path / str(by_row)).losses[0])
    assert losses[0] != pytest.approx(losses[1], abs=1e-3)
