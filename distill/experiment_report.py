"""What an experiment's arms came to: means over seeds with t intervals, paired differences, every seed's number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev

import msgspec

from distill.experiment import RESULT, Arm, ExperimentConfig, arms_of, load_recipe
from distill.experiment_arm import ArmResult
from harness import UsageError

CONTROLS = ("random-restarts", "random")
TIERS = ("easy", "medium", "hard")
HEADLINES = ("execution", *(f"execution/{tier}" for tier in TIERS), "line", "edit_similarity", "token_accuracy")
_LEVEL = 0.95


class Mean(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over seeds with its 95 % t interval (None for a single seed), and each seed's value in order."""

    value: float
    low: float | None
    high: float | None
    seeds: tuple[float, ...]


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """An arm minus a control in one score, paired by seed: mean and 95 % t interval, p of a paired t test, seeds won.

    `p_value` and the interval are None for a single seed, or where all seeds differ by exactly the same.
    """

    arm: str
    control: str
    score: str
    difference: Mean
    p_value: float | None
    won: int


class ArmSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule over all its seeds."""

    name: str
    seeds: tuple[int, ...]
    scores: dict[str, Mean]
    seconds: float
    stages: tuple[str, ...]


class ExperimentReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole experiment. `warnings` are what a reader must know before believing it."""

    arms: tuple[ArmSummary, ...]
    differences: tuple[Paired, ...]
    warnings: tuple[str, ...]
    parameters: int
    steps: int
    tokens: int
    examples: int


def report_of(out: Path, arms: Sequence[Arm]) -> ExperimentReport:
    """Return the report of finished arms. Raises UsageError when one of them has no result."""
    results: dict[str, list[ArmResult]] = {}
    for arm in sorted(arms, key=lambda one: one.seed):
        results.setdefault(arm.name, []).append(read_result(arm, out))
    first = next(iter(results.values()))[0]
    summaries = tuple(_summary(name, some) for name, some in results.items())
    return ExperimentReport(
        arms=summaries,
        differences=tuple(_differences(results)),
        warnings=tuple(_warnings(summaries)),
        parameters=first.parameters,
        steps=first.steps,
        tokens=round(fmean(one.tokens for some in results.values() for one in some)),
        examples=load_recipe(out).data.count,
    )


def read_result(arm: Arm, out: Path) -> ArmResult:
    """Return what an arm wrote at its end."""
    path = arm.folder(out) / RESULT
    try:
        return msgspec.json.decode(path.read_bytes(), type=ArmResult)
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{path} is no result of an arm ({error}): remove it, and run the experiment again") from error


