"""Judge a random sample of a run's stored programs again, and compare with the stored verdicts."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from harness.benchmarks import load_benchmark
from harness.errors import UsageError
from harness.judge import EvalPlusRule, Judge
from harness.records import Outcome, RunConfig, Sample, Verdict
from harness.runs import Run, load_run
from harness.store import SAMPLES, read_lines
from sandbox import Limits, open_sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A sample whose stored verdict is not what judging it again gives."""

    task_id: str
    sample_index: int
    stored: Outcome
    again: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """How many samples were judged again, and which came out differently (as passed or not)."""

    checked: int
    total: int
    mismatches: tuple[Mismatch, ...]


def verify(folder: Path, count: int, seed: int, sandbox: str = "auto", workers: int = 2) -> Verification:
    """Judge `count` random samples of a run again (all if there are fewer).

    Raises UsageError when the run's benchmark is not the same here any more, or its files do not fit together.
    """
    run = load_run(folder)
    benchmark = load_benchmark(_source(run.config))
    if benchmark.digest != run.config.dataset_digest:
        raise UsageError(f"{run.config.benchmark} here has digest {benchmark.digest:.12}, the run's another")
    _see_that_it_adds_up(run)
    verdicts = {(verdict.task_id, verdict.sample_index): verdict for verdict in run.verdicts()}
    chosen = set(random.Random(seed).sample(sorted(verdicts), min(count, len(verdicts))))
    tasks = {task.task_id: task for task in benchmark.tasks}
    mismatches: list[Mismatch] = []
    limits = _limits(run.config)
    with closing(open_sandbox(sandbox, limits, workers)) as cells:
        judge = Judge(cells, limits, _rule(run.config))
        for sample in read_lines(folder / SAMPLES, Sample):
            key = (sample.task_id, sample.sample_index)
            if key in chosen:
                chosen.discard(key)
                mismatches += _mismatch(verdicts[key], judge.judge(tasks[sample.task_id], sample))
    if chosen:
        raise UsageError(f"{folder}: {len(chosen)} verdicts have no sample, e.g. {min(chosen)}")
    return Verification(checked=min(count, len(verdicts)), total=len(verdicts), mismatches=tuple(mismatches))


def _source(config: RunConfig) -> str:
    """Return what to load the benchmark by: its name, or the file of a benchmark of one's own."""
    from harness.benchmarks import names

    return config.benchmark if config.benchmark in names() else config.dataset_source


def _see_that_it_adds_up(run: Run) -> None:
    """Compare the report with the verdicts that it is made of. Raises UsageError."""
    counts: dict[str, int] = dict.fromkeys((outcome.value for outcome in Outcome), 0)
    for verdict in run.verdicts():
        counts[verdict.outcome] += 1
    if counts != run.report.outcomes:
        raise UsageError(f"{run.folder}: the report's counts are not those of its verdicts")


def _limits(config: RunConfig) -> Limits:
    return Limits(cpu_seconds=config.cpu_seconds, wall_seconds=config.wall_seconds, memory_bytes=config.memory_bytes)


def _rule(config: RunConfig) -> EvalPlusRule:
    if config.call_cpu_seconds is None or config.call_cpu_factor is None:
        return EvalPlusRule()
    return EvalPlusRule(least=config.call_cpu_seconds, factor=config.call_cpu_factor)


def _mismatch(stored: Verdict, again: Verdict) -> list[Mismatch]:
    if stored.passed == again.passed:
        return []
    return [
        Mismatch(
            task_id=stored.task_id,
            sample_index=stored.sample_index,
            stored=stored.outcome,
            again=again.outcome,
        )
    ]
