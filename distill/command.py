"""`harness distill`: registered as an entry point, so that harness/ need not know of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.config import shipped
from distill.decontaminate_command import decontaminate
from distill.encoder_command import encoder
from distill.picture_command import picture
from distill.rating_command import rate
from distill.scorer_command import scorer
from distill.shots_command import shots
from distill.tiers_command import predict
from distill.translate_command import translate
from harness import sandbox_option, workers_option

if TYPE_CHECKING:
    from distill.keep import Decision
    from distill.loop import LoopConfig


@click.group()
def distill() -> None:
    """Train a student on what an evaluation shows it to lack, and keep it only when it is better."""


distill.add_command(decontaminate)
distill.add_command(encoder)
distill.add_command(picture)
distill.add_command(predict)
distill.add_command(rate)
distill.add_command(scorer)
distill.add_command(shots)
distill.add_command(translate)


@distill.command()
@click.option("--recipe", help=f"A recipe that is shipped: {', '.join(shipped('pretrain'))}.")
@click.option("--config", type=click.Path(path_type=Path), help="A recipe of your own (YAML).")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="The checkpoint's folder.")
def pretrain(recipe: str | None, config: Path | None, out: Path) -> None:
    """Train a model from scratch on training tasks. Started again it goes on where it was."""
    from distill.config import chosen
    from distill.pretrain import PretrainConfig
    from distill.pretrain import pretrain as run

    result = run(chosen("pretrain", recipe, config, PretrainConfig), out)
    click.echo(f"{out}: {result.steps} steps, {result.tokens} tokens in {result.seconds:.0f} s")


@distill.command()
@click.option(
    "--recipe",
    help=f"A loop that is shipped: {', '.join(shipped('loop'))}.",
)
@click.option("--config", type=click.Path(path_type=Path), help="A loop of your own (YAML).")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="The loop's folder.")
@click.option(
    "--set", "changes", metavar="KEY=VALUE", multiple=True, help="Change a value, e.g. questions.feedback=none."
)
@click.option("--rounds", type=click.IntRange(1), help="How many rounds.  [default: the recipe's]")
@click.option("--until-gate", is_flag=True, help="Stop as soon as a round is kept.")
@sandbox_option
@workers_option
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and what a round costs.")
def run(out: Path, rounds: int | None, until_gate: bool, dry_run: bool, **options: Any) -> None:
    """Retrain a student for the tiers in which it is weak, and keep it if held-back tasks show that it is better.

    Each round: evaluate, flag weak tiers, have the teacher answer training questions, judge the answers, train on the
    right ones, evaluate, decide. The recipe says which questions, and what wrong answers are for. Killed and started
    again with the same options it goes on.
    """
    from distill.config import chosen
    from distill.loop import LoopConfig, Machine, run_loop
    from harness import progress_for

    changes = (*options["changes"], *(() if rounds is None else (f"rounds={rounds}",)))
    loop = chosen("loop", options["recipe"], options["config"], LoopConfig, changes)
    if dry_run:
        print_plan(loop)
        return
    machine = Machine(
        sandbox=options["sandbox"],
        workers=options["workers"] or len(os.sched_getaffinity(0)),
        progress=progress_for,
        say=lambda text: click.echo(text, err=True),
    )
    print_decisions(run_loop(loop, out, machine, until_gate))


def print_plan(loop: LoopConfig) -> None:
    """Print a configuration as YAML, and what a round of it costs as comments."""
    from distill.config import dump
    from distill.estimate import estimate

    click.echo(dump(loop).rstrip())
    click.echo(f"# At most, in each of up to {loop.rounds} rounds (by what rule):")
    for cost in estimate(loop):
        click.echo(f"# {cost.amount:13,} {cost.what} ({cost.rule})")


@distill.command()
@click.option("--schedule", help="Arms, joined by commas: STRATEGY[:DIFFICULTY][:easy-first].  [default: the recipe's]")
@click.option("--seeds", type=click.IntRange(1), help="How many seeds.  [default: the recipe's]")
@click.option("--recipe", help=f"An experiment that is shipped: {', '.join(shipped('curriculum'))}.  [default: cpu]")
@click.option("--config", type=click.Path(path_type=Path), help="An experiment of your own (YAML).")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("curriculum"),
    show_default="curriculum",
    help="The experiment's folder.",
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Arms at a time, a thread each.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def curriculum(
    schedule: str | None,
    seeds: int | None,
    recipe: str | None,
    config: Path | None,
    out: Path,
    jobs: int,
    as_json: bool,
) -> None:
    """Train the same model on TinyPy by several schedules and seeds, and report what the order changed.

    Strategies: random, random-restarts, sequential, incremental, hybrid, interleaved, blocked, ordered. Difficulties:
    metric (the default), length, loss, attention, models. Killed and started again it goes on; finished arms stay, so
    more schedules and seeds can be added later.
    """
    from distill.experiment import chosen_experiment, run_experiment
    from distill.experiment_report import write_report

    asked = chosen_experiment(recipe, config, schedule, seeds)
    run_experiment(asked, out, jobs)
    click.echo(write_report(asked, out, as_json).rstrip())


def print_decisions(decisions: Sequence[Decision]) -> None:
    """Print what became of each round, with the held-back halves before and after."""
    for decision in decisions:
        click.echo(f"round {decision.round}: {'kept' if decision.kept else 'not kept'}: {decision.reason}")
        for change in decision.changes:
            bounds = f"{100 * change.difference.low:+.1f} to {100 * change.difference.high:+.1f}"
            click.echo(
                f"  {change.subject:12} {change.tasks:4} held-back tasks: {change.before:6.1%} -> {change.after:6.1%}"
                f" ({100 * change.difference.value:+.1f} points, {100 * decision.confidence:g} % {bounds})"
            )
    click.echo(f"student: {decisions[-1].student}")


@distill.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(out: Path, as_json: bool) -> None:
    """Say where each round of a loop stands, and what its stages cost."""
    import msgspec

    from distill.loop import status_of

    rounds = status_of(out)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rounds)).decode())
        return
    for one in rounds:
        decision = one.decision
        said = "not finished" if decision is None else f"{'kept' if decision.kept else 'not kept'}: {decision.reason}"
        click.echo(f"round {one.round}: {said}")
        for stage in one.stages:
            counted = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in stage.counts.items())
            click.echo(f"  {stage.stage:10} {stage.seconds:8.1f} s  {counted}")
