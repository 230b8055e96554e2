"""Run folders made by hand: what `harness eval` would write, with outcomes of our choosing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from harness.metrics import pass_at_ks
from harness.records import (
    Evidence,
    Outcome,
    Report,
    RunConfig,
    Sample,
    StopReason,
    TierScore,
    Tokens,
    Verdict,
    to_json,
)
from harness.store import fingerprint, write_whole
from leaderboards.build import Built

PASSED, FAILED = Outcome.PASSED, Outcome.FAILED
EVIDENCE = Evidence(reason="assert f(3) == 9", call="f(3)", expected="9", actual="6")
CONFIG = RunConfig(
    benchmark="humaneval",
    dataset_digest="d" * 64,
    dataset_source="HumanEval.jsonl.gz",
    model="org/model",
    model_digest="m" * 64,
    backend="hf",
    protocol="default",
    n_samples=1,
    temperature=0.0,
    top_p=1.0,
    max_new_tokens=512,
    stop=("\ndef ",),
    seed=0,
    task_ids=(),
    partial=False,
    sandbox="docker",
    image_digest="sha256:1",
    cpu_seconds=3.0,
    wall_seconds=10.0,
    memory_bytes=1 << 30,
    call_cpu_seconds=None,
    call_cpu_factor=None,
)


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What a run's samples say; `evidence` is that of every sample that did not pass."""

    program: str = "def f(x):\n    return 2 * x\n"
    evidence: Evidence = EVIDENCE
    task: str = "HumanEval/{}"
    tiers: tuple[TierScore, ...] = ()
    tokens: Tokens = field(default_factory=Tokens)


PLAIN = Texts()


class MakeRun(Protocol):
    """Write a run folder: `outcomes` has one list of outcomes a task, `base` which of them passed the base tests."""

    def __call__(
        self,
        name: str,
        outcomes: Sequence[Sequence[Outcome]],
        texts: Texts = ...,
        base: Sequence[Sequence[bool]] | None = ...,
        **settings: Any,
    ) -> Path: ...


def outcomes_of(bits: str) -> list[list[Outcome]]:
    """Return one sample a task: 1 passed, 0 failed."""
    return [[PASSED if bit == "1" else FAILED] for bit in bits]


def records(
    outcomes: Sequence[Sequence[Outcome]], texts: Texts, base: Sequence[Sequence[bool]] | None
) -> Iterator[tuple[Sample, Verdict]]:
    for place, of_task in enumerate(outcomes):
        for index, outcome in enumerate(of_task):
            task = texts.task.format(place)
            passed = outcome is PASSED
            yield (
                Sample(
                    task_id=task,
                    sample_index=index,
                    completion=texts.program,
                    program=texts.program,
                    stop_reason=StopReason.STOP,
                ),
                Verdict(
                    task_id=task,
                    sample_index=index,
                    outcome=outcome,
                    passed=passed,
                    tests_run=7 if passed else 3,
                    tests_expected=7,
                    evidence=Evidence() if passed else texts.evidence,
                    cpu_seconds=0.01,
                    wall_seconds=0.02,
                    peak_memory_bytes=1 << 20,
                    base_passed=base[place][index] if base is not None else None,
                ),
            )


def report_of(config: RunConfig, verdicts: Sequence[Verdict], texts: Texts) -> Report:
    """Return the report that the harness would write."""
    counted = dict.fromkeys((outcome.value for outcome in Outcome), 0)
    counts: dict[str, tuple[int, int]] = {}
    base: dict[str, tuple[int, int]] = {}
    for verdict in verdicts:
        counted[verdict.outcome] += 1
        if verdict.outcome is not Outcome.NOT_JUDGED:
            n, c = counts.get(verdict.task_id, (0, 0))
            counts[verdict.task_id] = (n + 1, c + verdict.passed)
            base[verdict.task_id] = (n + 1, base.get(verdict.task_id, (0, 0))[1] + bool(verdict.base_passed))
    is_plus = any(verdict.base_passed is not None for verdict in verdicts)
    return Report(
        benchmark=config.benchmark,
        protocol=config.protocol,
        model=config.model,
        tasks=len(config.task_ids),
        samples=len(verdicts),
        outcomes=counted,
        pass_at_k=pass_at_ks(counts),
        base_pass_at_k=pass_at_ks(base) if is_plus else None,
        tiers=texts.tiers,
        tokens=texts.tokens,
        seconds=round(0.02 * len(verdicts), 3),
        sandbox=config.sandbox,
        fingerprint=fingerprint(config),
    )


