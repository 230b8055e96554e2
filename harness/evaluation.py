"""The main path: tasks -> samples -> verdicts -> report.

A verdict is on disk before the next is counted, and what the run folder holds is not done again: a killed run goes on.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.benchmarks import PLUS, load_benchmark
from harness.benchmarks.shots import with_shots
from harness.cells import open_cells, open_program_cells
from harness.errors import UsageError
from harness.judge import EvalPlusRule, Judge
from harness.known import KnownVerdicts, own_file
from harness.progress import NoProgress, Progress
from harness.protocols import rules_for
from harness.records import Benchmark, Report
from harness.repeat import see_that_it_is_the_same
from harness.report import Tally
from harness.resolving import chosen_tasks, judged_in, limits_for, limits_of, resolve
from harness.selfcheck import see_that_it_holds
from harness.sequential import StopRule
from harness.sources import Decoding, ModelOptions, OpenModels, Source, open_source
from harness.stages import JudgedRun, score_tokens, time_exits, write_samples
from harness.store import RunFolder, read_config
from harness.stored import is_run, stored_source
from harness.tier_plan import TierPlan, plan_tiers
from sandbox import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig:
    """What `harness eval` was asked for. One of `model` and `samples` is set. `limit` takes the first tasks only.

    `samples` is a file, or the folder of a run whose samples are judged here. With `audit`, those of a model that do
    not pass are judged by the other extraction rules as well, which changes no score.

    With `until`, tasks come in random order and the run ends once that rule has decided. `tiers` is a file of tiers
    (None: those of the reference solutions). A tier is weak below the pass rate of all tasks, or below `weak_below`
    (0..1), or below the run (or baseline file) `weak_baseline`. `cache` is a folder of verdicts of earlier runs.
    `shots` is a file of solved questions for GSM8K's prompts to show (None: the protocol's own).
    `repeats` is a run (its folder, or its run.json) whose samples these must be: anything else is refused.
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
    audit: bool = True
    repeats: Path | None = None
    shots: Path | None = None

    def __post_init__(self) -> None:
        if (self.model is None) == (self.samples is None):
            raise UsageError("give either a model (--model) or a samples file (--samples), and not both")
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise UsageError("name at least one benchmark in --tasks, and each only once")
        if self.samples is not None and len(self.tasks) > 1:
            raise UsageError("a samples file belongs to one benchmark: name one in --tasks")
        if self.shots is not None and self.samples is not None:
            raise UsageError(
                "solved questions (--shots) are shown to a model, and --samples are written: leave one out"
            )
        if self.tiers is not None and len(self.tasks) > 1:
            raise UsageError("a file of tiers belongs to one benchmark: name one in --tasks")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit {self.limit}: at least 1")
        if self.workers < 1:
            raise UsageError(f"--workers {self.workers}: at least 1")

    def audits(self, backend: str, benchmark: Benchmark) -> bool:
        """Whether samples of this backend are judged by other rules: where a rule has made programs of answers."""
        is_a_model = backend not in ("file", "reference")
        return self.audit and is_a_model and benchmark.runs_programs and self.until is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be evaluated, opened: a benchmark, its samples, its tiers (None: those of the samples' own run)."""

    benchmark: Benchmark
    source: Source
    plan: TierPlan | None
    out: Path


def evaluate(config: EvalConfig, progress: Progress | None = None) -> list[Report]:
    """Evaluate a model or samples file on each benchmark and return the reports, in the order of `config.tasks`.

    Each benchmark's run folder is `config.out`, or a folder in it named after the benchmark where there are several.
    Raises UsageError for what the user can mend, SandboxError or MeasurementInvalid where the machine fails.
    """
    with cells_ahead(config) as ahead, opened(config) as asked:
        return [judge(config, one, progress or NoProgress(), ahead) for one in asked]


@contextmanager
def cells_ahead(config: EvalConfig) -> Iterator[Future[Sandbox] | None]:
    """Make the cells while the tasks are read, where there is use for all of them at once and reading takes as long.

    So it is for programs at hand and EvalPlus's inputs. What the sandbox fails by is raised by the future alone.
    """
    is_at_hand = config.samples is not None or config.model == "canonical"
    if not (is_at_hand and config.tasks[0] in PLUS and len(config.tasks) == 1):
        yield None
        return

    def make() -> Sandbox:
        limits = limits_of(is_plus=True, config=config)
        sandbox = open_program_cells(config.sandbox, limits, config.workers, config.image, config.runtime)
        sandbox.warm()
        return sandbox

    with ThreadPoolExecutor(1, "cells ahead") as maker:
        made = maker.submit(make)
        try:
            yield made
        finally:
            if made.exception() is None:
                made.result().close()


@contextmanager
def opened(config: EvalConfig) -> Iterator[list[Asked]]:
    """Open everything that can be wrong with a request, before any work and without a sandbox. Raises UsageError."""
    if config.cache is not None:
        own_file(config.cache)
    with _no_look_for_garbage():
        benchmarks = [_benchmark(config, name) for name in config.tasks]
    with closing(OpenModels(config.options)) as models:
        sources = [_source(config, benchmark, models) for benchmark in benchmarks]
        asked = [
            Asked(
                benchmark=benchmark,
                source=source,
                plan=plan_tiers(benchmark, source.protocol, config.tiers, config.weak_below, config.weak_baseline),
                out=config.out if len(benchmarks) == 1 else config.out / benchmark.name,
            )
            for benchmark, source in zip(benchmarks, sources, strict=True)
        ]
        if config.repeats is not None:
            for one in asked:
                run = resolve(config, one.benchmark, one.source, one.plan)
                see_that_it_is_the_same(config.repeats, run, one.benchmark)
        yield asked


@contextmanager
def _no_look_for_garbage() -> Iterator[None]:
    """Keep Python from looking at EvalPlus's hundred thousand inputs over and over while they are read."""
    looked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked:
            gc.enable()


def _benchmark(config: EvalConfig, name: str) -> Benchmark:
    benchmark = load_benchmark(name)
    if config.until is not None and benchmark.corpora:
        raise UsageError(
            f"{name} is ranked set by set, and a sequential gate needs tasks in random order: gate a whole run"
        )
    if config.shots is None:
        return benchmark
    showing = with_shots(benchmark, config.shots)
    prompt = rules_for(config.decoding.protocol, benchmark).prompt
    if prompt(showing.tasks[0]) == prompt(benchmark.tasks[0]):
        raise UsageError(f"--shots changes no prompt of protocol {config.decoding.protocol!r}: leave it out")
    return showing


def _source(config: EvalConfig, benchmark: Benchmark, models: OpenModels) -> Source:
    if config.samples is not None and is_run(config.samples):
        run = replace(read_config(config.samples), origin=_other(config.samples, config.out))
        return stored_source(config.samples, run, benchmark, chosen_tasks(benchmark, config, run), config.partial)
    tasks = chosen_tasks(benchmark, config)
    return open_source(config.model, config.samples, benchmark, tasks, config.decoding, models, config.partial)


def _other(folder: Path, out: Path) -> str:
    """Return the name of a run's folder, unless it is the one that is written to."""
    return "" if folder.resolve() == out.resolve() else str(folder.resolve())


def judge(config: EvalConfig, asked: Asked, progress: Progress, ahead: Future[Sandbox] | None = None) -> Report:
    """Judge the samples of one benchmark, those first that have to be written, and return the report."""
    benchmark, source = asked.benchmark, asked.source
    limits = limits_for(benchmark, config)
    if ahead is not None:
        cells = ahead.result()
    else:
        cells = open_cells(benchmark, config.sandbox, limits, config.workers, config.image, config.runtime)
    with closing(cells) as sandbox:
        if source.is_at_hand and source.total > sandbox.capacity:
            sandbox.warm()  # else, while a model writes, cells are made as they are needed
        run = judged_in(resolve(config, benchmark, source, asked.plan), sandbox)
        see_that_it_holds(sandbox, limits.memory_bytes, benchmark)
        watch = config.until.watch(run) if config.until else None
        basis = (benchmark.name, benchmark.digest, sandbox.name, sandbox.image_digest, repr(limits), repr(config.rule))
        tasks = {task.task_id: task for task in benchmark.tasks}
        with (
            RunFolder(asked.out, run, config.resume) as store,
            closing(KnownVerdicts(tasks, basis, config.cache)) as known,
        ):
            judging = Judge(sandbox, limits, config.rule)
            return JudgedRun(store, benchmark, source, judging, known, watch).run(sandbox, progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Samples that are in a run folder: how many of how many. None of them is judged by what wrote them."""

    benchmark: str
    tasks: str  # what --tasks calls the benchmark
    folder: Path
    samples: int
    total: int


def generate(config: EvalConfig, progress: Progress | None = None) -> list[Written]:
    """Write the samples of each benchmark and judge none of them, so that no sandbox is needed.

    Raises UsageError for what the user can mend, ModelUnavailable where the model fails; what is written is kept.
    """
    with opened(config) as asked:
        return [
            _write(config, name, one, progress or NoProgress()) for name, one in zip(config.tasks, asked, strict=True)
        ]


def _write(config: EvalConfig, tasks: str, asked: Asked, progress: Progress) -> Written:
    source, tally, count = asked.source, Tally(), 0
    run = resolve(config, asked.benchmark, source, asked.plan)
    with RunFolder(asked.out, run, config.resume) as store, progress:
        stored = sum(1 for _ in store.samples())
        progress.start(f"{asked.benchmark.name}, samples", source.total, stored)
        for _ in write_samples(store, source, tally):
            count += 1
            if count > stored:
                progress.step(None, 0)
        score_tokens(store, source, tally, progress)
        time_exits(store, source, tally, progress)
    return Written(benchmark=asked.benchmark.name, tasks=tasks, folder=asked.out, samples=count, total=source.total)
