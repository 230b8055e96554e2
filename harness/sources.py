"""Where samples come from: a samples file, a benchmark's own solutions, or a model that writes them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.model_options import OPENAI
from harness.model_options import ModelOptions as ModelOptions
from harness.models.reference import ReferenceModel
from harness.models.seam import Completion, GenerationSettings, Model, Prompt, Scorer
from harness.protocols import Rules, family_of, rules_for
from harness.records import Benchmark, Sample, StopReason, Task
from harness.samples import read_samples
from harness.tokens import TokenScore, scored_text

if TYPE_CHECKING:
    from harness.models.local import LocalModel
    from harness.models.server import ServerModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How a model is sampled; None takes the protocol's own value.

    After `time_limit_seconds` of writing (None: no limit) no more samples come, and the report says
    `stopped_early`; what was answered is judged. The same call again goes on with the others, and has its time anew.
    """

    protocol: str = "default"
    n_samples: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    seed: int = 0
    batch_size: int = 8
    time_limit_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Decoding with nothing left open."""

    n_samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 0
    seed: int = 0
    batch_size: int = 1
    time_limit_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A stream of samples. `samples(stored)` yields those whose (task_id, sample_index) is not in `stored`.

    `token_scores(stored)` yields the scores of the tasks that are not in `stored`; None where there are none to be had.
    """

    name: str
    digest: str
    backend: str
    protocol: str
    decoding: Resolved
    total: int
    samples: Callable[[Container[tuple[str, int]]], Iterator[Sample]]
    token_scores: Callable[[Container[str]], Iterator[TokenScore]] | None = None
    stop: tuple[str, ...] = ()
    missing_tasks: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    runtime: dict[str, str] = field(default_factory=dict)  # e.g. dtype and device, on which samples depend


def open_source(
    model: str | None,
    samples: Path | None,
    benchmark: Benchmark,
    tasks: tuple[Task, ...],
    decoding: Decoding,
    options: ModelOptions,
    partial: bool,
) -> Source:
    """Return the source for a request; reads the file or loads the model. Raises UsageError or ModelUnavailable."""
    if samples is not None:
        return _from_file(samples, benchmark, tasks, partial)
    if options.backend == OPENAI:
        return _from_server(str(model), benchmark, tasks, decoding, options)
    if model == "canonical":
        return _from_model(ReferenceModel(benchmark), benchmark, tasks, _one_each(decoding), ("canonical", "reference"))
    return _from_checkpoint(str(model), benchmark, tasks, decoding, options)


def _from_file(path: Path, benchmark: Benchmark, tasks: tuple[Task, ...], partial: bool) -> Source:
    places = {task.task_id: place for place, task in enumerate(tasks)}
    file = read_samples(path, benchmark, partial, places)
    # A task's samples together: its tests are then made ready once.
    ordered = sorted(file.samples, key=lambda sample: (places[sample.task_id], sample.sample_index))

    def pending(stored: Container[tuple[str, int]]) -> Iterator[Sample]:
        return (sample for sample in ordered if (sample.task_id, sample.sample_index) not in stored)

    return Source(
        name=path.name,
        digest=file.digest,
        backend="file",
        protocol="samples",
        decoding=Resolved(n_samples=max((sample.sample_index for sample in ordered), default=0) + 1),
        total=len(ordered),
        samples=pending,
        missing_tasks=file.missing_tasks,
    )


def _one_each(decoding: Decoding) -> Decoding:
    if decoding.n_samples not in (None, 1):
        raise UsageError("the canonical solutions are one per task: leave --n-samples out")
    return replace(decoding, n_samples=1, temperature=0.0)


def open_model(name: str, options: ModelOptions | None = None) -> Model:
    """Return the model that `--model` would take: a checkpoint folder, an id on the hub, a name on a server.

    For callers with prompts of their own; those of a benchmark's tasks are `open_source`'s. Raises UsageError for
    `canonical`, which answers tasks alone, and ModelUnavailable for what cannot be fetched, loaded or reached.
    """
    if options is not None and options.backend == OPENAI:
        return _connect(name, options)
    if name == "canonical":
        raise UsageError("canonical knows the solutions of a benchmark and answers no other prompt: name a model")
    return _load(name, options or ModelOptions())


def _load(name: str, options: ModelOptions) -> LocalModel:
    from harness.models.local import LocalModel

    return LocalModel.load(
        name,
        dtype=options.dtype,
        device=options.device,
        trust_remote_code=options.trust_remote_code,
        revision=options.revision,
    )


def _connect(name: str, options: ModelOptions) -> ServerModel:
    from harness.models.patience import Patience
    from harness.models.server import ServerModel

    return ServerModel.connect(name, options.base_url, Patience(request_seconds=options.request_seconds))


def _from_server(
    name: str, benchmark: Benchmark, tasks: tuple[Task, ...], decoding: Decoding, options: ModelOptions
) -> Source:
    rules = rules_for(decoding.protocol, benchmark.name)  # known before anything is asked
    served = _connect(name, options)
    source = _from_model(served, benchmark, tasks, decoding, (rules.name, OPENAI))
    return replace(source, versions=served.versions(), runtime=served.runtime)