def write_run(
    folder: Path,
    outcomes: Sequence[Sequence[Outcome]],
    texts: Texts = PLAIN,
    base: Sequence[Sequence[bool]] | None = None,
    **settings: Any,
) -> Path:
    """Write a finished run to a folder and return it."""
    tasks = tuple(texts.task.format(place) for place in range(len(outcomes)))
    n_samples = max(len(of_task) for of_task in outcomes)
    config = replace(CONFIG, **{"task_ids": tasks, "n_samples": n_samples, **settings})
    pairs = list(records(outcomes, texts, base))
    folder.mkdir(parents=True)
    write_whole(folder / "run.json", to_json(asdict(config)))
    write_whole(folder / "samples.jsonl", "".join(to_json(sample) + "\n" for sample, _ in pairs))
    write_whole(folder / "verdicts.jsonl", "".join(to_json(verdict) + "\n" for _, verdict in pairs))
    write_whole(folder / "report.json", to_json(asdict(report_of(config, [verdict for _, verdict in pairs], texts))))
    return folder


@dataclass(frozen=True, kw_only=True)
class LargeBoard:
    """A leaderboard of 500 models on five benchmarks: its folder, and the seconds that it took to build."""

    out: Path
    built: Built
    seconds: float


SCALE: Mapping[str, int] = {"humaneval": 164, "humaneval+": 164, "mbpp": 500, "mbpp+": 378, "ladder": 120}
KINDS = 25  # different sets of verdicts for each benchmark; models share their files by hard links


def many_runs(top: Path, models: int) -> Path:
    """Write `models` x 5 runs whose scores differ, with a tier score each, quickly."""
    patterns = {}
    for benchmark, tasks in SCALE.items():
        for kind in range(KINDS):
            passed = [(task * 7919 + kind * 104_729) % 1000 < 150 + 30 * kind for task in range(tasks)]
            outcomes = [[PASSED if one else FAILED] for one in passed]
            base = [[True] if one else [task % 3 == 0] for task, one in enumerate(passed)] if "+" in benchmark else None
            folder = top / ".kinds" / f"{benchmark}-{kind}"
            patterns[benchmark, kind] = write_run(folder, outcomes, Texts(task=benchmark + "/{}"), base)
    for model in range(models):
        for benchmark, tasks in SCALE.items():
            kind = (model * 13) % KINDS
            source = patterns[benchmark, kind]
            folder = top / f"model-{model:03}" / benchmark
            folder.mkdir(parents=True)
            for name in ("samples.jsonl", "verdicts.jsonl"):
                os.link(source / name, folder / name)
            ids = tuple(f"{benchmark}/{task}" for task in range(tasks))
            config = replace(
                CONFIG,
                benchmark=benchmark,
                model=f"org/model-{model:03}",
                model_digest=f"{model:064}",
                task_ids=ids,
                runtime={"parameters": str((model + 1) * 90_000_000)},
            )
            text = (source / "report.json").read_text().replace('"org/model"', f'"org/model-{model:03}"')
            write_whole(folder / "report.json", text.replace('"benchmark":"humaneval"', f'"benchmark":"{benchmark}"'))
            write_whole(folder / "run.json", to_json(asdict(config)))
    return top
