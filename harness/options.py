"""Options that several commands share, also those of other packages, so that they mean and say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import click

from harness.model_options import BACKENDS, HF, ModelOptions
from harness.retrieval.pooling import AUTO, POOLINGS

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
    """Add what says what runs a model, and how it runs there; `chosen_backend` reads them."""
    for option in (
        click.option(
            "--request-timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=600.0,
            show_default=True,
            help="openai: seconds that a server has for one answer.",
        ),
        click.option("--tokenizer", help="openai: a folder or org/name[@revision] that prompts are read by here."),
        click.option("--base-url", help="openai: like http://localhost:8000/v1.  [default: $OPENAI_BASE_URL]"),
        click.option("--enforce-eager", is_flag=True, help="vllm: compile nothing; starts sooner, runs slower."),
        click.option(
            "--enable-prefix-caching/--no-enable-prefix-caching",
            default=True,
            show_default=True,
            help="vllm: compute what prompts begin with only once.",
        ),
        click.option(
            "--max-model-len",
            type=click.IntRange(1),
            show_default="the model's context",
            help="vllm: longest prompt and completion together, in tokens.",
        ),
        click.option(
            "--gpu-memory-utilization",
            type=click.FloatRange(0, 1, min_open=True),
            show_default="vLLM's",
            help="vllm: share of the memory that the engine takes.",
        ),
        click.option(
            "--tensor-parallel-size",
            "--tp",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            help="vllm: GPUs that share the model.",
        ),
        click.option("--trust-remote-code", is_flag=True, help="Let a checkpoint bring code of its own."),
        click.option("--revision", help="Revision of a model id."),
        click.option("--peft-model", help="hf: a PEFT adapter to add, a folder or org/name[@revision]."),
        click.option("--quantization", help="hf: 8bit or 4bit; vllm: a name of vLLM's, e.g. fp8.  [default: none]"),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="hf: auto, cpu, cuda, cuda:1, ..., or balanced or sequential over several GPUs.",
        ),
        click.option("--dtype", default="auto", show_default=True, help="auto, float32, bfloat16 or float16."),
        click.option(
            "--backend",
            type=click.Choice(BACKENDS),
            default=HF,
            show_default=True,
            help="What runs the model: transformers, vLLM, or an OpenAI-compatible server.",
        ),
    ):
        command = option(command)
    return command


def price_option(command: Command) -> Command:
    """Add `--price`: the parameter `price`, two numbers or None, which `chosen_backend` reads."""
    return click.option(
        "--price",
        type=click.FloatRange(min=0),
        nargs=2,
        default=None,
        metavar="PROMPT COMPLETION",
        help="openai: what a million tokens of each cost; the report then says what the run did.",
    )(command)


def encoder_options(command: Command) -> Command:
    """Add what retrieval asks of an encoder beside `backend_options`; `chosen_backend` reads these, too."""
    pooling = click.option(
        "--pooling",
        type=click.Choice(POOLINGS),
        default=AUTO,
        show_default=True,
        help="retrieval: what stands for a text, where the encoder does not say it.",
    )
    exit = click.option(
        "--exit", type=click.IntRange(1), show_default="the last", help="retrieval: the layer whose ranking counts."
    )
    return exit(pooling(command))


def chosen_backend(options: Mapping[str, Any]) -> ModelOptions:
    """Return what the options of `backend_options` say. Raises UsageError for one that the backend does not have."""
    own = (field.name for field in fields(ModelOptions) if field.name in options)  # not all commands run encoders
    return ModelOptions(request_seconds=options["request_timeout"], **{name: options[name] for name in own})
