"""The command `harness tiers`: the tiers of a benchmark by one of three sources, printed and written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from harness.scores import TierKind
    from harness.tiers import TaskTier, Tiers


@click.command("tiers")
@click.argument("tasks")
@click.option(
    "--halstead",
    type=click.Choice(["token", "radon"]),
    default="token",
    show_default=True,
    help="Which reading of Halstead's difficulty.",
)
@click.option("--thresholds", type=(float, float), help="Where medium and hard begin.  [default: tertiles]")
@click.option("--length", type=click.FloatRange(0), default=0.0, show_default=True, help="Weight per 100 tokens.")
@click.option(
    "--unfamiliar",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Weight per construct that few of the solutions use.",
)
@click.option(
    "--from-runs", type=click.Path(path_type=Path), multiple=True, metavar="RUN", help="By pass rates; may be repeated."
)
@click.option("--ratings", type=click.Path(path_type=Path), help="By lines of task_id and rating, higher for harder.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Also write them, for `harness eval --tiers`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def tiers_command(tasks: str, out: Path | None, as_json: bool, **options: Any) -> None:
    """Print the tier of each task of a benchmark, and what it was measured by.

    Tiers come from the difficulty of the reference solutions, from the pass rates of earlier runs (drawn towards their
    mean, so that few samples make no task hard), or from somebody's ratings.

    \b
    harness tiers ladder
    harness tiers ladder --from-runs runs/student --from-runs runs/teacher --out tiers.json
    harness eval --model ./student --tasks ladder --tiers tiers.json
    """
    from harness.tier_files import write_tiers

    tiers = _made(tasks, options)
    if out is not None:
        write_tiers(tiers, out)
    _print(tiers, as_json)


def _made(tasks: str, options: dict[str, Any]) -> Tiers:
    """Return the tiers asked for. Raises UsageError for options that contradict one another."""
    from harness.benchmarks import load_benchmark
    from harness.difficulty import Halstead, Weights
    from harness.errors import UsageError
    from harness.measured_tiers import tiers_from_ratings, tiers_from_runs
    from harness.runs import load_run
    from harness.tier_files import read_ratings
    from harness.tiers import TierRule, static_tiers

    thresholds, runs, ratings = options["thresholds"], options["from_runs"], options["ratings"]
    weights = Weights(
        halstead=Halstead(options["halstead"]), length=options["length"], unfamiliar=options["unfamiliar"]
    )
    if (runs and ratings) or ((runs or ratings) and weights != Weights()):
        raise UsageError(
            "tiers have one source: --from-runs, or --ratings, or the metric with --halstead, --length, --unfamiliar"
        )
    benchmark = load_benchmark(tasks)
    if runs:
        return tiers_from_runs(benchmark, [load_run(run) for run in runs], thresholds)
    if ratings:
        return tiers_from_ratings(benchmark, read_ratings(ratings), thresholds, rated_by=ratings.name)
    return static_tiers(benchmark, TierRule(weights=weights, thresholds=thresholds))


def _print(tiers: Tiers, as_json: bool) -> None:
    import json
    import sys
    from dataclasses import asdict

    from rich.table import Table

    from harness.evidence import clean
    from harness.print_report import console
    from harness.scores import TierKind

    settings = tiers.source.settings
    if lost := int(settings.get("tasks_without_samples", 0)):
        print(f"{lost} tasks have no judged sample in these runs and count as the mean task", file=sys.stderr)
    if (reliability := float(settings.get("reliability", 1))) < 0.5:
        said = f"only {reliability:.0%} of the spread of these rates is difficulty, the rest is luck"
        print(f"{said}: more samples a task would change many tiers", file=sys.stderr)
    if as_json:
        print(json.dumps([asdict(one) for one in tiers.tasks], indent=2))
        return
    columns = {
        TierKind.RUNS: ("failure rate", "pass rate", "samples"),
        TierKind.RATINGS: ("rating", "ratings"),
    }.get(tiers.source.kind, ("difficulty", "cyclomatic", "Halstead", "tokens"))
    table = Table("task", "tier", *columns, box=None, pad_edge=False)
    for one in tiers.tasks:
        table.add_row(clean(one.task_id), clean(one.tier), *_measures(one, tiers.source.kind))
    console().print(table)


def _measures(one: TaskTier, kind: TierKind) -> tuple[str, ...]:
    if kind == "runs":
        passed = "-" if one.pass_rate is None else f"{one.pass_rate:.1%}"
        return f"{one.hardness:.3f}", passed, str(one.evidence)
    if kind == "ratings":
        return f"{one.hardness:.3g}", str(one.evidence)
    found = one.difficulty
    if found is None:
        return ("does not parse",)
    return f"{found.overall:.2f}", str(found.cyclomatic), f"{found.halstead:.2f}", str(found.tokens)
