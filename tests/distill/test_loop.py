"""The loop with the embedded models on a few of the ladder's tasks: what it trains on, what it decides, and kills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import msgspec
from click.testing import CliRunner, Result

from distill.command import distill
from distill.config import load_file, load_recipe, shipped, with_changes
from distill.estimate import estimate
from distill.keep import Decision, KeepRule, decide
from distill.lessons import LeakageError, read_lessons, write_lessons
from distill.loop import CONFIG, Journal, LoopConfig, Machine, read_decision, run_loop, status_of
from distill.questions import QuestionsConfig, choose
from distill.round import flagged
from distill.task_files import write_tasks
from harness import MeasurementInvalid, NoProgress, Report, UsageError, find_leaks, load_benchmark, load_run
from tests.distill.killing import killed_loop
from tests.distill.made_lessons import lesson

pytestmark = pytest.mark.hf
ROOT = Path(__file__).resolve().parents[2]


def config(tasks: Path, **changes: object) -> LoopConfig:
    plain = {
        "student": "demo:student",
        "teacher": {"model": "demo:teacher"},
        "tasks": str(tasks),
        "questions": {"source": "ladder", "count": 24, "replay": 0.25},
        "training": {"steps": 6, "batch_size": 4, "learning_rate": 1e-4, "save_steps": 2},
        "weak_below": 0.6,
        **changes,
    }
    return msgspec.convert(plain, LoopConfig)


def machine(said: list[str] | None = None) -> Machine:
    return Machine(sandbox="auto", workers=2, progress=NoProgress, say=(said if said is not None else []).append)


LESSON = lesson()


def test_a_lesson_of_a_test_task_cannot_be_made() -> None:
    with pytest.raises(LeakageError, match="split 'test'"):
        lesson(split="test")


def test_lessons_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_lessons([LESSON], tmp_path / "l.jsonl")
    assert list(read_lessons(tmp_path / "l.jsonl")) == [LESSON]
    with (tmp_path / "l.jsonl").open("a") as out:
        out.write('{"task_id": 3}\n')
    with pytest.raises(UsageError, match="line 2"):
        list(read_lessons(tmp_path / "l.jsonl"))


def test_questions_are_of_the_weak_tiers_and_a_share_of_the_others(few_tasks: Path) -> None:
    tests = load_benchmark(str(few_tasks)).tasks
    chosen = choose(QuestionsConfig(count=40, replay=0.25), ["hard", "expert"], ["easy"], tests, seed=3)
    tiers = [task.tier for task in chosen.tasks]
    assert [tiers.count(tier) for tier in ("hard", "expert", "easy")] == [15, 15, 10]
    assert len({task.task_id for task in chosen.tasks}) == 40
    assert {task.split for task in chosen.tasks} == {"train"}
    assert find_leaks(chosen.tasks, tests) == []
    again = choose(QuestionsConfig(count=40, replay=0.25), ["hard", "expert"], ["easy"], tests, seed=4)
    assert {task.prompt for task in again.tasks} != {task.prompt for task in chosen.tasks}


def test_a_file_of_tests_is_no_source_of_questions(few_tasks: Path, tmp_path: Path) -> None:
    tests = load_benchmark(str(few_tasks)).tasks
    with pytest.raises(LeakageError, match="not marked as a task to train on"):
        choose(QuestionsConfig(source=str(few_tasks), count=4), ["expert"], [], tests, seed=1)
    marked = tmp_path / "marked.jsonl"
    rows = [json.loads(line) | {"split": "train"} for line in few_tasks.read_text().splitlines()]
    marked.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(LeakageError, match="is a task of the test set"):
        choose(QuestionsConfig(source=str(marked), count=4), ["expert"], [], tests, seed=1)
    renamed = [row | {"task_id": f"Mine/{place}"} for place, row in enumerate(rows)]
    marked.write_text("".join(json.dumps(row) + "\n" for row in renamed))
    chosen = choose(QuestionsConfig(source=str(marked), count=4), ["expert"], [], tests, seed=1)
    assert chosen.tasks == ()  # each is a test under another name
    assert len({leak.task_id for leak in chosen.leaks}) == 4
    with pytest.raises(UsageError, match="no questions of the tier hard"):
        choose(QuestionsConfig(source=str(marked), count=4), ["hard"], [], tests, seed=1)


def test_written_questions_are_the_same_tasks_when_read(few_tasks: Path, tmp_path: Path) -> None:
    chosen = choose(QuestionsConfig(count=6, replay=0), ["expert"], [], (), seed=1).tasks
    write_tasks(chosen, tmp_path / "q.jsonl")
    assert load_benchmark(str(tmp_path / "q.jsonl")).tasks == chosen


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A loop that nobody disturbed: its folder, what it said, and the decision of its only round."""

    out: Path
    said: list[str]
    decision: Decision


