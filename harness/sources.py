"""Where samples come from: a samples file, a benchmark's own solutions, or a model that writes them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.backends import OpenModels as OpenModels
from harness.backends import open_model as open_model
from harness.backends import prompts_at_once as prompts_at_once
from harness.chat import Chat
from harness.errors import UsageError
from harness.model_options import HF, OPENAI
from harness.model_options import ModelOptions as ModelOptions
from harness.models.reference import ReferenceModel
from harness.models.seam import (
    Batching,
    Completion,
    GenerationSettings,
    Model,
    Prompt,
    Reading,
    Thinker,
)
from harness.prompts import AskedPrompt, asked_prompts, chat_protocol, whole_groups
from harness.protocols import Rules, default, rules_for
from harness.reasoning import ReasoningRule, answer_of
from harness.records import Benchmark, RunConfig, Sample, StopReason, Task
from harness.retrieval.source import PROTOCOL, Answers, open_answers, see_that_nothing_ranks
from harness.samples import read_samples
from harness.sampling import Decoding as Decoding
from harness.sampling import Resolved, resolved_by
from harness.scores import Latency
from harness.tokens import TokenScore, scores_by


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
    tokenizer_digest: str = ""
    template_digest: str = ""
    prompts: tuple[AskedPrompt, ...] = ()  # one per task, where a model says what it is asked
    exits: int = 0  # of an encoder, how many are timed
    latencies: Callable[[Container[int]], Iterator[Latency]] | None = None  # but for exits that are given
    run: RunConfig | None = None  # the run that the samples were written in, where they are another run's


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
    if benchmark.corpora:
        return _from_answers(open_answers(str(model), benchmark, tasks, decoding, models.options), len(tasks))
    see_that_nothing_ranks(models.options)
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


def _from_answers(answers: Answers, total: int) -> Source:
    """Return rankings as samples."""
    return Source(
        name=answers.name,
        digest=answers.digest,
        backend=answers.backend,
        protocol=PROTOCOL,
        decoding=answers.decoding,
        total=total,
        samples=answers.samples,
        exits=answers.exits,
        latencies=answers.latencies,
        versions=answers.versions,
        runtime=answers.runtime,
        tokenizer_digest=answers.tokenizer_digest,
        is_at_hand=answers.backend == "reference",
    )


def _one_each(decoding: Decoding) -> Decoding:
    if decoding.n_samples not in (None, 1):
        raise UsageError("the canonical solutions are one per task: leave --n-samples out")
    return replace(decoding, n_samples=1, temperature=0.0)


def _from_opened(
    name: str, benchmark: Benchmark, tasks: tuple[Task, ...], decoding: Decoding, models: OpenModels
) -> Source:
    rules = rules_for(decoding.protocol, benchmark)  # known before a model is opened
    if any(isinstance(rules.prompt(task), Chat) for task in tasks[:1]):
        models.see_that_it_chats(name)
    model = models.get(name)
    source = _from_model(model, benchmark, tasks, decoding, (rules.name, models.options.backend))
    if decoding.protocol == default.NAME and source.template_digest and (other := chat_protocol(benchmark)):
        models.say_once(
            f"{name} has a chat template, and the protocol {default.NAME} has it go on from texts: --protocol {other} "
            "asks it as a chat model"
        )
    for text in _crowded(source, benchmark, rules):
        models.say_once(text)
    runtime = model.runtime
    return replace(
        source,
        versions=model.versions(),
        runtime=runtime if isinstance(runtime, dict) else runtime.recorded(),
    )


def _crowded(source: Source, benchmark: Benchmark, rules: Rules) -> Iterator[str]:
    """Yield what to know of prompts that leave no room for an answer."""
    limit = source.decoding.max_length
    full = [one.task_id for one in source.prompts if limit is not None and (one.tokens or 0) >= limit]
    if full:
        yield (
            f"{len(full)} of {len(source.prompts)} prompts of {benchmark.name}, first {full[0]}, have {limit} tokens "
            f"or more, which {rules.name} gives to prompt and answer together: nothing is asked there, and their "
            "samples have run out of tokens. --max-new-tokens is for the answer alone"
        )


def _from_model(
    model: Model, benchmark: Benchmark, tasks: tuple[Task, ...], decoding: Decoding, names: tuple[str, str]
) -> Source:
    """Return a source that has a model write what is not there yet, in the order of tasks."""
    rules = rules_for(decoding.protocol, benchmark)
    resolved = resolved_by(decoding, rules, prompts_at_once(model, names[1]), _fitting(model, rules, tasks[0]))
    settings = GenerationSettings(
        temperature=resolved.temperature,
        top_p=resolved.top_p,
        max_new_tokens=resolved.max_new_tokens,
        max_length=resolved.max_length,
        stop=rules.stop,
        batch_size=resolved.batch_size,
        reasoning=resolved.reasoning,
        max_reasoning_tokens=resolved.max_reasoning_tokens,
    )

    by_id = {task.task_id: task for task in tasks}
    texts = {task.task_id: rules.prompt(task) for task in tasks}

    def prompt_of(task: Task, index: int) -> Prompt:
        seed = sample_seed(resolved.seed, task.task_id, index)
        return Prompt(task_id=task.task_id, sample_index=index, text=texts[task.task_id], seed=seed)

    def pending(stored: Container[tuple[str, int]]) -> Iterator[Sample]:
        together = model.together(resolved.batch_size) if isinstance(model, Batching) else 1
        keys = ((task.task_id, index) for task in tasks for index in range(resolved.n_samples))
        prompts = [prompt_of(by_id[task_id], index) for task_id, index in whole_groups(keys, stored, together)]
        limit = resolved.time_limit_seconds
        timed = settings if limit is None else replace(settings, deadline=time.monotonic() + limit)
        for prompt, completion in zip(prompts, model.generate(prompts, timed), strict=True):
            task = by_id[prompt.task_id]
            if (prompt.task_id, prompt.sample_index) in stored:
                continue
            if completion.stop_reason is StopReason.TIME:  # not answered, which is another thing than wrongly
                continue
            if completion.stop_reason is StopReason.REFERENCE:
                yield _sample(prompt, completion, task.reference, "")
            else:
                # Where a server has taken the thinking out, all the rest is the answer.
                rule = resolved.reasoning if completion.reasoning is None else ReasoningRule.NONE
                program = rules.program(task, answer_of(completion.text, rule))
                yield replace(_sample(prompt, completion, program, rules.extraction), reasoning_rule=rule)

    return Source(
        name=model.name,
        digest=model.digest,
        backend=names[1],
        protocol=names[0],
        decoding=resolved,
        total=len(tasks) * resolved.n_samples,
        samples=pending,
        token_scores=scores_by(model, benchmark, tasks, resolved.batch_size),
        stop=rules.stop,
        is_at_hand=isinstance(model, ReferenceModel),
        extraction="" if isinstance(model, ReferenceModel) else rules.extraction,
        prompts=asked_prompts(model, [prompt_of(task, 0) for task in tasks], settings),
        tokenizer_digest=model.tokenizer_digest if isinstance(model, Reading) else "",
        template_digest=model.template_digest if isinstance(model, Reading) else "",
    )


def _fitting(model: Model, rules: Rules, task: Task) -> ReasoningRule:
    """Return what the model says of its thinking, when it is asked as this protocol asks."""
    if not isinstance(model, Thinker):
        return ReasoningRule.NONE
    return model.reasoning(Prompt(task_id=task.task_id, sample_index=0, text=rules.prompt(task), seed=0))


def _sample(prompt: Prompt, completion: Completion, program: str, extraction: str) -> Sample:
    is_all_thinking = bool(completion.reasoning) and not completion.text  # which a server may count, or not
    return Sample(
        task_id=prompt.task_id,
        sample_index=prompt.sample_index,
        completion=completion.text,
        program=program,
        stop_reason=completion.stop_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        reasoning=completion.reasoning,
        reasoning_tokens=completion.completion_tokens if is_all_thinking else completion.reasoning_tokens,
        seed=prompt.seed,
        extraction=extraction,
    )


def sample_seed(seed: int, task_id: str, sample_index: int) -> int:
    """Return the seed of one sample: a hash of the run's seed, the task and the index, in 0..2**63-1."""
    text = f"{seed}\0{task_id}\0{sample_index}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
