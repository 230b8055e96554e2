"""Which order of training helps: schedules x seeds on TinyPy, from scratch, each scored by the harness itself.

All arms of a seed have the same first weights, the same examples and the same number of optimizer steps; only the
order differs. The two controls are `random` and `random-restarts`, which restarts the optimizer and the learning rate
where a curriculum does. What an arm does is in `experiment_arm`, what comes out in `experiment_report`.

After "Curriculum Learning for Small Code Language Models" (arXiv 2407.10194), with greedy decoding instead of
sampling, and with the second control.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import msgspec

from distill.config import chosen, dump
from distill.curriculum import Schedule, Strategy
from distill.experiment_data import TinyPyData, prepare
from distill.ordering import Difficulty
from distill.scratch import ModelRecipe, TokenizerRecipe
from distill.training import TrainSettings
from harness import MeasurementInvalid, MissingDependency, TinyPyLevel, UsageError

RECIPE = "recipe.yaml"
RESULT = "arm.json"
EASY_FIRST = "easy-first"
_BY_MODEL = (Difficulty.LOSS, Difficulty.ATTENTION, Difficulty.MODELS)
_POLL_SECONDS = 0.2
_STANDARD_ERROR = 2


class LevelRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How difficulties become levels: at thresholds of the metric, or (None) at so many quantiles.

    Other difficulties than the metric always take quantiles, since thresholds are in the metric's units.
    """

    thresholds: tuple[float, ...] | None = (2.0, 4.0)
    quantiles: int = 3


class ExperimentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An experiment. Seed k of `seeds` (1, 2, ...) makes the first weights and the order of its arms.

    `prompt_weight` is how much a program's characters count in the loss, beside 1 for those of its output.
    `restarts_like` is the curriculum that `random-restarts` has the stages of.
    """

    data: TinyPyData
    model: ModelRecipe
    training: TrainSettings
    tokenizer: TokenizerRecipe = TokenizerRecipe(kind="characters")
    levels: LevelRule = LevelRule()
    prompt_weight: float = 1.0
    hybrid_share: float = 0.5
    restarts_like: Strategy = Strategy.HYBRID
    schedules: tuple[str, ...] = ("random", "random-restarts", "sequential", "incremental", "hybrid")
    seeds: int = 3
    evaluation_batch: int = 256


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One training of an experiment: a schedule by its name, and a seed."""

    name: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Return the arm's own folder in an experiment's."""
        return out / f"seed-{self.seed}" / self.name.replace(":", "-")


class ArmPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an arm's name stands for."""

    schedule: Schedule
    difficulty: Difficulty


def arm_plan(name: str, config: ExperimentConfig) -> ArmPlan:
    """Read the name of an arm: STRATEGY[:DIFFICULTY][:easy-first]. Raises UsageError for one that makes no sense."""
    strategy, *options = name.split(":")
    difficulties = [option for option in options if option != EASY_FIRST]
    if strategy not in [*Strategy]:
        raise UsageError(f"no schedule {strategy!r}: use {', '.join(Strategy)}")
    if len(options) != len(set(options)) or len(difficulties) > 1 or not {*difficulties} <= {*Difficulty}:
        raise UsageError(
            f"{name}: behind the strategy goes one of {', '.join(Difficulty)}, and {EASY_FIRST} or nothing"
        )
    schedule = Schedule(
        strategy=Strategy(strategy),
        hybrid_share=config.hybrid_share,
        easy_first=EASY_FIRST in options,
        restarts_like=config.restarts_like,
    )
    return ArmPlan(schedule=schedule, difficulty=Difficulty(*difficulties or [Difficulty.METRIC]))


def chosen_experiment(
    recipe: str | None, file: Path | None, schedules: str | None, seeds: int | None
) -> ExperimentConfig:
    """Return the recipe of that name (`cpu` without any) or of that file, with other schedules or seeds if given."""
    config = chosen("curriculum", recipe if recipe or file else "cpu", file, ExperimentConfig)
    names = tuple(filter(None, map(str.strip, (schedules or "").split(",")))) if schedules is not None else None
    return msgspec.structs.replace(
        config,
        schedules=config.schedules if names is None else names,
        seeds=config.seeds if seeds is None else seeds,
    )


