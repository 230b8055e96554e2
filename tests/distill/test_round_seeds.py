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
from distill.lesson_stage import DECONTAMINATION, LESSONS
from distill.lessons import FaultSource, Lesson, write_lessons
from distill.loop import Journal, LoopConfig, Machine
from distill.round import CONTAMINATION, Round
from distill.round import TRAINING as OPTIMIZERS
from distill.round_runs import RoundRuns
from distill.study import study
from distill.training import TrainSettings
from distill.training_stage import trained
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


def runs(wanted: LoopConfig, folder: Path, number: int) -> RoundRuns:
    """Return what the stages of a round share."""
    seed = wanted.seed * 1000 + number
    return RoundRuns(config=wanted, folder=folder, student="demo:student", seed=seed, machine=MACHINE)


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

    def look(model: object, tokenizer: object, lessons: object, config: LoopConfig, *_: object) -> None:
        seen.append(config.training)
        raise ReachedError

    write_lessons([lesson(1, "    return 1\n")], tmp_path / LESSONS)
    monkeypatch.setattr("distill.training_stage.study", look)
    with pytest.raises(ReachedError):
        trained(runs(config(**changes), tmp_path, number), digest_of(DEMO))
    assert [one.seed for one in seen] == [seed]


def test_a_student_that_was_not_measured_is_not_trained(tmp_path: Path) -> None:
    write_lessons([lesson(1, "    return 1\n")], tmp_path / LESSONS)
    with pytest.raises(StoreMismatch, match="demo:student is another model than the one that was evaluated"):
        trained(runs(config(), tmp_path, 1), "0" * 64)
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
        wanted = config(training={"steps": 1, "batch_size": 2}, pairs={"by_row": by_row})
        losses.append(study(loaded.model, loaded.tokenizer, lessons, wanted, tmp_path / str(by_row)).losses[0])
    assert losses[0] != pytest.approx(losses[1], abs=1e-3)


@pytest.mark.slow
def test_killed_while_it_clears_up_behind_a_training_a_round_goes_on(
    measured: Path, few_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config(tasks=str(few_tasks), weak_below=0.6, teacher={"samples": "none.jsonl"})
    journal = Journal(tmp_path)
    for name in ("questions", "answers", "lessons"):
        journal.once(name, lambda: {"questions": 1, "lessons": 1})
    write_lessons([lesson(1, "    return 1\n")], tmp_path / LESSONS)
    for name in (CONTAMINATION, DECONTAMINATION):
        (tmp_path / name).write_text("{}")

    def die_halfway(folder: Path, **_: object) -> None:
        weights = list(folder.rglob("model.safetensors"))
        assert weights
        for path in weights:
            path.unlink()
        raise ReachedError

    def look(asked: EvalConfig, progress: object) -> None:
        raise ReachedError(asked.out.name)

    monkeypatch.setattr("distill.round_runs.evaluate", look)
    with monkeypatch.context() as dying:
        dying.setattr("distill.round.rmtree", die_halfway)
        with pytest.raises(ReachedError):
            Round(wanted, tmp_path, 1, "demo:student", MACHINE).play(measured)
    with pytest.raises(ReachedError, match="candidate"):
        Round(wanted, tmp_path, 1, "demo:student", MACHINE).play(measured)
    assert not (tmp_path / OPTIMIZERS).exists()
