"""Options that several commands share, also those of other packages, so that they mean and say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def sandbox_option(command: Command) -> Command:
    """Add `--sandbox` to a command: the parameter `sandbox`, one of auto, docker, local."""
    return click.option(
        "--sandbox",
        type=click.Choice(["auto", "docker", "local"]),
        default="auto",
        show_default=True,
        help="Where programs run; auto is docker if an engine answers.",
    )(command)


def workers_option(command: Command) -> Command:
    """Add `--workers`, also called `--parallel`: the parameter `workers`, None for the number of cores."""
    return click.option(
        "--workers",
        "--parallel",
        type=click.IntRange(1),
        default=None,
        show_default="the number of cores",
        help="Programs that run at a time.",
    )(command)
