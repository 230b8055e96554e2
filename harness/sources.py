"""Where samples come from: a samples file, a benchmark's own solutions, or a model that writes them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.model_options import HF, OPENAI, VLLM
from harness.model_options import ModelOptions as ModelOptions
from harness.models.reference import ReferenceModel
from harness.models.seam import Closable, Completion, GenerationSettings, Model, Prompt, Scorer, Thinker
from harness.protocols import Rules, rules_for
from harness.reasoning import ReasoningRule, answer_of
from harness.records import Benchmark, RunConfig, Sample, StopReason, Task
from harness.samples import read_samples
from harness.sampling import Decoding as Decoding
from harness.sampling import Resolved, resolved_by
from harness.tokens import TokenScore, scored_text

if TYPE_CHECKING:
    from harness.models.local import LocalModel
    from harness.models.server import ServerModel
    from harness.models.vllm_engine import VllmModel

    AnyModel = LocalModel | ServerModel | VllmModel


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
    is_at_hand: bool = False  # nobody has to write the samples
    runtime: dict[str, str] = field(default_factory=dict)  # e.g. dtype and device, on which samples depend
    extraction: str = ""  # the name of the rule that makes programs of completions
    run: RunConfig | None = None  # the run that the samples were written in, where they are another run's


class OpenModels:
    """The models of one evaluation: each is opened when it is first asked for, and once. Close it to end them."""

    def __init__(self, options: ModelOptions) -> None:
        self.options = options
        self._open: dict[str, AnyModel] = {}

    def get(self, name: str) -> AnyModel:
        """Return the model that `--model` means by a name. Raises UsageError or ModelUnavailable."""
        if name not in self._open:
            self._open[name] = _opened(name, self.options)
        return self._open[name]

    def close(self) -> None:
        """End what has processes of its own, and let go of all of them."""
        while self._open:
            _, model = self._open.popitem()
            if isinstance(model, Closable):
                model.close()


def open_source(
    model: str | None,
    samples: Path | None,
    benchmark: Benchmark,
    tasks: tuple[Task, ...],
    decoding: Decoding,
    models: OpenModels,
    partial: bool,
) -> Source:
    """Return the source for a request; reads the file or opens the model. Raises UsageError or ModelUnavailable."""
    if samples is not None:
        return _from_file(samples, benchmark, tasks, partial)
    if model == "canonical" and models.options.backend != OPENAI:  # where it is a name like others
        if models.options.backend != HF:
            raise UsageError("canonical are a benchmark's own solutions, and no backend writes them: leave it out")
        return _from_model(ReferenceModel(benchmark), benchmark, tasks, _one_each(decoding), ("canonical", "reference"))
    return _from_opened(str(model), benchmark, tasks, decoding, models)


def _from_file(path: Path, benchmark: Benchmark, tasks: tuple[Task, ...], partial: bool) -> Source:
    task_ids = [task.task_id for task in tasks]
    file = read_samples(path, benchmark, partial, frozenset(task_ids))

    def pending(stored: Container[tuple[str, int]]) -> Iterator[Sample]:
        # A task's samples together: its tests are then made ready once.
        ordered = file.samples.by_task(task_ids)
        return (sample for sample in ordered if (sample.task_id, sample.sample_index) not in stored)

    return Source(
        name=path.name,
        digest=file.digest,
        backend="file",
        protocol="samples",
        decoding=Resolved(n_samples=max(file.samples.counts().values())),
        total=len(file.samples),
        samples=pending,
        missing_tasks=file.missing_tasks,
        is_at_hand=True,
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
    options = options or ModelOptions()
    if name == "canonical" and options.backend != OPENAI:
        raise UsageError("canonical knows the solutions of a benchmark and answers no other prompt: name a model")
    return _opened(name, options)


def _opened(name: str, options: ModelOptions) -> AnyModel:
    if options.backend == OPENAI:
        return _connect(name, options)
    return _start(name, options) if options.backend == VLLM else _load(name, options)


def _load(name: str, options: ModelOptions) -> LocalModel:
    from harness.models.local import LocalModel

    return LocalModel.load(
        name,
        dtype=options.dtype,
        device=options.device,
        trust_remote_code=options.trust_remote_code,
        revision=options.revision,
        quantization=options.quantization,
        peft_model=options.peft_model,
    )


def _connect(name: str, options: ModelOptions) -> ServerModel:
    from harness.models.patience import Patience
    from harness.models.server import ServerModel

    return ServerModel.connect(name, options.base_url, Patience(request_seconds=options.request_seconds))


def _start(name: str, options: ModelOptions) -> VllmModel:
    from harness.models.vllm_engine import VllmModel

    return VllmModel.load(name, options)


def _from_opened(
    name: str, benchmark: Benchmark, tasks: tuple[Task, ...], decoding: Decoding, models: OpenModels
) -> Source:
    rules = rules_for(decoding.protocol, benchmark.name)  # known before a model is opened
    model = models.get(name)
    source = _from_model(model, benchmark, tasks, decoding, (rules.name, models.options.backend))
    return replace(source, versions=model.versions(), runtime=_runtime_of(model))


def _runtime_of(model: AnyModel) -> dict[str, str]:
    runtime = model.runtime
    return runtime if isinstance(runtime, dict) else runtime.recorded()


def _from_model(
    model: Model, benchmark: Benchmark, tasks: tuple[Task, ...], decoding: Decoding, names: tuple[str, str]
) -> Source:
    """Return a source that has a model write what is not there yet, in the order of tasks."""
    rules = rules_for(decoding.protocol, benchmark.name)
    resolved = resolved_by(decoding, rules, names[1], _fitting(model, rules, tasks[0]))
    settings = GenerationSettings(
        temperature=resolved.temperature,
        top_p=resolved.top_p,
        max_new_tokens=resolved.max_new_tokens,
        stop=rules.stop,
        batch_size=resolved.batch_size,
        reasoning=resolved.reasoning,
        max_reasoning_tokens=resolved.max_reasoning_tokens,
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
            if completion.stop_reason is StopReason.REFERENCE:
                yield _sample(prompt, completion, task.reference, "")
            else:
                answer = answer_of(completion.text, resolved.reasoning)
                sample = _sample(prompt, completion, rules.program(task, answer), rules.extraction)
                yield replace(sample, reasoning_rule=resolved.reasoning)

    return Source(
        name=model.name,
        digest=model.digest,
        backend=names[1],
        protocol=names[0],
        decoding=resolved,
        total=len(tasks) * resolved.n_samples,
        samples=pending,
        token_scores=_token_scores(model, benchmark, tasks, resolved.batch_size),
        stop=rules.stop,
        is_at_hand=isinstance(model, ReferenceModel),
        extraction="" if isinstance(model, ReferenceModel) else rules.extraction,
    )


def _fitting(model: Model, rules: Rules, task: Task) -> ReasoningRule:
    """Return what the model says of its thinking, when it is asked as this protocol asks."""
    if not isinstance(model, Thinker):
        return ReasoningRule.NONE
    return model.reasoning(Prompt(task_id=task.task_id, sample_index=0, text=rules.prompt(task), seed=0))


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


def _sample(prompt: Prompt, completion: Completion, program: str, extraction: str) -> Sample:
    return Sample(
        task_id=prompt.task_id,
        sample_index=prompt.sample_index,
        completion=completion.text,
        program=program,
        stop_reason=completion.stop_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        reasoning_tokens=completion.reasoning_tokens,
        seed=prompt.seed,
        extraction=extraction,
    )


def sample_seed(seed: int, task_id: str, sample_index: int) -> int:
    """Return the seed of one sample: a hash of the run's seed, the task and the index, in 0..2**63-1."""
    text = f"{seed}\0{task_id}\0{sample_index}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
