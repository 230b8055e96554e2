"""Feedback on a student's judged samples from three views, a line of `feedback.jsonl` per sample.

- execution: the harness's verdict as it is;
- static: whether the program parses, is complete and ran, and Pylint's messages (`static_view`);
- model: points by a rubric, of a scoring model or the teacher (`model_view`), where one is named.

Killed and started again it goes on where it was. What the views say together, `levels` decides.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from distill.model_view import Answer, ModelView, assess
from distill.prompts import PromptName, digest_of_prompt
from distill.static_view import DISABLED, Look, StaticView, look_at, pylint_version, static_view
from harness import GenerationSettings, Model, Outcome, Run, Sample, Task, UsageError, Verdict, open_model

FEEDBACK = "feedback.jsonl"
BATCH = 512  # samples that go through the views together, and are on disk before the next


class FeedbackConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which views. `scorer` is what `--model` takes, or None for no model view; `lint` asks for Pylint's messages.

    The scorer decodes greedily, up to `max_new_tokens` an answer, `batch_size` programs at a time.
    """

    scorer: str | None = None
    lint: bool = True
    max_new_tokens: int = 512
    batch_size: int = 8

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.batch_size < 1:
            raise ValueError("max_new_tokens and batch_size are at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What the views say of one sample.

    `execution` is None for a sample that was not judged, `model` where nobody was asked. `inputs` is the SHA-256 of all
    that the feedback depends on: the run, the model and its prompt, Pylint's version.
    """

    task_id: str
    sample_index: int
    inputs: str
    execution: Verdict | None
    static: StaticView
    model: ModelView | None = None


def give_feedback(run: Run, out: Path, config: FeedbackConfig, scorer: Model | None = None) -> Path:
    """Write the views of each sample of a finished run into `out`/feedback.jsonl and return that path.

    `scorer` is a model that is open already; otherwise the configuration's is opened. Raises UsageError when the file
    is feedback on something else, MissingDependency without Pylint, ModelUnavailable when the scorer fails.
    """
    if scorer is None and config.scorer is not None:
        scorer = open_model(config.scorer)
    inputs = _digest_of_inputs(run, config, scorer)
    out.mkdir(parents=True, exist_ok=True)
    path = out / FEEDBACK
    done = _kept(path, inputs)
    verdicts = {(verdict.task_id, verdict.sample_index): verdict for verdict in run.verdicts()}
    tasks = {task.task_id: task for task in run.tasks()} if scorer else {}
    pending = (sample for sample in run.samples() if (sample.task_id, sample.sample_index) not in done)
    with path.open("a", encoding="ascii") as file:
        while batch := list(islice(pending, BATCH)):
            looks = look_at([sample.program for sample in batch], config.lint)
            models = _model_views(scorer, batch, tasks, config)
            for sample, look, model in zip(batch, looks, models, strict=True):
                verdict = verdicts.get((sample.task_id, sample.sample_index))
                file.write(_line(_feedback(run, inputs, sample, verdict, look, model)))
            file.flush()
    return path


def read_feedback(path: Path) -> Iterator[Feedback]:
    """Yield the feedback of a file. Raises UsageError, with file and line, for a line that is none."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield msgspec.convert(json.loads(line), Feedback)
                except (ValueError, RecursionError) as error:
                    raise UsageError(f"{path}, line {number}: no feedback: {error}") from error
    except FileNotFoundError:
        raise UsageError(f"{path} is not there: has feedback been given?") from None


def _feedback(
    run: Run, inputs: str, sample: Sample, verdict: Verdict | None, look: Look, model: ModelView | None
) -> Feedback:
    judged = verdict is not None and verdict.outcome is not Outcome.NOT_JUDGED
    return Feedback(
        task_id=sample.task_id,
        sample_index=sample.sample_index,
        inputs=inputs,
        execution=verdict if judged else None,
        static=static_view(sample, verdict, look, run.config.stop),
        model=model,
    )


def _model_views(
    scorer: Model | None, samples: Sequence[Sample], tasks: dict[str, Task], config: FeedbackConfig
) -> Sequence[ModelView | None]:
    if scorer is None:
        return [None] * len(samples)
    settings = GenerationSettings(max_new_tokens=config.max_new_tokens, batch_size=config.batch_size)
    answers = [
        Answer(task=tasks[sample.task_id], sample_index=sample.sample_index, program=sample.program)
        for sample in samples
    ]
    return assess(scorer, answers, settings)


def _digest_of_inputs(run: Run, config: FeedbackConfig, scorer: Model | None) -> str:
    """Return the SHA-256 of what decides the views; how many go through at a time does not."""
    inputs = [
        hashlib.sha256((run.folder / name).read_bytes()).hexdigest() for name in ("samples.jsonl", "verdicts.jsonl")
    ]
    if config.lint:
        inputs += ["pylint", pylint_version(), *DISABLED]
    if scorer is not None:
        prompt = digest_of_prompt(PromptName.SCORE_ANSWER)
        inputs += ["scorer", scorer.name, scorer.digest, prompt, str(config.max_new_tokens)]
    return hashlib.sha256("\n".join(inputs).encode()).hexdigest()


def _kept(path: Path, inputs: str) -> set[tuple[str, int]]:
    """Return the samples that have their feedback, and cut off the line that a killed process left unfinished.

    Raises UsageError when the feedback is on something else.
    """
    if not path.is_file():
        return set()
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("rb+") as file:
            file.truncate(whole)
    done = set()
    for one in read_feedback(path):
        if one.inputs != inputs:
            raise UsageError(f"{path} is feedback on another run, or with another model or Pylint: name another folder")
        done.add((one.task_id, one.sample_index))
    return done


def _line(record: Feedback) -> str:
    # ASCII, since a model's text may hold half a surrogate pair, which UTF-8 does not.
    return json.dumps(msgspec.to_builtins(record), separators=(",", ":")) + "\n"
