"""Finished runs as others use them: read a run folder, a baseline file, or all runs below a folder.

A `Baseline` is the little of a run that a comparison needs; it comes from a run folder or from the small file that
`harness baseline` writes, to be committed beside the code that it guards.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.benchmarks import load_benchmark, names
from harness.errors import MissingDependency, UsageError
from harness.evidence import clean, shown
from harness.half import Half, halves
from harness.records import Benchmark, Evidence, Outcome, Report, RunConfig, Sample, Task, Verdict
from harness.store import REPORT, RUN, SAMPLES, VERDICTS, read_config, read_lines, read_report, write_whole

if TYPE_CHECKING:
    import pandas

FORMAT = 1
_SETTINGS = (
    "temperature",
    "top_p",
    "n_samples",
    "max_new_tokens",
    "seed",
    "cpu_seconds",
    "memory_bytes",
    "image_digest",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The part of a run that comparisons use. `counts` maps a task to its judged and its passed samples.

    `tiers` and `halves` are those of its tasks. A run that was `stopped_early` has judged until the answer was clear
    or its time was up, so its scores are not those of a whole one.
    """

    benchmark: str
    model: str
    dataset_digest: str
    protocol: str
    counts: dict[str, tuple[int, int]]
    settings: dict[str, str] = field(default_factory=dict)
    tiers: dict[str, str] = field(default_factory=dict)
    not_judged: int = 0
    stopped_early: bool = False
    format: int = FORMAT
    halves: dict[str, Half] = field(default_factory=dict)

    def rates(self) -> dict[str, float]:
        """Return the pass rate of each task with a judged sample."""
        return {task: passed / judged for task, (judged, passed) in self.counts.items() if judged}

    def of_half(self, half: Half, sides: Mapping[str, Half]) -> Baseline:
        """Return the same with the tasks of one half alone, by the halves given."""
        counts = {task: count for task, count in self.counts.items() if sides.get(task) is half}
        return replace(self, counts=counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run: its folder, configuration and report."""

    folder: Path
    config: RunConfig
    report: Report

    def verdicts(self, half: Half | None = None) -> Iterator[Verdict]:
        """Yield the verdicts, of one half if one is named.

        Raises UsageError for a line that is not one, and for a half of a run without tiers.
        """
        verdicts = read_lines(self.folder / VERDICTS, Verdict)
        if half is None:
            return verdicts
        sides = self.halves()
        if not sides:
            raise UsageError(f"{self.folder} knows no tiers of its tasks, so it has no halves: evaluate it again")
        return (verdict for verdict in verdicts if sides.get(verdict.task_id) is half)

    def halves(self) -> dict[str, Half]:
        """Return the half of each task of the benchmark, by the run's tiers."""
        return halves(self.config.tiers)

    def samples(self) -> Iterator[Sample]:
        """Yield the samples. Raises UsageError for a line that is not one."""
        return read_lines(self.folder / SAMPLES, Sample)

    def benchmark(self) -> Benchmark:
        """Return the benchmark that was run, read again. Raises UsageError when it is not the same here any more."""
        return benchmark_of(self.config)

    def tasks(self) -> tuple[Task, ...]:
        """Return the tasks that were run, in the run's order. Raises UsageError as `benchmark` does."""
        by_id = {task.task_id: task for task in self.benchmark().tasks}
        if unknown := [task_id for task_id in self.config.task_ids if task_id not in by_id]:
            raise UsageError(f"{self.folder}: {shown(unknown[0])} is no task of {shown(self.config.benchmark)}")
        return tuple(by_id[task_id] for task_id in self.config.task_ids)

    def baseline(self) -> Baseline:
        """Return what a comparison needs of this run."""
        counts: dict[str, tuple[int, int]] = {}
        not_judged = 0
        for verdict in self.verdicts():
            if verdict.outcome is Outcome.NOT_JUDGED:
                not_judged += 1
                continue
            judged, passed = counts.get(verdict.task_id, (0, 0))
            counts[verdict.task_id] = (judged + 1, passed + verdict.passed)
        return Baseline(
            benchmark=self.config.benchmark,
            model=self.config.model,
            dataset_digest=self.config.dataset_digest,
            protocol=self.config.protocol,
            counts=counts,
            settings=_settings(self.config),
            halves={task: half for task, half in self.halves().items() if task in counts},
            tiers={task: tier for task, tier in self.config.tiers.items() if task in counts},
            not_judged=not_judged,
            stopped_early=self.report.stopped_early,
        )

    def to_frame(self) -> pandas.DataFrame:
        """Return one row per verdict: benchmark, model, tier, the verdict's fields, and `evidence_…` for each evidence.

        Raises MissingDependency without pandas.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependency(
                "frames need pandas: pip install 'code-harness[leaderboard]', or pip install pandas"
            ) from error
        own = ["benchmark", "model", "tier"]
        of_verdict = [field.name for field in fields(Verdict) if field.name != "evidence"]
        of_evidence = [field.name for field in fields(Evidence)]
        rows = [
            [
                *(self.config.benchmark, self.config.model, self.config.tiers.get(verdict.task_id)),
                *(getattr(verdict, name) for name in of_verdict),
                *(getattr(verdict.evidence, name) for name in of_evidence),
            ]
            for verdict in self.verdicts()
        ]
        return pandas.DataFrame(rows, columns=[*own, *of_verdict, *(f"evidence_{name}" for name in of_evidence)])


def _settings(config: RunConfig) -> dict[str, str]:
    """Return what else may explain a difference between two runs, as text."""
    settings = {name: str(getattr(config, name)) for name in _SETTINGS}
    if config.reasoning.thinks:
        settings |= {"reasoning": config.reasoning, "max_reasoning_tokens": str(config.max_reasoning_tokens)}
    if config.max_length is not None:
        settings |= {"max_length": str(config.max_length)}
    return {**settings, "tiers_digest": config.tiers_digest} if config.tiers_digest else settings


def load_run(folder: Path | str) -> Run:
    """Read a finished run. Raises UsageError when the folder holds none."""
    folder = Path(folder)
    return Run(folder=folder, config=read_config(folder), report=read_report(folder))


def benchmark_of(config: RunConfig) -> Benchmark:
    """Return the benchmark that was run, read again. Raises UsageError when it is not the same here any more."""
    found = load_benchmark(config.benchmark if config.benchmark in names() else config.dataset_source)
    if found.digest != config.dataset_digest:
        raise UsageError(
            f"{shown(config.benchmark)} here has digest {found.digest:.12}, the run's had "
            f"{clean(config.dataset_digest[:12])}: put the run's data where this one comes from ({found.source})"
        )
    return found


def find_runs(folder: Path | str) -> list[Path]:
    """Return the run folders at or directly below a folder, sorted; a run is a folder with run.json and report.json."""
    folder = Path(folder)
    candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else []
    return [path for path in candidates if (path / RUN).is_file() and (path / REPORT).is_file()]


def load_baselines(path: Path) -> list[Baseline]:
    """Read every run at or below a folder, or the baselines of a file. Raises UsageError when there are none."""
    if path.is_file():
        return _read_file(path)
    runs = find_runs(path)
    if not runs:
        raise UsageError(f"{path}: neither a run folder nor a folder of runs nor a baseline file")
    return [load_run(run).baseline() for run in runs]


def _read_file(path: Path) -> list[Baseline]:
    try:
        baselines = msgspec.convert(json.loads(path.read_bytes()), list[Baseline])
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a baseline file (write one with `harness baseline`): {clean(str(error), 200)}"
        ) from error
    if not baselines or any(one.format != FORMAT for one in baselines):
        raise UsageError(f"{path}: no baseline of format {FORMAT}; write it again with `harness baseline`")
    by_benchmark(baselines)
    for one in baselines:
        if any(not 0 <= passed <= judged for judged, passed in one.counts.values()):
            raise UsageError(f"{path}: more passed than judged samples in {shown(one.benchmark)}")
    return baselines


def by_benchmark(baselines: Iterable[Baseline]) -> dict[str, Baseline]:
    """Return baselines by the name of their benchmark. Raises UsageError when one has two."""
    found: dict[str, Baseline] = {}
    for one in baselines:
        if one.benchmark in found:
            raise UsageError(
                f"two runs of {shown(one.benchmark)}: of {shown(found[one.benchmark].model)} and of "
                f"{shown(one.model)}. Name the one that is meant."
            )
        found[one.benchmark] = one
    return found


def baseline_of(benchmark: str, by_name: Mapping[str, Baseline]) -> Baseline:
    """Return a benchmark's baseline. Raises UsageError when there is none."""
    if benchmark not in by_name:
        there = ", ".join(shown(name) for name in sorted(by_name))
        raise UsageError(f"no baseline for {shown(benchmark)}: there are {there or 'none'}")
    return by_name[benchmark]


def write_baseline(baselines: list[Baseline], path: Path) -> None:
    """Write baselines as one small JSON file, a task a line, so that a diff of two shows the tasks that changed.

    Raises UsageError for what cannot be a baseline: two runs of a benchmark, a run that was stopped early or is not
    wholly judged.
    """
    for one in by_benchmark(baselines).values():
        if one.stopped_early or one.not_judged:
            reason = "was stopped early" if one.stopped_early else f"has {one.not_judged} samples that were not judged"
            raise UsageError(f"the run of {shown(one.benchmark)} {reason}, so it cannot be a baseline")
    plain = [asdict(one) for one in baselines]
    text = json.dumps(plain, indent=1, sort_keys=True)
    for fields_of_one in plain:
        for judged, passed in set(fields_of_one["counts"].values()):
            text = text.replace(f"[\n    {judged},\n    {passed}\n   ]", f"[{judged}, {passed}]")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text + "\n")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error}") from error