def _from_checkpoint(
    name: str, benchmark: Benchmark, tasks: tuple[Task, ...], decoding: Decoding, options: ModelOptions
) -> Source:
    rules = rules_for(decoding.protocol, benchmark.name)  # known before a model is loaded
    loaded = _load(name, options)
    source = _from_model(loaded, benchmark, tasks, decoding, (rules.name, "hf"))
    runtime = {
        "dtype": loaded.runtime.dtype,
        "device": loaded.runtime.device,
        "parameters": str(loaded.parameters),
    }
    return replace(source, versions=loaded.versions(), runtime=runtime)


def _from_model(
    model: Model, benchmark: Benchmark, tasks: tuple[Task, ...], decoding: Decoding, names: tuple[str, str]
) -> Source:
    """Return a source that has a model write what is not there yet, in the order of tasks."""
    rules = rules_for(decoding.protocol, benchmark.name)
    resolved = _resolved(decoding, rules)
    stop = rules.stop(family_of(benchmark.name))
    settings = GenerationSettings(
        temperature=resolved.temperature,
        top_p=resolved.top_p,
        max_new_tokens=resolved.max_new_tokens,
        stop=stop,
        batch_size=resolved.batch_size,
    )

    def pending(stored: Container[tuple[str, int]]) -> Iterator[Sample]:
        wanted = [
            (task, index)
            for task in tasks
            for index in range(resolved.n_samples)
            if (task.task_id, index) not in stored
        ]
        prompts = [
            Prompt(
                task_id=task.task_id,
                sample_index=index,
                text=rules.prompt(task),
                seed=sample_seed(resolved.seed, task.task_id, index),
            )
            for task, index in wanted
        ]
        limit = resolved.time_limit_seconds
        timed = settings if limit is None else replace(settings, deadline=time.monotonic() + limit)
        for (task, _), prompt, completion in zip(wanted, prompts, model.generate(prompts, timed), strict=True):
            if completion.stop_reason is StopReason.TIME:  # not answered, which is another thing than wrongly
                continue
            program = (
                task.reference
                if completion.stop_reason is StopReason.REFERENCE
                else rules.program(task, completion.text)
            )
            yield _sample(prompt, completion, program)

    return Source(
        name=model.name,
        digest=model.digest,
        backend=names[1],
        protocol=names[0],
        decoding=resolved,
        total=len(tasks) * resolved.n_samples,
        samples=pending,
        token_scores=_token_scores(model, benchmark, tasks, resolved.batch_size),
        stop=stop,
    )


def _token_scores(
    model: Model, benchmark: Benchmark, tasks: tuple[Task, ...], batch_size: int
) -> Callable[[Container[str]], Iterator[TokenScore]] | None:
    """Return what scores the tasks' texts, if the benchmark wants it and the model can."""
    if not (benchmark.scores_tokens and isinstance(model, Scorer)):
        return None
    scorer: Scorer = model

    def pending(stored: Container[str]) -> Iterator[TokenScore]:
        wanted = [task for task in tasks if task.task_id not in stored]
        texts = [scored_text(task) for task in wanted]
        scores = scorer.next_token_accuracy(texts, batch_size)
        for task, text, score in zip(wanted, texts, scores, strict=True):
            yield TokenScore(
                task_id=task.task_id,
                tokens=score.tokens,
                predicted=score.predicted,
                right=score.right,
                characters=len(text),
            )

    return pending


def _resolved(decoding: Decoding, rules: Rules) -> Resolved:
    n_samples = rules.n_samples if decoding.n_samples is None else decoding.n_samples
    temperature = rules.temperature if decoding.temperature is None else decoding.temperature
    if n_samples < 1:
        raise UsageError(f"--n-samples {n_samples}: at least 1")
    if decoding.time_limit_seconds is not None and decoding.time_limit_seconds <= 0:
        raise UsageError(f"a time limit of {decoding.time_limit_seconds} s: more than 0")
    if n_samples > 1 and temperature == 0.0:
        raise UsageError(f"{n_samples} greedy samples of a task are all the same: give --temperature as well")
    return Resolved(
        n_samples=n_samples,
        temperature=temperature,
        top_p=rules.top_p if decoding.top_p is None else decoding.top_p,
        max_new_tokens=rules.max_new_tokens if decoding.max_new_tokens is None else decoding.max_new_tokens,
        seed=decoding.seed,
        batch_size=decoding.batch_size,
        time_limit_seconds=decoding.time_limit_seconds,
    )


def _sample(prompt: Prompt, completion: Completion, program: str) -> Sample:
    return Sample(
        task_id=prompt.task_id,
        sample_index=prompt.sample_index,
        completion=completion.text,
        program=program,
        stop_reason=completion.stop_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        seed=prompt.seed,
    )


def sample_seed(seed: int, task_id: str, sample_index: int) -> int:
    """Return the seed of one sample: a hash of the run's seed, the task and the index, in 0..2**63-1."""
    text = f"{seed}\0{task_id}\0{sample_index}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
