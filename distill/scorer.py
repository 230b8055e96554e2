"""A scoring model of one's own: a checkpoint fine-tuned on a teacher's assessments of judged programs.

What comes out is what `attempts.views.scorer` names: a model that writes assessments by the rubric of `model_view` as
the teacher did, for less. Each row is the prompt that it will be asked with, masked, and the assessment. Tasks are held
back for a comparison with the teacher. Killed and called again it goes on where it was.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from distill.config import dump
from distill.curriculum import Stage
from distill.feedback import FeedbackConfig, give_feedback, read_feedback
from distill.fitting import keep_adapter, see_that_peft_is_there
from distill.lessons import LeakageError
from distill.model_view import Answer, ModelView, ScoringRow, assess, scoring_rows
from distill.prompts import PromptName, digest_of_prompt
from distill.rows import pad_of, rows_of
from distill.scratch import SAVED_TYPES, save
from distill.train_settings import TrainSettings
from distill.training import TrainResult, train
from harness import (
    GenerationSettings,
    Model,
    Outcome,
    Run,
    UsageError,
    digest_of,
    find_checkpoint,
    load_run,
    load_weights,
    open_model,
    write_whole,
)

REPORT, SETTINGS, TRAINING = "scorer.json", "scorer.yaml", "training"


class ScorerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to make a scoring model of `model`, which is what `--model` takes, from assessments of `teacher`.

    The share `held_back` of the tasks, drawn by `seed`, is not trained on, but for the comparison. An assessment has up
    to `max_new_tokens`, the teacher's and the scorer's; `batch_size` programs are assessed at a time. `save_as` is the
    type of the saved weights.
    """

    model: str
    teacher: str
    training: TrainSettings
    held_back: float = 0.1
    max_new_tokens: int = 512
    batch_size: int = 8
    save_as: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.held_back < 1 or min(self.max_new_tokens, self.batch_size) < 1:
            raise ValueError("held_back is a share between 0 and 1, max_new_tokens and batch_size are at least 1")
        if self.save_as not in SAVED_TYPES:
            raise ValueError(f"save_as {self.save_as!r}: one of {', '.join(SAVED_TYPES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How a model's scores compare with the teacher's, over the same programs.

    Of `programs`, `readable` got a score, and `equal` the teacher's. `most_common` is how many the teacher gave its
    most frequent score: who always gave that one would be right so often. `mean_difference` is that of the readable
    ones, in points and without sign (None: there are none).
    """

    programs: int
    readable: int
    equal: int
    most_common: int
    mean_difference: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerReport:
    """What a scoring model was made from, and how it compares with the teacher on tasks that it was not trained on.

    `assessed` programs have a model view; those without points for every rule are not `rows`. `left_out` rows are
    longer than the training allows. `inputs` is the SHA-256 of settings and rows.
    """

    parent: str
    parent_digest: str
    teachers: tuple[str, ...]
    prompt_digest: str
    inputs: str
    assessed: int
    rows: int
    held_back: int
    left_out: int
    steps: int
    tokens: int
    agreement: Agreement


def make_scorer(
    config: ScorerConfig, runs: Sequence[Path], out: Path, feedback: Sequence[Path] = (), teacher: Model | None = None
) -> ScorerReport:
    """Fine-tune a scoring model on assessments of the samples of finished runs, and write the checkpoint to `out`.

    `feedback` has files with model views, one for each run, in the place of asking the teacher; what it is asked is
    kept in `out`/feedback. `teacher` is a model that is open already. Raises LeakageError for a run with a task that is
    not of the training split, before anything is asked, and UsageError for feedback that is not on its run.
    """
    if feedback and len(feedback) != len(runs):
        raise UsageError(f"{len(runs)} runs and {len(feedback)} files of feedback: give one for each run, or none")
    loaded = [load_run(folder) for folder in runs]
    for run in loaded:
        _see_that_it_is_for_training(run)
    if config.training.lora is not None:
        see_that_peft_is_there()
    parent = find_checkpoint(config.model).folder
    paths = feedback or _asked(config, loaded, out, teacher)
    assessed = [pair for run, path in zip(loaded, paths, strict=True) for pair in assessments_of(run, path)]
    rows = list(scoring_rows(assessed))
    kept_back = _held_back({row.task_id for row in rows}, config)
    learnt = [row for row in rows if row.task_id not in kept_back]
    inputs = hashlib.sha256(dump(config).encode() + msgspec.json.encode(learnt)).hexdigest()
    if (done := _finished(out, inputs)) is not None:
        return done
    result = _trained(config, parent, learnt, out, out / TRAINING / inputs[:16])
    compared = [pair for pair in assessed if pair[0].task.task_id in kept_back and pair[1].score is not None]
    settings = GenerationSettings(max_new_tokens=config.max_new_tokens, batch_size=config.batch_size)
    report = ScorerReport(
        parent=config.model,
        parent_digest=digest_of(parent),
        teachers=tuple(sorted({view.model for _, view in assessed})),
        prompt_digest=digest_of_prompt(PromptName.SCORE_ANSWER),
        inputs=inputs,
        assessed=len(assessed),
        rows=len(learnt),
        held_back=len(compared),
        left_out=result.left_out,
        steps=result.steps,
        tokens=result.tokens,
        agreement=agreement_with(open_model(str(out)), compared, settings),
    )
    (out / SETTINGS).write_text(dump(config), encoding="utf-8")
    write_whole(out / REPORT, msgspec.json.format(msgspec.json.encode(report)))
    shutil.rmtree(out / TRAINING)  # only needed to go on
    return report


def assessments_of(run: Run, feedback: Path) -> Iterator[tuple[Answer, ModelView]]:
    """Yield the programs of a run that a model assessed, and its views.

    Raises UsageError for feedback on another run.
    """
    tasks = {task.task_id: task for task in run.tasks()}
    programs = {(sample.task_id, sample.sample_index): sample.program for sample in run.samples()}
    verdicts = {
        (verdict.task_id, verdict.sample_index): verdict
        for verdict in run.verdicts()
        if verdict.outcome is not Outcome.NOT_JUDGED
    }
    for one in read_feedback(feedback):
        key = one.task_id, one.sample_index
        if key not in programs or one.execution != verdicts.get(key):
            raise UsageError(f"{feedback} is no feedback on {run.folder}: see {one.task_id}[{one.sample_index}]")
        if one.model is not None:
            yield Answer(task=tasks[one.task_id], sample_index=one.sample_index, program=programs[key]), one.model


def agreement_with(
    scorer: Model, assessed: Sequence[tuple[Answer, ModelView]], settings: GenerationSettings
) -> Agreement:
    """Have a model assess programs as well, and compare its scores with those that they have."""
    views = assess(scorer, [answer for answer, _ in assessed], settings)
    scores = [(ours.score, theirs.score) for ours, (_, theirs) in zip(views, assessed, strict=True)]
    differences = [abs(ours - theirs) for ours, theirs in scores if ours is not None and theirs is not None]
    common = Counter(theirs for _, theirs in scores).most_common(1)
    return Agreement(
        programs=len(scores),
        readable=len(differences),
        equal=sum(difference == 0 for difference in differences),
        most_common=common[0][1] if common else 0,
        mean_difference=sum(differences) / len(differences) if differences else None,
    )


def _see_that_it_is_for_training(run: Run) -> None:
    if foreign := [task for task in run.tasks() if task.split != "train"]:
        raise LeakageError(
            f"{run.folder}: {foreign[0].task_id} is of the split {foreign[0].split!r}, and a scoring model is trained "
            'on train alone: give a run on a file of tasks whose lines have the field "split": "train"'
        )


def _asked(config: ScorerConfig, runs: Iterable[Run], out: Path, teacher: Model | None) -> list[Path]:
    """Return the paths of the teacher's feedback on runs; what is there already is not asked for again."""
    views = FeedbackConfig(
        scorer=config.teacher, lint=False, max_new_tokens=config.max_new_tokens, batch_size=config.batch_size
    )
    asked = teacher or open_model(config.teacher)
    return [give_feedback(run, out / "feedback" / f"{number:02}", views, asked) for number, run in enumerate(runs, 1)]


def _held_back(tasks: set[str], config: ScorerConfig) -> set[str]:
    """Return the tasks to compare on: at least one, and at least one is left. Raises UsageError for fewer than two."""
    if len(tasks) < 2:
        raise UsageError(
            f"{len(tasks)} tasks have an assessment with points for every rule, and it takes 2 at least, one to hold "
            "back: see the feedback for what the teacher wrote"
        )
    count = min(max(1, round(config.held_back * len(tasks))), len(tasks) - 1)
    return set(random.Random(config.seed).sample(sorted(tasks), count))


def _trained(config: ScorerConfig, parent: Path, rows: Sequence[ScoringRow], out: Path, folder: Path) -> TrainResult:
    """Fine-tune and save. The folder is that of these rows and settings: no other training is gone on with."""
    loaded = load_weights(str(parent), config.model, dtype=config.training.dtype, device="auto", trust=False)
    examples = rows_of(loaded.tokenizer, [(row.prompt, row.completion) for row in rows])
    everything = Stage(name="assessments", examples=tuple(range(len(examples))), share=1.0, shuffled=True)
    result = train(loaded.model, examples, (everything,), config.training, pad_of(loaded.tokenizer), folder)
    save(loaded.model, loaded.tokenizer, out, config.save_as)
    keep_adapter(folder, out)
    return result


def _finished(out: Path, inputs: str) -> ScorerReport | None:
    path = out / REPORT
    report = msgspec.json.decode(path.read_bytes(), type=ScorerReport) if path.is_file() else None
    return report if report is not None and report.inputs == inputs else None
