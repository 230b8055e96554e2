"""`harness distill`: registered as an entry point, so that harness/ need not know of it."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def distill() -> None:
    """Train a student on what an evaluation shows it to lack, and keep it only when it is better."""


@distill.command()
@click.option("--recipe", help="A recipe that is shipped: demo-student, demo-teacher.")
@click.option("--config", type=click.Path(path_type=Path), help="A recipe of your own (YAML).")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="The checkpoint's folder.")
def pretrain(recipe: str | None, config: Path | None, out: Path) -> None:
    """Train a model from scratch on the ladder's training tasks. Started again it goes on where it was."""
    from distill.config import chosen
    from distill.pretrain import PretrainConfig
    from distill.pretrain import pretrain as run

    result = run(chosen("pretrain", recipe, config, PretrainConfig), out)
    click.echo(f"{out}: {result.steps} steps, {result.tokens} tokens in {result.seconds:.0f} s")
