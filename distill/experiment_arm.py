"""One arm of an experiment, from first weights to scores: `python -m distill.experiment_arm FOLDER NAME SEED`.

Its folder gets the checkpoint (`model`), the run folders of both benchmarks, and at the very end `arm.json`.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec

from distill import ordering
from distill.curriculum import Graded, levels_by_rank, levels_of, plan
from distill.experiment import RESULT, Arm, ExperimentConfig, arm_plan, load_recipe
from distill.experiment_data import Program, load
from distill.ordering import Difficulty
from distill.scratch import build_model, make_tokenizer, save
from distill.training import Row, TrainSettings, train
from harness import Decoding, EvalConfig, HarnessError, Run, evaluate, load_run, progress_for, write_whole

EXECUTION, COMPLETION = "tinypy-execution", "tinypy-completion"
MODEL = "model"
_INTERRUPTED = 130
_SEEDS_APART = 1000  # between the orders of two seeds, each of whose stages has a seed of its own


class StageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of training: how many examples it drew from, and its share of the steps."""

    name: str
    examples: int
    share: float


class ArmResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an arm came to. `scores` are means in 0..1 over the tasks of one kind, by the name of the score.

    `levels` says how many training examples each level has.
    """

    name: str
    seed: int
    parameters: int
    steps: int
    tokens: int
    seconds: float
    last_loss: float
    levels: tuple[int, ...]
    stages: tuple[StageSummary, ...]
    scores: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """An experiment's examples as an arm trains on them. `answers` is where each row's answer begins."""

    programs: list[Program]
    rows: list[Row]
    answers: list[int]
    tokenizer: Any


def run_arm(arm: Arm, out: Path) -> ArmResult:
    """Train and score an arm, and write its result last. Killed and called again it goes on."""
    config = load_recipe(out)
    corpus = corpus_of(config, load(out))
    folder = arm.folder(out)
    wanted = arm_plan(arm.name, config)
    difficulties = _difficulties(wanted.difficulty, corpus, arm, out)
    graded = Graded(
        difficulties=difficulties,
        levels=_levels(difficulties, wanted.difficulty, config),
        categories=[one.level for one in corpus.programs],
    )
    stages = plan(wanted.schedule, graded, arm.seed)
    model = build_model(config.model, corpus.tokenizer, arm.seed).to(_device())
    settings: TrainSettings = msgspec.structs.replace(config.training, seed=arm.seed * _SEEDS_APART)
    trained = train(model, corpus.rows, stages, settings, corpus.tokenizer.pad_token_id, folder / "training")
    save(model, corpus.tokenizer, folder / MODEL)
    result = ArmResult(
        name=arm.name,
        seed=arm.seed,
        parameters=int(model.num_parameters()),
        steps=trained.steps,
        tokens=trained.tokens,
        seconds=trained.seconds,
        last_loss=trained.losses[-1] if trained.losses else float("nan"),
        levels=tuple(map(graded.levels.count, range(max(graded.levels) + 1))),
        stages=tuple(
            StageSummary(name=one.name, examples=len(one.examples), share=round(one.share, 4)) for one in stages
        ),
        scores=_scores(folder, config),
    )
    shutil.rmtree(folder / "training", ignore_errors=True)
    part = folder / f".{RESULT}"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    part.replace(folder / RESULT)
    return result


def _levels(difficulties: list[float], by: Difficulty, config: ExperimentConfig) -> list[int]:
    if by is Difficulty.METRIC and config.levels.thresholds is not None:
        return levels_of(difficulties, config.levels.thresholds)
    return levels_by_rank(difficulties, config.levels.quantiles)


def corpus_of(config: ExperimentConfig, programs: list[Program]) -> Corpus:
    """Return the examples as rows: one text each, its program weighted by the recipe and its output by 1."""
    tokenizer = make_tokenizer(config.tokenizer, (one.asked + one.answer for one in programs))
    asked = tokenizer([one.asked for one in programs])["input_ids"]
    said = tokenizer([one.answer for one in programs])["input_ids"]
    weight = config.prompt_weight
    rows = [
        Row(
            tokens=(*before, *after),
            weights=None if weight == 1 else (weight,) * len(before) + (1.0,) * len(after),
        )
        for before, after in zip(asked, said, strict=True)
    ]
    return Corpus(programs=programs, rows=rows, answers=list(map(len, asked)), tokenizer=tokenizer)


def _difficulties(by: Difficulty, corpus: Corpus, arm: Arm, out: Path) -> list[float]:
    """Return the difficulty of every example; a model's judgement is that of the finished `random` arms.

    Loss and attention are those of the same seed's model, `models` asks those of all seeds there are. Kept in a file.
    """
    if by is Difficulty.METRIC:
        return [one.difficulty for one in corpus.programs]
    if by is Difficulty.LENGTH:
        return ordering.by_length(corpus.rows)
    random_arm = Arm(name="random", seed=arm.seed).folder(out)
    kept = random_arm / f"difficulty-{by}.json"
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=list[float])
    pad = corpus.tokenizer.pad_token_id
    if by is Difficulty.LOSS:
        found = ordering.by_loss(_load(random_arm), corpus.rows, pad)
    elif by is Difficulty.ATTENTION:
        found = ordering.by_attention(_load(random_arm, "eager"), corpus.rows, pad)
    else:
        judges = [_load(path.parent) for path in sorted(out.glob(f"seed-*/random/{RESULT}"))]
        found = ordering.by_models(judges, corpus.rows, corpus.answers, pad)
    write_whole(kept, msgspec.json.encode(found))
    return found


def _load(folder: Path, attention: str = "sdpa") -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder / MODEL, attn_implementation=attention).to(_device())


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _scores(folder: Path, config: ExperimentConfig) -> dict[str, float]:
    """Evaluate the checkpoint on both benchmarks, greedily, and return its scores.

    `execution`, `line` and `edit_similarity` are over the levels that were trained on, as their tiers
    (`execution/hard`, ...) are; `execution/2.1` and the like are for every level of the benchmark.
    """
    evaluate(
        EvalConfig(
            tasks=(EXECUTION, COMPLETION),
            out=folder,
            model=str(folder / MODEL),
            decoding=Decoding(batch_size=config.evaluation_batch),
        ),
        progress_for(sys.stderr),
    )
    execution, completion = load_run(folder / EXECUTION), load_run(folder / COMPLETION)
    trained = {*config.data.levels}
    scores = _by_kind("execution", {one.task_id: float(one.passed) for one in execution.verdicts()}, execution, trained)
    scores |= _by_kind("line", {one.task_id: float(one.passed) for one in completion.verdicts()}, completion, trained)
    similar = {one.task_id: one.evidence.edit_similarity or 0.0 for one in completion.verdicts()}
    scores["edit_similarity"] = fmean(value for task, value in similar.items() if _level(task) in trained)
    if "token_accuracy" in completion.report.metrics:
        scores["token_accuracy"] = completion.report.metrics["token_accuracy"].value
    return scores


def _by_kind(name: str, values: dict[str, float], run: Run, trained: set[str]) -> dict[str, float]:
    """Return means: over all tasks of trained levels, over those of each tier, and over each level."""
    kinds: dict[str, list[float]] = {name: []}
    for task, value in values.items():
        kinds.setdefault(f"{name}/{_level(task)}", []).append(value)
        if _level(task) in trained:
            kinds[name].append(value)
            kinds.setdefault(f"{name}/{run.config.tiers[task]}", []).append(value)
    return {kind: fmean(some) for kind, some in kinds.items() if some}


def _level(task_id: str) -> str:
    return task_id.split("/")[1]


def _end_with_parent() -> None:
    """End this process when the other end of its standard input is gone, so that a killed experiment leaves none."""

    def wait() -> None:
        os.read(0, 1)  # until the end of file: nothing is ever written
        os._exit(_INTERRUPTED)

    threading.Thread(target=wait, daemon=True).start()


def main(arguments: Sequence[str]) -> int:
    """Run the arm that the arguments name and return the exit code."""
    import torch

    _end_with_parent()
    torch.set_num_threads(1)
    out, name, seed = arguments
    try:
        run_arm(Arm(name=name, seed=int(seed)), Path(out))
    except HarnessError as error:
        print(f"{name}, seed {seed}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:  # the experiment's own process says what there is to say
        return _INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
