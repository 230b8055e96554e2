"""Options that several commands share, also those of other packages, so that they mean and say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from harness.model_options import BACKENDS, HF

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


def backend_options(command: Command) -> Command:
    """Add what says where a model runs: the parameters `backend`, `base_url` and `request_timeout` (seconds)."""
    for option in (
        click.option(
            "--request-timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=600.0,
            show_default=True,
            help="Seconds that a server has for one answer.",
        ),
        click.option("--base-url", help="The server, e.g. http://localhost:8000/v1.  [default: $OPENAI_BASE_URL]"),
        click.option(
            "--backend",
            type=click.Choice(BACKENDS),
            default=HF,
            show_default=True,
            help="What runs the model: transformers in this process, or an OpenAI-compatible server.",
        ),
    ):
        command = option(command)
    return command
