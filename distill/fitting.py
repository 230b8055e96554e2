"""Trainings that fit on a device: adapters in the place of all weights, smaller types, values computed twice.

PEFT makes and merges the adapters, transformers does the rest.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from distill.train_settings import LoraSettings, TrainSettings
from harness import MissingDependency, UsageError

ADAPTER = "adapter"


def see_that_peft_is_there() -> None:
    """Raise MissingDependency without the package that makes adapters."""
    if find_spec("peft") is None:
        raise MissingDependency("training.lora needs PEFT: pip install 'code-harness[lora]', or leave lora out")


def keep_adapter(training: Path, checkpoint: Path) -> None:
    """Copy the adapter that a training left in its folder, if it made one, beside the checkpoint's merged weights."""
    if (training / ADAPTER).is_dir():
        shutil.copytree(training / ADAPTER, checkpoint / ADAPTER, dirs_exist_ok=True)


@contextmanager
def fitted(model: Any, settings: TrainSettings, folder: Path | None) -> Iterator[Any]:
    """Yield what is to be trained in a model's place; when all went well, the model itself has learnt it.

    With adapters, these are kept in `folder`/adapter in PEFT's layout, and merged into the model. Raises
    MissingDependency without PEFT, UsageError for layers that the model has not.
    """
    import torch

    for parameter in model.parameters():  # and no buffers: positions of rotary embeddings want their float32
        parameter.data = parameter.data.to(getattr(torch, settings.dtype))
    learnable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    learner = model if settings.lora is None else _with_adapter(model, settings.lora, settings.first_seed)
    with _checkpointed(model, settings.gradient_checkpointing):
        yield learner
    if settings.lora is not None:
        if folder is not None:
            learner.save_pretrained(folder / ADAPTER)
        learner.merge_and_unload()
        for parameter in learnable:
            parameter.requires_grad_(True)


def _with_adapter(model: Any, settings: LoraSettings, seed: int) -> Any:
    """Return PEFT's wrapper of a model, whose adapters change nothing yet; their first weights follow the seed."""
    see_that_peft_is_there()
    import torch
    from peft import LoraConfig, get_peft_model

    wanted = settings.target_modules
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=wanted if isinstance(wanted, str) else list(wanted),
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        # PEFT asks transformers by a name that transformers 5 has another one for.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            raise UsageError(f"training.lora.target_modules: {str(error).splitlines()[0]}") from error


@contextmanager
def _checkpointed(model: Any, wanted: bool) -> Iterator[None]:
    """Have a model keep its layers' inputs alone for the gradient (activation checkpointing), and end that again."""
    if not wanted:
        yield
        return
    renamed = hasattr(model, "activation_checkpointing_enable")  # since transformers 5
    if renamed:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    try:
        yield
    finally:
        if renamed:
            model.activation_checkpointing_disable()
            model.disable_input_require_grads()  # a hook that it leaves behind
        else:
            model.gradient_checkpointing_disable()