@pytest.fixture(scope="module")
def whole(few_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    out, said = tmp_path_factory.mktemp("whole"), []
    (decision,) = run_loop(config(few_tasks), out, machine(said))
    return Whole(out=out, said=said, decision=decision)


@pytest.mark.slow
def test_a_round_trains_on_right_answers_alone_and_decides_by_the_held_back_half(whole: Whole) -> None:
    decision, said = whole.decision, whole.said
    folder = whole.out / "rounds" / "01"
    assert decision.weak == ("expert",)
    assert any("weak by their tune half: expert" in text for text in said)

    answers = load_run(folder / "answers")
    right = {(one.task_id, one.sample_index) for one in answers.verdicts() if one.passed}
    lessons = list(read_lessons(folder / "lessons.jsonl"))
    assert {(one.task_id, one.sample_index) for one in lessons} <= right
    assert {one.split for one in lessons} == {"train"}
    assert {one.tier for one in lessons} == {"easy", "expert"}
    assert {one.source for one in lessons} == {"demo:teacher"}

    assert not (folder / "training").exists()  # the optimizer's state is as large as the model, and of no use any more
    origin = json.loads((folder / "checkpoint" / "distill.json").read_text())
    assert origin["parent"] == "demo:student"
    assert origin["contamination"]["tests_digest"] == load_run(folder / "student").config.dataset_digest

    before, after = (load_run(folder / name).baseline() for name in ("student", "candidate"))
    assert (decision.kept, decision.reason, decision.changes) == decide(before, after, ["expert"], KeepRule())
    assert {change.subject: change.tasks for change in decision.changes} == {
        "easy": 10,
        "expert": 10,
        "weak tiers": 10,
        "all": 20,
    }
    assert decision.student == (str(folder / "checkpoint") if decision.kept else "demo:student")
    board = (whole.out / "leaderboard" / "leaderboard.json").read_text()
    assert all(json.dumps(model) in board for model in ("demo:student", str(folder / "checkpoint")))
    assert any("leaderboard/index.html" in text for text in said)

    (status,) = status_of(whole.out)
    names = [stage.stage for stage in status.stages]
    assert names == ["evaluate", "questions", "answers", "lessons", "train", "candidate"]
    assert dict(zip(names, status.stages, strict=True))["answers"].counts["teacher_calls"] == 24
    shown = CliRunner().invoke(distill, ["status", str(whole.out)])
    assert shown.exit_code == 0
    assert "24 teacher calls" in shown.output


@pytest.mark.slow
def test_killed_in_any_stage_it_goes_on_to_the_same_student(few_tasks: Path, whole: Whole, tmp_path: Path) -> None:
    wanted = config(few_tasks)
    for name in (
        "distill.round.choose",
        "distill.lesson_stage.write_lessons",
        "distill.study.train",
        "distill.training_stage.save",
        "distill.round.decide",
        "distill.loop.write_leaderboard",
    ):  # one after the other, in one folder
        killed_loop(wanted, tmp_path, name)
    (killed,) = run_loop(wanted, tmp_path, machine())
    folders = [out / "rounds" / "01" for out in (tmp_path, whole.out)]
    for name in ("questions.jsonl", "checkpoint/model.safetensors"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1, name
    undisturbed = whole.decision
    assert (killed.kept, killed.reason, killed.changes) == (
        undisturbed.kept,
        undisturbed.reason,
        undisturbed.changes,
    )
    # What is finished is not done again.
    stamp = (folders[0] / "decision.json").stat().st_mtime_ns
    assert run_loop(wanted, tmp_path, machine()) == [killed]
    assert (folders[0] / "decision.json").stat().st_mtime_ns == stamp


def test_what_the_machine_could_not_judge_decides_nothing(
    few_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unjudged:
        samples = 40
        outcomes: ClassVar[dict[str, int]] = {"passed": 39, "not_judged": 1}

    monkeypatch.setattr("distill.round_runs.evaluate", lambda config, progress: [Unjudged()])
    with pytest.raises(MeasurementInvalid, match="1 of 40 samples"):
        run_loop(config(few_tasks), tmp_path, machine())
    assert status_of(tmp_path)[0].stages == ()
    assert read_decision(tmp_path / "rounds" / "01") is None


@pytest.mark.slow
def test_when_no_tier_is_weak_nothing_is_trained(few_tasks: Path, tmp_path: Path) -> None:
    wanted = config(few_tasks, weak_below=0.01, rounds=3)
    decisions = run_loop(wanted, tmp_path, machine())
    assert [(one.kept, one.weak) for one in decisions] == [(False, ())]  # and no further round
    assert "nothing was trained" in decisions[0].reason
    assert sorted(path.name for path in (tmp_path / "rounds" / "01").iterdir()) == [
        "decision.json",
        "stages.jsonl",
        "student",
    ]


def test_another_configuration_is_refused_and_more_rounds_are_not(few_tasks: Path, tmp_path: Path) -> None:
    from distill.config import dump

    (tmp_path / CONFIG).write_text(dump(config(few_tasks)))
    (tmp_path / "rounds" / "01").mkdir(parents=True)
    Journal(tmp_path / "rounds" / "01").once("evaluate", lambda: {"samples": 40})
    with pytest.raises(UsageError, match="another training, which has begun"):
        run_loop(config(few_tasks, training={"steps": 7}), tmp_path, machine())


def test_a_stage_is_done_once_and_only_when_its_work_ended(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.once("evaluate", lambda: {"samples": 1})
    with pytest.raises(ZeroDivisionError):
        journal.once("questions", lambda: {"questions": 1 // 0})
    assert list(journal.done()) == ["evaluate"]
    journal.once("questions", lambda: {"questions": 2})
    journal.once("questions", lambda: {"questions": 3})
    assert {name: stage.counts for name, stage in journal.done().items()} == {
        "evaluate": {"samples": 1},
        "questions": {"questions": 2},
    }


def test_a_stage_is_weak_by_its_tune_half_alone() -> None:
    from harness.records import Tokens
    from harness.scores import Estimate, HalfScore, TierScore

    rate = Estimate(value=0.5, low=0.4, high=0.6)

    def tier(name: str, whole: bool, tune: bool) -> TierScore:
        sides = [HalfScore(tasks=1, pass_at_1=rate, weak=weak) for weak in (tune, not tune)]
        return TierScore(tier=name, tasks=2, pass_at_1=rate, weak=whole, tune=sides[0], held_back=sides[1])

    report = Report(
        benchmark="b",
        protocol="p",
        model="m",
        tasks=4,
        samples=0,
        outcomes={},
        pass_at_k={},
        base_pass_at_k=None,
        tiers=(tier("a", True, False), tier("b", False, True)),
        tokens=Tokens(),
        seconds=0.0,
        sandbox="s",
        fingerprint="f",
    )
    assert flagged(report) == (["b"], ["a"])


@pytest.mark.slow
def test_unknown_recipes_and_keys_are_said_without_a_traceback(tmp_path: Path) -> None:
    def output(*arguments: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-c", "from harness.cli import run; run()", "distill", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 2
        assert "Traceback" not in ran.stderr
        return ran.stderr

    names = ", ".join(shipped("loop"))
    assert f"no recipe 'dmo': use one of {names}, or" in output("run", "--recipe", "dmo", "--out", str(tmp_path))
    assert f"either --recipe ({names})" in output("run", "--out", str(tmp_path))
    (tmp_path / "bad.yaml").write_text("student: a\nteacher: {model: b, modle: c}\ntraining: {steps: 1}\n")
    assert "`modle` - at `$.teacher`" in output("run", "--config", str(tmp_path / "bad.yaml"), "--out", "x")
    (tmp_path / "bad.yaml").write_text("student: a\nteacher: {model: b}\ntraining: {steps: 0}\n")
    assert "at least 1" in output("run", "--config", str(tmp_path / "bad.yaml"), "--out", "x")
    assert "holds no loop" in output("status", str(tmp_path))


def test_a_dry_run_prints_the_whole_configuration(tmp_path: Path) -> None:
    shown = CliRunner().invoke(distill, ["run", "--recipe", "demo", "--out", str(tmp_path / "x"), "--dry-run"])
    assert shown.exit_code == 0
    assert "learning_rate" in shown.output
    assert "alpha" in shown.output  # defaults as well
    assert not (tmp_path / "x").exists()
    assert load_file_of(shown.output, tmp_path) == load_recipe("loop", "demo", LoopConfig)  # the costs are comments
    assert "2,000 questions (questions.count)" in shown.output


def load_file_of(text: str, folder: Path) -> LoopConfig:
    (folder / "shown.yaml").write_text(text)
    return load_file(folder / "shown.yaml", LoopConfig)


def test_what_a_round_costs_follows_from_the_configuration(few_tasks: Path) -> None:
    wanted = config(
        few_tasks,
        questions={"count": 100, "feedback": "levels"},
        teacher={"model": "demo:teacher", "n_samples": 2, "temperature": 1.0},
        attempts={"probes": 30, "n_samples": 4},
        faults={"sources": ["student", "mutation"], "n_samples": 1, "mutants": 3},
        pairs={"contrastive": "margin"},
        max_new_tokens=10,
    )
    costs = {cost.what: cost.amount for cost in estimate(wanted)}
    student = 2 * 40 + 30 * 4 + 100
    assert costs == {
        "questions": 100,
        "teacher calls": 200,
        "student samples": student,
        "programs judged": 200 + student + 300,
        "tokens written": (200 + student) * 10,
        "training steps": 6,
        "training tokens": costs["training tokens"],
    }
    alone = {cost.what: cost.amount for cost in estimate(with_changes(wanted, ["pairs.contrastive=none"]))}
    assert costs["training tokens"] == pytest.approx(2 * alone["training tokens"], abs=1)
    plain = {cost.what: cost.amount for cost in estimate(config(few_tasks, teacher={"model": "student"}))}
    assert (plain["teacher calls"], plain["student samples"], plain["programs judged"]) == (0, 80 + 24, 80 + 24)
    stored = {cost.what: cost.amount for cost in estimate(config(few_tasks, teacher={"samples": "x"}))}
    assert (stored["teacher calls"], stored["student samples"], stored["programs judged"]) == (0, 80, 80 + 24)


def test_single_values_of_a_recipe_can_be_changed(tmp_path: Path) -> None:
    def ran(*changes: str) -> Result:
        options = [option for change in changes for option in ("--set", change)]
        return CliRunner().invoke(distill, ["run", "--recipe", "iterkd", "--out", "x", "--dry-run", *options])

    shown = ran("questions.feedback=none", "faults={sources: [mutation]}", "pairs={contrastive: dpo, weight: 0.3}")
    changed = load_file_of(shown.output, tmp_path)
    assert changed.questions.feedback == "none"
    assert (changed.faults.sources, changed.faults.mutants) == (("mutation",), 3)
    assert changed.pairs.weight == 0.3
    assert changed.questions.count == load_recipe("loop", "iterkd", LoopConfig).questions.count
    for wrong, said in {
        "questions.feedback": "write KEY=VALUE",
        "=3": "write KEY=VALUE",
        "question.feedback=none": "write KEY=VALUE",
        "questions.feedbck=none": "`feedbck`",
        "questions.feedback=oracle": "Invalid enum value 'oracle'",
        "pairs.weight=-1": "at least 0",
        "pairs.weight={": "--set pairs.weight={:",
    }.items():
        failed = ran(wrong)
        assert isinstance(failed.exception, UsageError), wrong
        assert said in str(failed.exception)


def test_until_the_gate_lets_a_round_through(few_tasks: Path, tmp_path: Path) -> None:
    wanted = config(few_tasks, rounds=3)
    for number, kept in ((1, False), (2, True), (3, False)):
        folder = tmp_path / "rounds" / f"{number:02}"
        folder.mkdir(parents=True)
        decision = Decision(round=number, kept=kept, reason="x", student="s", run="r", weak=("hard",))
        (folder / "decision.json").write_bytes(msgspec.json.encode(decision))
    assert [one.round for one in run_loop(wanted, tmp_path, machine(), until_gate=True)] == [1, 2]
    assert [one.round for one in run_loop(wanted, tmp_path, machine())] == [1, 2, 3]


def test_every_shipped_loop_reads() -> None:
    assert shipped("loop")
    for name in shipped("loop"):
        assert load_recipe("loop", name, LoopConfig).rounds >= 1


def test_a_decision_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_decision(tmp_path) is None
    decision = Decision(round=1, kept=False, reason="x", student="s", run="r")
    (tmp_path / "decision.json").write_bytes(msgspec.json.encode(decision))
    assert read_decision(tmp_path) == decision
