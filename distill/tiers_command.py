"""`harness distill predict`: the tiers of a benchmark's tasks, by an encoder that has learnt those of others."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click


@click.command()
@click.argument("tasks")
@click.option("--model", "-m", required=True, help="An encoder that has learnt tiers: a folder or org/name.")
@click.option("--exit", "exit_layer", type=click.IntRange(1), help="The encoder's exit.  [default: the last]")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="The file of tiers to write.")
def predict(tasks: str, model: str, exit_layer: int | None, out: Path) -> None:
    """Predict the tiers of a benchmark's tasks, for `harness eval --tiers`.

    \b
    harness distill encoder tiers --recipe cpu --out tiers-of-tasks
    harness distill predict humaneval --model ./tiers-of-tasks --exit 2 --out tiers.json
    harness eval --model ./student --tasks humaneval --tiers tiers.json
    """
    from distill.tier_prediction import predicted_tiers
    from harness import load_benchmark, write_tiers

    found = predicted_tiers(load_benchmark(tasks), model, exit_layer)
    write_tiers(found, out)
    counts = Counter(one.tier for one in found.tasks)
    click.echo(f"{out}: {', '.join(f'{count} {tier}' for tier, count in sorted(counts.items()))}")
