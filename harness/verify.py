"""Judge a random sample of a run's stored programs again, and compare with the stored verdicts."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from harness import metrics
from harness.cells import open_cells
from harness.errors import UsageError
from harness.evidence import shown
from harness.judge import Judge
from harness.records import Outcome, RunConfig, Verdict
from harness.report import KS, Tally
from harness.resolving import rule_of
from harness.runs import Run, load_run
from sandbox import Limits


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
    """Judge `count` random samples of a run again (all if there are fewer), those left out that were not judged.

    Raises UsageError when the run's benchmark is not the same here any more, or its files do not fit together.
    """
    run = load_run(folder)
    benchmark = run.benchmark()
    tasks = {task.task_id: task for task in benchmark.tasks}
    verdicts = _see_that_it_adds_up(run, frozenset(tasks))
    judged = sorted(key for key, verdict in verdicts.items() if verdict.outcome is not Outcome.NOT_JUDGED)
    chosen = set(random.Random(seed).sample(judged, min(count, len(judged))))
    limits = _limits(run.config)
    mismatches: list[Mismatch] = []
    with closing(open_cells(benchmark, sandbox, limits, workers)) as cells:
        judge = Judge(cells, limits, rule_of(run.config))
        for sample in run.samples():
            key = (sample.task_id, sample.sample_index)
            if key in chosen:
                mismatches += _mismatch(verdicts[key], judge.judge(tasks[sample.task_id], sample))
    return Verification(checked=len(chosen), total=len(verdicts), mismatches=tuple(mismatches))


def _see_that_it_adds_up(run: Run, tasks: frozenset[str]) -> dict[tuple[str, int], Verdict]:
    """Return the verdicts by task and sample, which must be one per sample and make the report. Raises UsageError."""
    verdicts: dict[tuple[str, int], Verdict] = {}
    tally = Tally()
    for verdict in run.verdicts():
        key = (verdict.task_id, verdict.sample_index)
        if key in verdicts or verdict.task_id not in tasks:
            what = "has two verdicts" if key in verdicts else f"is no task of {run.config.benchmark}"
            raise UsageError(f"{run.folder}: {shown(verdict.task_id)} {what}")
        verdicts[key] = verdict
        tally.add_verdict(verdict)
    samples = [(sample.task_id, sample.sample_index) for sample in run.samples()]
    if len(samples) != len(verdicts) or set(samples) != verdicts.keys():
        raise UsageError(f"{run.folder}: the verdicts are not those of the samples")
    counts = {task: (judged, tally.passed[task]) for task, judged in tally.judged.items()}
    scores = {k: round(one.value, 9) for k, one in metrics.pass_at_ks(counts, KS).items()}
    reported = {k: round(one.value, 9) for k, one in run.report.pass_at_k.items()}
    if scores != reported or run.report.outcomes != {one.value: count for one, count in tally.outcomes.items()}:
        raise UsageError(f"{run.folder}: the report's counts and scores are not those of its verdicts")
    reached = {task for task, _ in verdicts}
    if reached | {*run.report.missing_tasks} != {*run.config.task_ids}:
        raise UsageError(f"{run.folder}: tasks are neither judged nor reported as missing")
    return verdicts


def _limits(config: RunConfig) -> Limits:
    return Limits(cpu_seconds=config.cpu_seconds, wall_seconds=config.wall_seconds, memory_bytes=config.memory_bytes)


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
