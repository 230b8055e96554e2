"""Experiments: what an arm's name means, what is refused, that a killed one goes on, and what the report says."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from distill import experiment
from distill.command import distill
from distill.config import load_recipe, shipped
from distill.curriculum import Strategy
from distill.experiment import Arm, ExperimentConfig, arm_plan, chosen_experiment, run_experiment
from distill.experiment_report import report_of, to_json, to_markdown
from distill.ordering import Difficulty
from distill.over_seeds import mean_of
from harness import UsageError

ROOT = Path(__file__).resolve().parents[2]
SMOKE = load_recipe("curriculum", "smoke", ExperimentConfig)
SCORES = (
    "execution",
    "execution/easy",
    "execution/medium",
    "execution/hard",
    "execution/1.1",
    "line",
    "edit_similarity",
)


def test_every_shipped_recipe_is_a_whole_experiment() -> None:
    assert {"cpu", "paper", "smoke"} <= {*shipped("curriculum")}
    for name in shipped("curriculum"):
        config = load_recipe("curriculum", name, ExperimentConfig)
        experiment._see_that_it_makes_sense(config, 1)
        assert {"random", "random-restarts", "sequential", "incremental", "hybrid"} <= {*config.schedules}
        assert config.levels.thresholds == (2.0, 4.0)


def test_the_papers_regime_is_the_papers() -> None:
    config = load_recipe("curriculum", "paper", ExperimentConfig)
    training = config.training
    assert (training.steps, training.batch_size, training.window) == (120_000, 64, 256)
    assert (training.learning_rate, training.lr_schedule, training.warmup_steps) == (1e-3, "paper", 0)
    assert (training.adam_beta1, training.adam_beta2, training.weight_decay) == (0.9, 0.999, 0.01)
    assert config.prompt_weight == 1.0
    fields = config.model.fields
    assert [fields[name] for name in ("n_layer", "n_head", "n_embd", "n_inner", "n_positions")] == [6, 6, 120, 480, 256]


def test_the_name_of_an_arm_says_strategy_difficulty_and_order() -> None:
    plain, ordered = arm_plan("hybrid", SMOKE), arm_plan("blocked:loss:easy-first", SMOKE)
    assert (plain.schedule.strategy, plain.difficulty) == (Strategy.HYBRID, Difficulty.METRIC)
    assert (plain.schedule.hybrid_share, plain.schedule.easy_first) == (SMOKE.hybrid_share, False)
    assert (ordered.schedule.strategy, ordered.difficulty) == (Strategy.BLOCKED, Difficulty.LOSS)
    assert ordered.schedule.easy_first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedules": ("random", "hybird")}, "no schedule 'hybird': use random, random-restarts"),
        ({"schedules": ("random", "hybrid:los")}, "one of metric, length"),
        ({"schedules": ("random", "hybrid:loss:length")}, "one of metric, length"),
        ({"schedules": ("random", "hybrid:easy-first")}, "easy-first is for blocked and interleaved"),
        ({"schedules": ("random", "random")}, "only once"),
        ({"schedules": ()}, "at least one"),
        ({"schedules": ("hybrid:models",)}, "add random"),
        ({"seeds": 0}, "at least 1"),
        ({"prompt_weight": 2.0}, "0 to 1"),
        ({"data": msgspec.structs.replace(SMOKE.data, levels=("9.9",))}, "no level '9.9' of TinyPy"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is_made(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        run_experiment(msgspec.structs.replace(SMOKE, **changes), tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {count: 3}\nmodle: 1", "modle"),
        ("data: {count: 3, cuont: 4}", "cuont"),
        ("levels: {tresholds: [1, 2]}", "tresholds"),
        ("training: {stpes: 3}", "stpes"),
    ],
)
def test_an_unknown_key_of_a_recipe_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=f"mine.yaml: .*{message}"):
        chosen_experiment(None, tmp_path / "mine.yaml", None, None)


def test_schedules_and_seeds_of_the_command_line_replace_the_recipes() -> None:
    chosen = chosen_experiment("smoke", None, "random, hybrid:length", 4)
    assert (chosen.schedules, chosen.seeds) == (("random", "hybrid:length"), 4)
    assert chosen_experiment("smoke", None, None, None) == SMOKE


def finish(
    out: Path, name: str, seed: int, execution: float, tiers: tuple[float, float, float] = (0.5, 0.4, 0.3)
) -> Arm:
    """Write the result of an arm."""
    arm = Arm(name=name, seed=seed)
    values = (execution, *tiers, 0.25, 0.6, 0.7)
    result = {
        "name": name,
        "seed": seed,
        "parameters": 1234,
        "steps": 10,
        "tokens": 999,
        "seconds": 1.5,
        "last_loss": 0.5,
        "levels": [1, 2, 3],
        "stages": [{"name": "all", "examples": 300, "share": 1.0}],
        "scores": dict(zip(SCORES, values, strict=True)),
    }
    arm.folder(out).mkdir(parents=True, exist_ok=True)
    (arm.folder(out) / "arm.json").write_text(json.dumps(result), encoding="utf-8")
    return arm


@pytest.fixture
def finished(tmp_path: Path) -> list[Arm]:
    experiment._keep_recipe(SMOKE, tmp_path)
    numbers = {"random": (0.40, 0.50, 0.45), "random-restarts": (0.42, 0.50, 0.46), "hybrid": (0.44, 0.51, 0.50)}
    return [
        finish(tmp_path, name, seed, value) for name, values in numbers.items() for seed, value in enumerate(values, 1)
    ]


def test_a_mean_has_students_interval() -> None:
    mean = mean_of([0.1, 0.2, 0.3])  # s = 0.1, t(0.975, 2) = 4.3027
    assert (mean.value, mean.low, mean.high) == pytest.approx((0.2, 0.2 - 0.24841, 0.2 + 0.24841), abs=1e-4)
    assert (mean_of([0.3]).low, mean_of([0.3]).high) == (None, None)


def test_differences_are_paired_by_seed(tmp_path: Path, finished: list[Arm]) -> None:
    report = report_of(tmp_path, finished)
    found = {(one.arm, one.control): one for one in report.differences if one.score == "execution"}
    assert set(found) == {
        ("random", "random-restarts"),
        ("hybrid", "random-restarts"),
        ("random-restarts", "random"),
        ("hybrid", "random"),
    }
    one = found["hybrid", "random"]  # 4, 1 and 5 points: mean 3.333, s 2.0817, t = 3.3333 / (2.0817 / sqrt 3) = 2.7735
    assert one.difference.seeds == pytest.approx((0.04, 0.01, 0.05))
    assert one.difference.value == pytest.approx(0.03333, abs=1e-4)
    assert (one.difference.low, one.difference.high) == pytest.approx((-0.01838, 0.08505), abs=1e-4)
    assert one.p_value == pytest.approx(0.1092, abs=1e-3)
    assert one.won == 3
    assert found["random", "random-restarts"].won == 0


def test_the_tables_have_every_seeds_number(tmp_path: Path, finished: list[Arm]) -> None:
    text = to_markdown(report_of(tmp_path, finished))
    assert "| hybrid | 44.0 | 51.0 | 50.0 |" in text
    assert "| hybrid | 48.3 (38.9 to 57.7) |" in text
    assert "+3.3 (-1.8 to +8.5; p 0.109; 3/3)" in text
    assert "does not fall" not in text
    assert json.loads(to_json(report_of(tmp_path, finished)))["parameters"] == 1234


def test_a_metric_that_does_not_rank_is_said(tmp_path: Path, finished: list[Arm]) -> None:
    finished[0] = finish(tmp_path, "random", 1, 0.4, tiers=(0.1, 0.9, 0.3))
    text = to_markdown(report_of(tmp_path, finished))
    assert "random: accuracy does not fall as the metric rises (easy 36.7%, medium 56.7%, hard 30.0%)" in text


def test_what_is_missing_for_a_conclusion_is_said(tmp_path: Path, finished: list[Arm]) -> None:
    report = report_of(tmp_path, [arm for arm in finished if arm.name != "random-restarts" and arm.seed == 1])
    assert any("without the arm random-restarts" in warning for warning in report.warnings)
    assert any("fewer than 3 seeds" in warning for warning in report.warnings)


def test_a_seed_that_only_one_arm_has_is_left_out_of_the_pairs(tmp_path: Path, finished: list[Arm]) -> None:
    report = report_of(tmp_path, [arm for arm in finished if arm != Arm(name="random", seed=2)])
    (one,) = (
        one for one in report.differences if (one.arm, one.control, one.score) == ("hybrid", "random", "execution")
    )
    assert one.difference.seeds == pytest.approx((0.04, 0.05))


def test_an_arm_without_a_result_is_named(tmp_path: Path, finished: list[Arm]) -> None:
    with pytest.raises(UsageError, match=r"seed-9/random/arm.json is no result"):
        report_of(tmp_path, [*finished, Arm(name="random", seed=9)])


def command(*options: str, out: Path) -> list[str]:
    code = "from harness.cli import run; run()"
    return [sys.executable, "-c", code, "distill", "curriculum", "--recipe", "smoke", "--out", str(out), *options]


@pytest.fixture(scope="module")
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


ALL_KINDS = "random,hybrid:length,blocked:easy-first,interleaved:loss,ordered:attention,sequential:models"


@dataclass(frozen=True, kw_only=True)
class Whole:
    """An experiment that nobody disturbed, with an arm of every kind: its folder and its report."""

    out: Path
    report: dict[str, Any]

    def scores(self, name: str) -> dict[str, float]:
        (scores,) = [arm["scores"] for arm in self.report["arms"] if arm["name"] == name]
        return scores


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, environment: None) -> Whole:
    pytest.importorskip("torch")
    out = tmp_path_factory.mktemp("whole")
    made = CliRunner().invoke(
        distill,
        ["curriculum", "--recipe", "smoke", "--schedule", ALL_KINDS, "--out", str(out), "--jobs", "2", "--json"],
    )
    assert made.exit_code == 0, made.output
    return Whole(out=out, report=json.loads(made.stdout))


@pytest.mark.hf
@pytest.mark.slow
@pytest.mark.timeout(900)  # a quarter of an hour: some machines are shared
def test_an_experiment_from_end_to_end(whole: Whole) -> None:
    report = whole.report
    assert [arm["name"] for arm in report["arms"]] == ALL_KINDS.split(",")
    assert {"execution", "execution/hard", "execution/2.1", "line", "edit_similarity"} <= set(
        report["arms"][0]["scores"]
    )
    assert (whole.out / "seed-1" / "hybrid-length" / "tinypy-execution" / "report.json").is_file()
    assert (whole.out / "report.md").read_text(encoding="utf-8").startswith(f"{report['parameters']:,} parameters")
    before = (whole.out / "seed-1" / "random" / "arm.json").stat().st_mtime_ns
    again = CliRunner().invoke(
        distill, ["curriculum", "--recipe", "smoke", "--schedule", "random", "--out", str(whole.out)]
    )
    assert again.exit_code == 0
    assert (whole.out / "seed-1" / "random" / "arm.json").stat().st_mtime_ns == before


@pytest.mark.hf
@pytest.mark.slow
@pytest.mark.timeout(900)  # a quarter of an hour: some machines are shared
def test_a_killed_experiment_leaves_nothing_running_and_goes_on(
    whole: Whole, tmp_path: Path, environment: None
) -> None:
    out = tmp_path / "killed"
    options = ("--schedule", "hybrid:length")
    killed = subprocess.Popen(command(*options, out=out), stderr=subprocess.PIPE, text=True)
    assert killed.stderr is not None
    wait_for(lambda: any(out.glob("seed-1/hybrid-length/training/stage-00/checkpoint-*")))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (out / "seed-1" / "hybrid-length" / "arm.json").exists()
    killed.communicate()  # ends only when no process of the experiment holds the other end any more
    done = subprocess.run(command(*options, "--json", out=out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [arm["scores"] for arm in json.loads(done.stdout)["arms"]] == [whole.scores("hybrid:length")]
    assert not list(out.glob("seed-*/*/training"))


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--schedule", "hybird"), 2, "no schedule 'hybird'"),
        (("--seeds", "0"), 2, "--seeds"),
        (("--config", "no-such-file.yaml"), 2, "either --recipe"),
    ],
)
def test_exit_codes(options: tuple[str, ...], code: int, message: str, tmp_path: Path, environment: None) -> None:
    ran = subprocess.run(command(*options, out=tmp_path), capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_folder_of_another_experiment_is_refused(tmp_path: Path) -> None:
    experiment._keep_recipe(SMOKE, tmp_path)
    experiment._keep_recipe(msgspec.structs.replace(SMOKE, seeds=9, schedules=("random",)), tmp_path)
    with pytest.raises(UsageError, match="another recipe"):
        experiment._keep_recipe(msgspec.structs.replace(SMOKE, hybrid_share=0.25), tmp_path)


def test_two_experiments_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        experiment._only_one(tmp_path),
        pytest.raises(UsageError, match="another process"),
        experiment._only_one(tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("code", "kind"), [(2, UsageError), (3, experiment.MeasurementInvalid), (-9, experiment.MeasurementInvalid)]
)
def test_an_arm_that_fails_ends_the_experiment(
    code: int, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = f"import os, signal; os.kill(os.getpid(), {-code})" if code < 0 else f"raise SystemExit({code})"

    def start(arm: Arm, out: Path) -> subprocess.Popen[bytes]:
        waits = "import sys; sys.stdin.read()"
        return subprocess.Popen([sys.executable, "-c", ending if arm.seed == 1 else waits], stdin=subprocess.PIPE)

    monkeypatch.setattr(experiment, "_start", start)
    arms = [Arm(name="random", seed=seed) for seed in (1, 2, 3)]
    with pytest.raises(kind, match="arm random of seed 1"):
        experiment._run_all(arms, tmp_path, 2, 3)


def test_an_arm_ends_when_its_experiment_is_gone() -> None:
    code = "from distill.experiment_arm import _end_with_parent as f; import time; f(); time.sleep(60)"
    arm = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, cwd=ROOT)
    assert arm.stdin is not None
    arm.stdin.close()
    assert arm.wait(30) == 130
