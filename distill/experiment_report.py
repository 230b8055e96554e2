"""What an experiment's arms came to: means over seeds with t intervals, paired differences, every seed's number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import msgspec

from distill.experiment import RESULT, Arm, ExperimentConfig, arms_of, load_recipe
from distill.experiment_arm import ArmResult
from distill.over_seeds import Mean, Paired, difference_in_words, markdown_table, mean_in_words, mean_of, paired
from harness import UsageError

CONTROLS = ("random-restarts", "random")
TIERS = ("easy", "medium", "hard")
HEADLINES = ("execution", *(f"execution/{tier}" for tier in TIERS), "line", "edit_similarity", "token_accuracy")


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


def _summary(name: str, results: Sequence[ArmResult]) -> ArmSummary:
    return ArmSummary(
        name=name,
        seeds=tuple(one.seed for one in results),
        scores={score: mean_of([one.scores[score] for one in results]) for score in results[0].scores},
        seconds=fmean(one.seconds for one in results),
        stages=tuple(f"{one.name}: {one.examples} examples, {one.share:.1%}" for one in results[0].stages),
    )


def _differences(results: dict[str, list[ArmResult]]) -> list[Paired]:
    """Compare each arm to each control, in the scores and over the seeds that both have."""
    found = []
    for control in (name for name in CONTROLS if name in results):
        for name, some in results.items():
            for score in HEADLINES if name != control else ():
                values, others = _by_seed(some, score), _by_seed(results[control], score)
                if values.keys() & others.keys():
                    found.append(paired(name, values, control, others, score))
    return found


def _by_seed(results: Sequence[ArmResult], score: str) -> dict[int, float]:
    return {one.seed: one.scores[score] for one in results if score in one.scores}


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
        *markdown_table(
            ["arm", *map(_title, shown)],
            [[arm.name, *(mean_in_words(arm.scores[one]) for one in shown)] for arm in report.arms],
        ),
        "",
        "Execution accuracy per level of TinyPy, means over seeds:",
        "",
        *markdown_table(
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
    rows = [[name, *(difference_in_words(found.get((name, score))) for score in shown)] for name in names]
    return markdown_table(["arm", *map(_title, shown)], rows)


def _seed_table(report: ExperimentReport) -> list[str]:
    seeds = sorted({seed for arm in report.arms for seed in arm.seeds})
    rows = []
    for arm in report.arms:
        values = dict(zip(arm.seeds, arm.scores["execution"].seeds, strict=True))
        rows.append([arm.name, *(f"{100 * values[seed]:.1f}" if seed in values else "-" for seed in seeds)])
    return markdown_table(["arm", *(f"seed {seed}" for seed in seeds)], rows)


def _title(score: str) -> str:
    return score.removeprefix("execution/").replace("_", " ")
