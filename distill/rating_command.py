"""`harness distill rate`: have a teacher rate the difficulty of a benchmark's tasks, for `harness tiers --ratings`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness import backend_options


@click.command()
@click.argument("tasks")
@click.option("--model", "-m", required=True, help="The teacher: a checkpoint folder, or org/name[@revision].")
@backend_options
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="The file of ratings (JSON lines).")
@click.option("-n", "--n-samples", type=click.IntRange(1), default=1, show_default=True, help="Judgements of a task.")
@click.option("--temperature", type=click.FloatRange(0), default=0.0, show_default=True, help="0 is greedy.")
@click.option("--max-new-tokens", type=click.IntRange(1), default=256, show_default=True, help="Longest judgement.")
@click.option(
    "--batch-size", "--bs", type=click.IntRange(1), default=8, show_default=True, help="Prompts, or requests, at once."
)
def rate(tasks: str, model: str, out: Path, n_samples: int, **options: Any) -> None:
    """Have a teacher rate how difficult the tasks of a benchmark are, from 0 to 10.

    The teacher sees the task and not its solution. Killed and started again it goes on. Exits with 3 when some task got
    no rating; the file then holds the others.

    \b
    harness distill rate humaneval --model org/teacher --out ratings.jsonl
    harness tiers humaneval --ratings ratings.jsonl --out tiers.json
    """
    from distill.rating import rate_into
    from harness import GenerationSettings, chosen_backend, load_benchmark

    settings = GenerationSettings(
        temperature=options["temperature"],
        max_new_tokens=options["max_new_tokens"],
        stop=("\n###",),
        batch_size=options["batch_size"],
    )
    count = rate_into(out, load_benchmark(tasks), model, n_samples, settings, chosen_backend(options))
    click.echo(f"{out}: {count} ratings")
