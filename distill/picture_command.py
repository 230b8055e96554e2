"""`harness distill picture`: what the rounds of a loop measured, as numbers and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from distill.history import HeldBackScore, RoundScores


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--to", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw the numbers, and write them here."
)
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as one JSON document.")
def picture(out: Path, to: Path | None, as_json: bool) -> None:
    """Show pass@1 of each tier's held-back tasks over the rounds of a loop, with 95 % intervals.

    OUT is the folder of `harness distill run`. Rounds that were kept and discarded are told apart.
    """
    import msgspec

    from distill.history import history_of
    from distill.picture import alt_text, draw

    history = history_of(out)
    if to:
        draw(history, to)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(history)).decode())
        return
    for one in history:
        print_round(one)
    if to:
        click.echo(f"{to}, in words: {alt_text(history)}")


def print_round(one: RoundScores) -> None:
    """Print a round's scores, a line each."""
    click.echo(f"round {one.round}: {'kept' if one.kept else 'not kept'}: {one.reason}" if one.round else one.reason)
    for score in one.tiers:
        print_score(score, " (weak before)" if score.tier in one.weak else "")
    if one.overall:
        print_score(one.overall, "")


def print_score(score: HeldBackScore, note: str) -> None:
    """Print pass@1 of a tier, or of all tasks."""
    rate = score.pass_at_1
    name = score.tier or "all"
    click.echo(
        f"  {name:12} {score.tasks:4} held-back tasks: {rate.value:6.1%} (95 % {rate.low:.1%} to {rate.high:.1%}){note}"
    )
