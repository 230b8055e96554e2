"""EKT over seeds: what its tables say of seeds that are done, and when a kept program is right by luck."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

pytest.importorskip("scipy")
from benchmarks import ekt
from benchmarks.ekt_records import ARMS, GOLD, STUDENT, TEACHER, Plan, Scores, Taught
from benchmarks.ekt_report import write_report
from benchmarks.ekt_seed import LONGEST, OneSeed, computes_the_same
from benchmarks.seeds import PLAN, play, see_that_the_plan_is_the_same
from distill.config import load_file
from distill.loop import CONFIG, Journal, LoopConfig, StageDone
from distill.task_files import write_tasks
from harness import MeasurementInvalid, Outcome, load_benchmark

OWN = "t0 = 11 * 4\nt1 = t0 * 2\nanswer = t1 - 18\n"
TAUGHT = Taught(
    few_shot=0.6,
    few_shot_sampled=0.5,
    few_shot_at_10=0.9,
    zero_shot=0.0,
    student_before=0.1,
    questions=1200,
    solved=0.8,
    right_samples=0.5,
    lessons=960,
    spurious=0.01,
)


def scores(greedy: float) -> Scores:
    return Scores(greedy=greedy, sampled=greedy, at_10=greedy + 0.1, lessons=900, steps=500, tokens=1_000)


def write(out: Path, seed: int, name: str, record: object) -> None:
    (out / str(seed)).mkdir(exist_ok=True)
    (out / str(seed) / f"{name}.json").write_bytes(msgspec.json.encode(record))


def test_differences_are_paired_by_seed_over_those_that_are_done(tmp_path: Path) -> None:
    for seed, ours, unfiltered in ((1, 0.70, 0.60), (2, 0.60, 0.56), (3, 0.65, 0.57)):
        write(tmp_path, seed, "ekt", scores(ours))
        write(tmp_path, seed, "ekt-unfiltered", scores(unfiltered))
    write(tmp_path, 1, "teacher", TAUGHT)
    write(tmp_path, 9, "ekt", scores(0.0))  # of another number of seeds
    text = write_report(tmp_path, range(1, 4))
    assert text.startswith("0 of 3 seeds are whole.")
    assert text == (tmp_path / "ekt.md").read_text()
    assert (
        "| ekt | 70.0 | 60.0 | 65.0 | 65.0 (52.6 to 77.4) | 65.0 (52.6 to 77.4) | 75.0 (62.6 to 87.4) | 900 |" in text
    )
    assert f"| ekt-unfiltered{' | +7.3 (-0.3 to +14.9; p 0.053; 3/3)' * 3} |" in text
    assert "| teacher, few-shot | +10.0 | +20.0 | -10.0 |" in text
    assert "| teacher, zero-shot | +70.0 | - | - |" in text
    assert "| 1 | 60.0 | 0.0 | 50.0 | 90.0 | 80.0 | 50.0 | 1.0 | 10.0 |" in text
    report = json.loads((tmp_path / "ekt.json").read_text())
    assert report["students"]["ekt"]["2"]["greedy"] == 0.6
    assert report["differences"][0]["won"] == 3


def test_a_seed_is_whole_with_its_teacher_and_all_arms(tmp_path: Path) -> None:
    for seed in (1, 2):
        for arm in (GOLD, *ARMS):
            write(tmp_path, seed, arm, scores(0.5))
    write(tmp_path, 2, TEACHER, TAUGHT)
    assert write_report(tmp_path, range(1, 3)).startswith("1 of 2 seeds are whole.")
    assert json.loads((tmp_path / "ekt.json").read_text())["whole"] == [2]
    (tmp_path / "2" / f"{GOLD}.json").unlink()
    assert write_report(tmp_path, range(1, 3)).startswith("0 of 2 seeds are whole.")


@pytest.mark.parametrize(
    ("program", "same"),
    [
        (OWN, True),
        ("n0 = 11\nn1 = 4\nanswer = 2 * n0 * n1 - 18\n", True),
        ("t0 = 11 * 4\nanswer = t0 + 26\n", False),
        ("answer = 70\n", False),
        ("t0 = 11 + 4\nt1 = t0 * 4\nanswer = t1 + 10\n", False),
        ("import os\nanswer = 70\n", False),
        ("answer = 1 / 0\n", False),
    ],
)
def test_a_program_is_right_by_luck_when_other_numbers_show_it(program: str, same: bool) -> None:
    assert computes_the_same(OWN, program, random.Random(1)) is same


def test_a_folder_has_one_plan(tmp_path: Path) -> None:
    plan = Plan(loop=("training.steps=500",), tests=100)
    see_that_the_plan_is_the_same(tmp_path, plan)
    see_that_the_plan_is_the_same(tmp_path, plan)
    with pytest.raises(SystemExit, match=f"{PLAN} says otherwise"):
        see_that_the_plan_is_the_same(tmp_path, Plan(tests=100))


@pytest.mark.parametrize("ends", [0, 3])
def test_a_seed_is_played_by_a_process_whose_end_and_words_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: int
) -> None:
    source = f"import os, sys\nprint(sys.argv[1:], os.environ['OMP_NUM_THREADS'])\nsys.exit({ends})\n"
    (tmp_path / "one_seed.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert play("one_seed", tmp_path, 7, "--arms", "a,b") is (ends == 0)
    said = (tmp_path / "7.log").read_text()
    assert said == f"['--out', '{tmp_path}', '--seed', '7', '--arms', 'a,b'] 1\n"


def test_an_arm_takes_over_what_comes_out_the_same_and_nothing_else(tmp_path: Path) -> None:
    seed = OneSeed(tmp_path, 3, Plan(), "local")
    first = tmp_path / "ekt" / "rounds" / "01"
    for name in ("student", "answers", "checkpoint", "candidate"):
        (first / name).mkdir(parents=True)
        (first / name / "report.json").write_text(name)
    (first / "lessons.jsonl").write_text("{}\n")
    (first / "decision.json").write_text("{}")
    (tmp_path / "ekt" / "inputs.json").write_text("{}")
    stages = ("evaluate", "questions", "answers", "lessons", "train", "candidate")
    lines = [msgspec.json.encode(StageDone(stage=one, seconds=1.0, counts={"x": 1})) + b"\n" for one in stages]
    (first / "stages.jsonl").write_bytes(b"".join(lines))
    for arm in ("ekt-unfiltered", "ekt-logit-kd"):
        config, out = seed.config(arm), tmp_path / arm
        seed.take_over(config, out)
        assert list(Journal(out / "rounds" / "01").done()) == ["evaluate", "questions", "answers"]
        found = sorted(path.name for path in (out / "rounds" / "01").iterdir())
        assert found == ["answers", "stages.jsonl", "student"]
        assert load_file(out / CONFIG, LoopConfig) == config  # or its loop would be refused
    (tmp_path / "ekt-unfiltered" / "rounds" / "01" / "new").touch()
    seed.take_over(seed.config("ekt-unfiltered"), tmp_path / "ekt-unfiltered")
    assert (tmp_path / "ekt-unfiltered" / "rounds" / "01" / "new").is_file()  # what has begun goes on


def test_arms_begin_and_train_alike(tmp_path: Path) -> None:
    seed = OneSeed(tmp_path, 3, Plan(), "local")
    configs = [seed.config(arm) for arm in ARMS]
    assert len({(one.student, one.training, one.seed, one.questions.count, one.protocol) for one in configs}) == 1
    assert {one.teacher.model for one in configs} == {str(tmp_path / "teacher"), "student"}


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["ekt", *arguments])
    ekt.main()


def test_a_seed_that_failed_is_said_behind_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ekt, "play", lambda module, out, seed, *options: seed != 2)
    with pytest.raises(SystemExit, match="1 of 3 processes failed"):
        run_main(monkeypatch, "--out", str(tmp_path), "--seeds", "3")
    assert "0 of 3 seeds are whole." in capsys.readouterr().out
    run_main(monkeypatch, "--out", str(tmp_path), "--seeds", "1")


@pytest.mark.parametrize("option", ["--set", "--set-teacher", "--set-student"])
def test_a_change_that_no_recipe_takes_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    with pytest.raises(SystemExit, match="stepz"):
        run_main(monkeypatch, "--out", str(tmp_path / "out"), option, "training.stepz=3")
    assert not (tmp_path / "out").exists()


def test_each_change_goes_to_its_own_recipes(tmp_path: Path) -> None:
    plan = Plan(teacher=("training.steps=11",), student=("training.steps=12",), loop=("training.steps=13",))
    seed = OneSeed(tmp_path, 3, plan, "local")
    assert (seed.recipe(TEACHER).training.steps, seed.recipe(STUDENT).training.steps) == (11, 12)
    assert {seed.config(arm).training.steps for arm in ARMS} == {13}
    assert seed.recipe(TEACHER).data.seed != seed.recipe(STUDENT).data.seed


def test_no_score_is_made_of_samples_that_were_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = SimpleNamespace(value=0.5)
    counts = {Outcome.NOT_JUDGED: 0}
    report = SimpleNamespace(outcomes=counts, pass_at_k={"1": value, "10": value})
    monkeypatch.setattr("benchmarks.ekt_seed.evaluate", lambda config: (report,))
    seed = OneSeed(tmp_path, 1, Plan(), "local")
    assert seed.measured(tmp_path / "m", tmp_path, 9, 0, 0).sampled == 0.5
    counts[Outcome.NOT_JUDGED] = 2
    with pytest.raises(MeasurementInvalid, match="2 samples"):
        seed.measured(tmp_path / "m", tmp_path, 9, 0, 0)


@pytest.mark.hf
def test_the_longest_program_is_not_cut_off(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from distill.documents import texts_for_tokens
    from distill.scratch import make_tokenizer

    recipe = OneSeed(tmp_path, 1, Plan(), "local").recipe(STUDENT)
    tokenizer = make_tokenizer(recipe.tokenizer, texts_for_tokens(recipe.data, ()))
    programs = [task.reference.removeprefix(task.prompt) for task in load_benchmark("words").tasks]
    assert max(len(tokenizer(program)["input_ids"]) for program in programs) < LONGEST


def told(out: Path, model: Path, lessons: int, steps: int, tokens: int) -> Scores:
    assert (model / "model.safetensors").is_file()
    return Scores(greedy=0.0, sampled=0.0, at_10=0.0, lessons=lessons, steps=steps, tokens=tokens)


@pytest.mark.hf
@pytest.mark.slow
def test_a_seed_is_played_with_the_teacher_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    dev = [replace(task, split="test") for task in load_benchmark("words-dev").tasks[:4]]
    write_tasks(dev, tmp_path / "dev.jsonl")
    tiny = ("training.steps=2", "model.fields.num_hidden_layers=1")
    plan = Plan(
        teacher=(*tiny, "data.tiers={easy: 9}", "data.unsolved=1"),
        student=(*tiny, "data.tiers={easy: 5}"),
        loop=(f"tasks={tmp_path / 'dev.jsonl'}", "questions.count=6", "teacher.n_samples=2", "training.steps=3"),
        tests=3,
        sampled_tests=2,
    )
    seed = OneSeed(tmp_path / "1", 1, plan, "local")
    monkeypatch.setattr(seed, "measured", told)  # which has a test of its own, and takes seconds
    seed.make(STUDENT)
    seed.make(TEACHER)
    unfiltered, gold, taught = (seed.play(name) for name in ("ekt-unfiltered", GOLD, TEACHER))
    assert isinstance(unfiltered, Scores)
    assert isinstance(gold, Scores)
    assert isinstance(taught, Taught)
    assert (gold.lessons, gold.steps, unfiltered.steps) == (5, 3, 3)
    assert taught.questions == 6
    assert taught.lessons <= unfiltered.lessons <= 6  # two steps teach no answers, and what is written is learnt
    assert taught.right_samples <= taught.solved
    rounds = [tmp_path / "1" / arm / "rounds" / "01" for arm in ("ekt", "ekt-unfiltered")]
    first, second = ((one / "answers" / "samples.jsonl").read_bytes() for one in rounds)
    assert first == second
    assert first.count(b"\n") == 12
