"""`harness distill encoder`: train a multi-exit encoder of code, and cut it at an exit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from distill.config import shipped

if TYPE_CHECKING:
    from distill.encoder_training import EncoderReport

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def encoder() -> None:
    """Train an encoder that embeds code at several depths, and cut it at one of them."""


def _recipe_options(kind: str) -> Callable[[Command], Command]:
    """Return a decorator with the options that all trainings have."""

    def decorate(command: Command) -> Command:
        options = (
            click.option("--recipe", help=f"A recipe that is shipped: {', '.join(shipped(kind))}."),
            click.option("--config", type=click.Path(path_type=Path), help="A recipe of your own (YAML)."),
            click.option(
                "--set", "changes", metavar="KEY=VALUE", multiple=True, help="Change a value, e.g. exits.only=4."
            ),
            click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="The encoder's folder."),
        )
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@encoder.command()
@_recipe_options("encoder-pretrain")
def pretrain(recipe: str | None, config: Path | None, changes: tuple[str, ...], out: Path) -> None:
    """Pretrain on masked tokens and on whether texts are of one repository. Started again it goes on where it was.

    \b
    harness distill encoder pretrain --recipe cpu --out encoder
    """
    from distill.config import chosen
    from distill.encoder_settings import PretrainEncoder
    from distill.encoder_training import pretrain_encoder

    print_encoder(pretrain_encoder(chosen("encoder-pretrain", recipe, config, PretrainEncoder, changes), out), out)


@encoder.command()
@_recipe_options("encoder-retrieval")
def retrieval(recipe: str | None, config: Path | None, changes: tuple[str, ...], out: Path) -> None:
    """Train descriptions to find the functions that they describe. Started again it goes on where it was.

    \b
    harness distill encoder retrieval --recipe parts --out finder
    harness distill encoder retrieval --recipe parts --set exits.only=2 --out finder-2
    """
    from distill.config import chosen
    from distill.encoder_settings import TuneRetrieval
    from distill.encoder_training import tune_retrieval

    print_encoder(tune_retrieval(chosen("encoder-retrieval", recipe, config, TuneRetrieval, changes), out), out)


@encoder.command()
@_recipe_options("encoder-classify")
def classify(recipe: str | None, config: Path | None, changes: tuple[str, ...], out: Path) -> None:
    """Train to tell clones from other pairs of code. Started again it goes on where it was.

    \b
    harness distill encoder classify --recipe cpu --set start.model=./encoder --out clones
    """
    from distill.config import chosen
    from distill.encoder_settings import TuneClasses
    from distill.encoder_training import tune_classes

    print_encoder(tune_classes(chosen("encoder-classify", recipe, config, TuneClasses, changes), out), out)


@encoder.command()
@_recipe_options("encoder-tiers")
def tiers(recipe: str | None, config: Path | None, changes: tuple[str, ...], out: Path) -> None:
    """Train to tell the tiers of tasks, for `harness distill predict`. Started again it goes on where it was.

    \b
    harness distill encoder tiers --recipe cpu --set start.model=./finder --out tiers-of-tasks
    """
    from distill.config import chosen
    from distill.encoder_settings import TuneTiers
    from distill.tier_prediction import tune_tiers

    print_encoder(tune_tiers(chosen("encoder-tiers", recipe, config, TuneTiers, changes), out), out)


@encoder.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--exit", "exit_layer", type=click.IntRange(1), required=True, help="The layer to end at, an exit.")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="The smaller encoder's folder.")
def truncate(folder: Path, exit_layer: int, out: Path) -> None:
    """Write a smaller encoder that ends at an exit of the one in FOLDER, and embeds bit by bit as that exit did."""
    from distill.encoder import load_encoder, truncated
    from distill.encoder_files import save_encoder
    from harness import UsageError

    if out.exists():
        raise UsageError(f"{out} is there already: give another --out")
    model, tokenizer = load_encoder(folder)
    smaller = truncated(model, exit_layer)
    save_encoder(smaller, tokenizer, out, str(model.dtype).removeprefix("torch."))
    click.echo(f"{out}: {smaller.num_parameters()} parameters of {model.num_parameters()}")


def print_encoder(report: EncoderReport, out: Path) -> None:
    """Print what a training came to, a line for each exit."""
    click.echo(
        f"{out}: {report.parameters} parameters, {report.steps} steps, {report.tokens} tokens in {report.seconds:.0f} s"
    )
    for one in report.exits:
        said = ", ".join(f"{name} {value:.3f}" for name, value in one.measures.items())
        click.echo(f"  exit {one.exit:3}: {said or 'nothing to look at'}")
