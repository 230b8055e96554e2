"""The commands that hold runs against one another: compare, baseline, gate and verify."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.options import sandbox_option

if TYPE_CHECKING:
    from harness.gate import GateResult, GateRules
    from harness.runs import Baseline

_ALPHA = click.FloatRange(0.0001, 0.5)
_HALVES = click.Choice(["tune", "held-back"])


@click.command("compare")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--alpha", type=_ALPHA, default=0.05, show_default=True, help="Level of the test.")
@click.option("--half", type=_HALVES, help="Only the tasks of this half of each tier.")
@click.option("--cross", is_flag=True, help="Compare runs of different data or protocols all the same.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def compare_command(before: Path, after: Path, alpha: float, half: str | None, cross: bool, as_json: bool) -> None:
    """Compare two runs (or baselines), paired by task: difference, interval, p-value, flipped tasks, power."""
    from harness.compare import compare_runs
    from harness.print_compare import half_of_option, print_comparisons

    print_comparisons(compare_runs(before, after, alpha, cross, half_of_option(half)), as_json)


@click.command("baseline")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="The file to write.")
def baseline_command(run: Path, out: Path) -> None:
    """Write the small file that a gate compares with, from a run or a folder of runs."""
    from harness.runs import load_baselines, write_baseline

    write_baseline(load_baselines(run), out)


@click.command("gate")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("evaluation", nargs=-1, type=click.UNPROCESSED, metavar="[-- EVAL OPTIONS]")
@click.option("--baseline", type=click.Path(path_type=Path), required=True, help="A run, or a file of `baseline`.")
@click.option(
    "--max-drop", type=click.FloatRange(0, 100), default=2.0, show_default=True, help="Allowed drop, in points."
)
@click.option("--tier-max-drop", type=click.FloatRange(0, 100), help="Allowed drop in each tier, in points.")
@click.option("--alpha", type=_ALPHA, default=0.05, show_default=True, help="Level of the test.")
@click.option("--min", "minimum", multiple=True, metavar="pass@K=V", help="Least value, in 0..1; may be repeated.")
@click.option("--half", type=_HALVES, help="Only the tasks of this half of each tier.")
@click.option("--strict", is_flag=True, help="Exit 4 when the tasks cannot tell.")
@click.option(
    "--sequential", is_flag=True, help="A test that may stop early; evaluates RUN by the options behind `--`."
)
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML there.")
@click.option(
    "--summary", type=click.Path(path_type=Path), show_default="$GITHUB_STEP_SUMMARY", help="Append Markdown there."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def gate_command(context: click.Context, /, run: Path, evaluation: tuple[str, ...], **options: Any) -> None:
    """Exit 1 if a run is shown to be worse than its baseline by more than allowed.

    0: it is not, or (without --strict) the tasks cannot tell; 3: something was not judged; 4: see --strict.

    With --sequential and the options of `harness eval` behind `--`, RUN is evaluated here, its tasks in random order,
    and ends once the answer is clear; the chance of a false alarm stays at most alpha however often it looks.

    \b
    harness gate runs/new --baseline baseline.json
    harness gate runs/new --baseline baseline.json --sequential -- --model ./student --tasks humaneval
    """
    from harness.gate import gate
    from harness.print_compare import gate_rules, print_gate
    from harness.runs import load_baselines

    rules, baselines = gate_rules(options), load_baselines(options["baseline"])
    if options["sequential"]:
        result = _gate_sequentially(context, run, evaluation, rules, baselines)
    elif evaluation:
        raise click.UsageError("options behind `--` evaluate the run, which only --sequential does", context)
    else:
        result = gate(load_baselines(run), baselines, rules)
    sys.exit(print_gate(result, options["junit"], options["summary"], options["as_json"]))


def _gate_sequentially(
    context: click.Context, run: Path, evaluation: tuple[str, ...], rules: GateRules, baselines: list[Baseline]
) -> GateResult:
    """Evaluate the run until the test is decided, if options say how, and judge it."""
    from dataclasses import replace

    from harness.commands import eval_config
    from harness.evaluation import evaluate
    from harness.gate_sequential import gate_sequentially, see_rules_fit
    from harness.progress import progress_for
    from harness.runs import find_runs, load_run
    from harness.sequential import StopRule

    see_rules_fit(rules)
    if evaluation:
        group = context.find_root().command
        command = group.get_command(context, "eval") if isinstance(group, click.Group) else None
        if command is None:
            raise click.UsageError("there is no `eval` command to evaluate with", context)
        options = command.make_context("eval", list(evaluation), parent=context).params
        if options.pop("as_json") or options["out"] or options["partial"] or options["generate_only"]:
            wrong = "--out, --json, --partial and --generate-only"
            raise click.UsageError(f"{wrong} have no place behind `--`: RUN is the folder", context)
        config = eval_config({**options, "out": run})
        rule = StopRule(
            baselines=tuple(baselines), max_drop=rules.max_drop, alpha=rules.alpha, benchmarks=len(config.tasks)
        )
        evaluate(replace(config, until=rule), progress_for())
    runs = find_runs(run)
    if not runs:
        raise click.UsageError(f"{run} holds no finished run; behind `--`, say how to evaluate one", context)
    return gate_sequentially([load_run(one) for one in runs], baselines, rules)


@click.command("verify")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(1), default=50, show_default=True, help="How many samples to judge again.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which ones.")
@sandbox_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify_command(run: Path, count: int, seed: int, sandbox: str, as_json: bool) -> None:
    """Judge a random sample of a run's programs again; exit 1 if a stored verdict does not hold."""
    from harness.print_compare import print_verification
    from harness.verify import verify

    sys.exit(print_verification(verify(run, count, seed, sandbox), as_json))


COMMANDS: tuple[click.Command, ...] = (compare_command, baseline_command, gate_command, verify_command)