def mean_of(values: Sequence[float]) -> Mean:
    """Return the mean with mean +- t(0.975, n-1) s / sqrt(n), Student's interval for a normal mean."""
    middle = fmean(values)
    if len(values) < 2:
        return Mean(value=middle, low=None, high=None, seeds=tuple(values))
    from scipy.stats import t

    half = float(t.ppf((1 + _LEVEL) / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return Mean(value=middle, low=middle - half, high=middle + half, seeds=tuple(values))


def paired(arm: Sequence[ArmResult], control: Sequence[ArmResult], score: str) -> Paired | None:
    """Compare the seeds that both have; None when they share none, or none with that score."""
    of_control = {one.seed: one.scores for one in control}
    changes = [
        one.scores[score] - of_control[one.seed][score]
        for one in arm
        if one.seed in of_control and score in one.scores and score in of_control[one.seed]
    ]
    if not changes:
        return None
    return Paired(
        arm=arm[0].name,
        control=control[0].name,
        score=score,
        difference=mean_of(changes),
        p_value=_p_value(changes),
        won=sum(change > 0 for change in changes),
    )


def _p_value(changes: Sequence[float]) -> float | None:
    if len(changes) < 2 or stdev(changes) == 0:
        return None
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(changes, 0.0).pvalue)


def _summary(name: str, results: Sequence[ArmResult]) -> ArmSummary:
    return ArmSummary(
        name=name,
        seeds=tuple(one.seed for one in results),
        scores={score: mean_of([one.scores[score] for one in results]) for score in results[0].scores},
        seconds=fmean(one.seconds for one in results),
        stages=tuple(f"{one.name}: {one.examples} examples, {one.share:.1%}" for one in results[0].stages),
    )


def _differences(results: dict[str, list[ArmResult]]) -> list[Paired]:
    found = []
    for control in (name for name in CONTROLS if name in results):
        for name, some in results.items():
            if name != control:
                found += [paired(some, results[control], score) for score in HEADLINES]
    return [one for one in found if one is not None]


def _warnings(arms: Sequence[ArmSummary]) -> list[str]:
    found = []
    for arm in arms:
        means = [(tier, arm.scores[f"execution/{tier}"].value) for tier in TIERS if f"execution/{tier}" in arm.scores]
        if any(before < after for (_, before), (_, after) in pairwise(means)):
            told = ", ".join(f"{tier} {value:.1%}" for tier, value in means)
            found.append(f"{arm.name}: accuracy does not fall as the metric rises ({told})")
    if found:
        found.append("so the metric does not rank difficulty for these models: easy-first by it need not be easy-first")
    if missing := [name for name in CONTROLS if name not in {arm.name for arm in arms}]:
        found.append(f"without the arm {' and '.join(missing)} there is nothing to tell a curriculum's effect by")
    if max(len(arm.seeds) for arm in arms) < 3:
        found.append("fewer than 3 seeds: a difference of two seeds proves nothing")
    return found


def write_report(config: ExperimentConfig, out: Path, as_json: bool) -> str:
    """Write report.md and report.json of finished arms to the experiment's folder and return the text of one."""
    report = report_of(out, arms_of(config))
    texts = {"report.json": to_json(report) + "\n", "report.md": to_markdown(report)}
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    return texts["report.json" if as_json else "report.md"]


def to_json(report: ExperimentReport) -> str:
    """Return the report as one JSON document."""
    return msgspec.json.format(msgspec.json.encode(report)).decode()


def to_markdown(report: ExperimentReport) -> str:
    """Return the report as Markdown tables, percentages and percentage points."""
    shown = [score for score in HEADLINES if all(score in arm.scores for arm in report.arms)]
    levels = sorted(
        score for score in report.arms[0].scores if score.startswith("execution/") and score not in HEADLINES
    )
    count = len(report.arms[0].seeds)
    lines = [
        f"{report.parameters:,} parameters, {report.steps:,} steps, {report.tokens:,} tokens per arm, "
        f"{report.examples:,} examples, {count} seeds, greedy decoding. Means over seeds (95 % t interval).",
        "",
        *_table(
            ["arm", *map(_title, shown)],
            [[arm.name, *(_mean(arm.scores[one]) for one in shown)] for arm in report.arms],
        ),
        "",
        "Execution accuracy per level of TinyPy, means over seeds:",
        "",
        *_table(
            ["arm", *map(_title, levels)],
            [[arm.name, *(f"{100 * arm.scores[one].value:.1f}" for one in levels)] for arm in report.arms],
        ),
    ]
    for control in CONTROLS:
        if any(one.control == control for one in report.differences):
            lines += ["", f"Paired differences to `{control}`, points (95 % t interval; p; seeds won):", ""]
            lines += _difference_table(report, control, shown)
    lines += ["", "Execution accuracy of every seed:", "", *_seed_table(report)]
    if report.warnings:
        lines += ["", *(f"- {warning}" for warning in report.warnings)]
    return "\n".join(lines) + "\n"


def _difference_table(report: ExperimentReport, control: str, shown: Sequence[str]) -> list[str]:
    found = {(one.arm, one.score): one for one in report.differences if one.control == control}
    names = [arm.name for arm in report.arms if arm.name != control]
    rows = [[name, *(_difference(found.get((name, score))) for score in shown)] for name in names]
    return _table(["arm", *map(_title, shown)], rows)


def _seed_table(report: ExperimentReport) -> list[str]:
    seeds = sorted({seed for arm in report.arms for seed in arm.seeds})
    rows = []
    for arm in report.arms:
        values = dict(zip(arm.seeds, arm.scores["execution"].seeds, strict=True))
        rows.append([arm.name, *(f"{100 * values[seed]:.1f}" if seed in values else "-" for seed in seeds)])
    return _table(["arm", *(f"seed {seed}" for seed in seeds)], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _title(score: str) -> str:
    return score.removeprefix("execution/").replace("_", " ")


def _mean(mean: Mean) -> str:
    if mean.low is None or mean.high is None:
        return f"{100 * mean.value:.1f}"
    return f"{100 * mean.value:.1f} ({100 * mean.low:.1f} to {100 * mean.high:.1f})"


def _difference(one: Paired | None) -> str:
    if one is None:
        return "-"
    mean, seeds = one.difference, len(one.difference.seeds)
    if mean.low is None or mean.high is None:
        return f"{100 * mean.value:+.1f}"
    p_value = "-" if one.p_value is None else f"{one.p_value:.3f}"
    return f"{100 * mean.value:+.1f} ({100 * mean.low:+.1f} to {100 * mean.high:+.1f}; p {p_value}; {one.won}/{seeds})"
