"""`harness distill translate`: have a teacher translate training functions, and keep what finds its way back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from harness import backend_options, sandbox_option, workers_option


@click.command()
@click.argument("source")
@click.option("--to", "language", required=True, metavar="LANGUAGE", help="The language, by its name.")
@click.option("--model", "-m", required=True, help="The teacher: a checkpoint folder, or org/name[@revision].")
@backend_options
@click.option("--count", type=click.IntRange(1), default=100, show_default=True, help="Functions to translate.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the functions and the answers.")
@click.option("--temperature", type=click.FloatRange(0), default=0.0, show_default=True, help="0 is greedy.")
@click.option("--max-new-tokens", type=click.IntRange(1), default=1024, show_default=True, help="Longest answer.")
@click.option("--apart-from", default="", metavar="T[,T…]", help="Benchmarks that no function may give away.")
@sandbox_option
@workers_option
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), required=True, help="The folder of all answers and pairs."
)
def translate(source: str, language: str, model: str, out: Path, **options: Any) -> None:
    """Have a teacher translate functions of training tasks to another language, and back to Python.

    A translation is kept when the function that came back passes all tests of the task, in the sandbox. SOURCE is
    ladder or a task file to train on. Killed and started again it goes on.

    \b
    harness distill translate ladder --to JavaScript --model org/teacher --out translations
    harness distill encoder retrieval --recipe parts --set 'data.sources=[stdlib,translations/pairs.jsonl]' --out finder
    """
    from distill.round_trip import PAIRS, RoundTripConfig
    from distill.round_trip import translate as run
    from harness import UsageError, chosen_backend

    try:
        config = RoundTripConfig(
            source=source,
            language=language,
            model=model,
            count=options["count"],
            seed=options["seed"],
            temperature=options["temperature"],
            max_new_tokens=options["max_new_tokens"],
            apart_from=tuple(name.strip() for name in options["apart_from"].split(",") if name.strip()),
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    workers = options["workers"] or len(os.sched_getaffinity(0))
    found = run(config, out, chosen_backend(options), options["sandbox"], workers)
    click.echo(
        f"{out / PAIRS}: {found.kept} of {found.asked} functions in {language}; {found.no_translation} without a "
        f"translation, {found.no_way_back} that did not come back, {found.failed} that came back another one"
    )