def run_experiment(config: ExperimentConfig, out: Path, jobs: int = 1) -> None:
    """Train and score every arm that is not done yet, `jobs` at a time, each in a process with one thread of its own.

    Killed and called again it goes on: finished arms stay, unfinished ones go on from their last checkpoint. More
    schedules and more seeds may be asked for later. Raises UsageError for a folder that holds another experiment.
    """
    _see_that_it_makes_sense(config, jobs)
    for package in ("torch", "transformers", "accelerate"):
        if find_spec(package) is None:
            raise MissingDependency(f"training needs {package}: pip install 'code-harness[hf]'")
    with _only_one(out):
        _keep_recipe(config, out)
        prepare(config.data, out)
        arms = arms_of(config)
        asking = [arm for arm in arms if arm_plan(arm.name, config).difficulty in _BY_MODEL]
        for some in ([arm for arm in arms if arm not in asking], asking):  # the second ask models of the first
            _run_all(some, out, jobs, len(arms))


def arms_of(config: ExperimentConfig) -> list[Arm]:
    """Return the arms in the order that they are run in: all of a seed before the next seed."""
    return [Arm(name=name, seed=seed) for seed in range(1, config.seeds + 1) for name in config.schedules]


def load_recipe(out: Path) -> ExperimentConfig:
    """Return the configuration of an experiment's folder; its schedules and seeds are not in it."""
    return msgspec.yaml.decode((out / RECIPE).read_bytes(), type=ExperimentConfig)


def _see_that_it_makes_sense(config: ExperimentConfig, jobs: int) -> None:
    if jobs < 1 or config.seeds < 1:
        raise UsageError(f"{jobs} jobs and {config.seeds} seeds: at least 1 of each")
    if not config.schedules or len(set(config.schedules)) != len(config.schedules):
        raise UsageError("name at least one schedule, and each only once")
    plans = [arm_plan(name, config) for name in config.schedules]
    if any(one.difficulty in _BY_MODEL for one in plans) and Strategy.RANDOM not in config.schedules:
        raise UsageError("difficulty by a model is judged by the models of the random arm: add random to --schedule")
    if unknown := sorted({*config.data.levels} - {*TinyPyLevel}):
        raise UsageError(f"there is no level {unknown[0]!r} of TinyPy, but {', '.join(TinyPyLevel)}")
    if not 0 <= config.prompt_weight <= 1:
        raise UsageError(f"prompt_weight {config.prompt_weight:g}: 0 to 1")


@contextmanager
def _only_one(out: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises UsageError when another process does."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / ".lock").open("w")
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror or error}. Give another --out.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"another process is running the experiment in {out}") from error
        yield


def _keep_recipe(config: ExperimentConfig, out: Path) -> None:
    """Write the recipe, or see that the folder's is the same; schedules and seeds may differ from call to call."""
    default = ExperimentConfig(data=config.data, model=config.model, training=config.training)
    kept = dump(msgspec.structs.replace(config, schedules=default.schedules, seeds=default.seeds))
    path = out / RECIPE
    if not path.exists():
        path.write_text(kept, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != kept:
        raise UsageError(f"{out} holds an experiment with another recipe ({path}): give another --out")


def _run_all(arms: Sequence[Arm], out: Path, jobs: int, total: int) -> None:
    """Run the arms that have no result, the first `jobs` at once. Ends the others when one fails."""
    waiting = [arm for arm in arms if not (arm.folder(out) / RESULT).exists()]
    running: dict[Arm, subprocess.Popen[bytes]] = {}
    started = time.monotonic()
    done = 0
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                arm = waiting.pop(0)
                print(
                    f"curriculum: {arm.name}, seed {arm.seed} begins ({len(waiting)} of {total} arms wait)",
                    file=sys.stderr,
                )
                running[arm] = _start(arm, out)
            for arm in [arm for arm, process in running.items() if process.poll() is not None]:
                if code := _ended(running.pop(arm)):
                    raise _failure(arm, code)
                done += 1
                seconds = time.monotonic() - started
                left = seconds / done * (len(waiting) + len(running))
                print(f"curriculum: {arm.name}, seed {arm.seed} is done; {left / 60:.0f} min left", file=sys.stderr)
            time.sleep(_POLL_SECONDS)
    finally:
        for process in running.values():
            process.kill()
            _ended(process)


def _start(arm: Arm, out: Path) -> subprocess.Popen[bytes]:
    """Start an arm's process. It ends by itself when the pipe to it is closed: when this process is gone."""
    command = [sys.executable, "-m", "distill.experiment_arm", str(out), arm.name, str(arm.seed)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=_STANDARD_ERROR)


def _ended(process: subprocess.Popen[bytes]) -> int:
    process.communicate()  # closes the pipe to it
    return process.returncode


def _failure(arm: Arm, code: int) -> Exception:
    text = f"the arm {arm.name} of seed {arm.seed} ended with code {code}; what it said stands above"
    if code == UsageError.exit_code:
        return UsageError(text)
    return MeasurementInvalid(f"{text}. The same command goes on from there")
