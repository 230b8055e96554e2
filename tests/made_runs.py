"""Finished runs and baselines made up for a test: real run folders, whose verdicts the test says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.records import Benchmark, Evidence, Outcome, RunConfig, Sample, StopReason, Verdict
from harness.report import Tally, build_report
from harness.runs import Baseline
from harness.store import RunFolder, fingerprint

Passes = Mapping[str, Sequence[bool | None]]  # per task, its samples: passed, failed, or (None) not judged

CONFIG = RunConfig(
    benchmark="toy",
    dataset_digest="d" * 64,
    dataset_source="toy.jsonl",
    model="student",
    model_digest="m" * 64,
    backend="file",
    protocol="samples",
    n_samples=1,
    temperature=0.0,
    top_p=1.0,
    max_new_tokens=0,
    stop=(),
    seed=0,
    task_ids=(),
    partial=False,
    sandbox="fake",
    image_digest="fake",
    cpu_seconds=3.0,
    wall_seconds=10.0,
    memory_bytes=1 << 30,
    call_cpu_seconds=None,
    call_cpu_factor=None,
)


def tasks(passed: int, failed: int = 0) -> dict[str, list[bool]]:
    """Return tasks `T/0`, `T/1`, ... of one sample, of which the first `passed` pass."""
    return {f"T/{number}": [number < passed] for number in range(passed + failed)}


def baseline(passes: Passes, **changes: Any) -> Baseline:
    """Return a baseline without a run folder."""
    judged = {task: [one for one in samples if one is not None] for task, samples in passes.items()}
    made = Baseline(
        benchmark="toy",
        model="student",
        dataset_digest="d" * 64,
        protocol="samples",
        counts={task: (len(samples), sum(samples)) for task, samples in judged.items() if samples},
        not_judged=sum(one is None for samples in passes.values() for one in samples),
    )
    return replace(made, **changes)


def sample(task_id: str, index: int = 0) -> Sample:
    return Sample(
        task_id=task_id, sample_index=index, completion="    pass\n", program="pass\n", stop_reason=StopReason.FILE
    )


def verdict(task_id: str, index: int, passed: bool | None) -> Verdict:
    outcome = {True: Outcome.PASSED, False: Outcome.FAILED, None: Outcome.NOT_JUDGED}[passed]
    return Verdict(
        task_id=task_id,
        sample_index=index,
        outcome=outcome,
        passed=bool(passed),
        tests_run=1,
        tests_expected=1,
        evidence=Evidence(reason="" if passed else "made up"),
        cpu_seconds=0.1,
        wall_seconds=0.2,
        peak_memory_bytes=1 << 20,
    )


def write_run(folder: Path, passes: Passes, stopped_early: bool = False, **changes: Any) -> Path:
    """Write a finished run whose verdicts are `passes`; `changes` are fields of its configuration."""
    changes.setdefault("task_ids", tuple(passes))
    changes.setdefault("n_samples", max(map(len, passes.values())))
    config = replace(CONFIG, **changes)
    tally = Tally()
    with RunFolder(folder, config, resume=False) as store:
        for task, samples in passes.items():
            for index, passed in enumerate(samples):
                store.add_sample(sample(task, index))
                store.add_verdict(verdict(task, index, passed))
                tally.add_verdict(verdict(task, index, passed))
        missing = tuple(task for task in config.task_ids if task not in passes)
        own = Benchmark(name=config.benchmark, tasks=(), digest=config.dataset_digest, source="")
        store.finish(build_report(tally, config, own, fingerprint(config), missing, stopped_early))
    return folder


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
