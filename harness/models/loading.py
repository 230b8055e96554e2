"""Weights and tokenizer of a checkpoint into memory, all of them or a message of one line that says what is wrong.

transformers is imported inside functions only. It repairs what it can (random numbers for missing tensors, a report on
standard error) and raises what its libraries raise; a measurement needs neither.
"""

from __future__ import annotations

import logging
import os
import pickle
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.errors import ModelUnavailable, UsageError
from harness.models.checkpoint import first_line, required

_LOG = logging.getLogger(__name__)
DTYPES = ("auto", "float32", "bfloat16", "float16")
SPREAD = ("balanced", "balanced_low_0", "sequential")  # accelerate's names of how to share a model out among devices
QUANTIZATIONS = ("8bit", "4bit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model of transformers with its tokenizer, ready to generate on `device` (several are listed)."""

    model: Any
    tokenizer: Any
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a checkpoint says beside its weights: its tokenizer and configurations, those of transformers.

    `text` is the configuration of its part that writes, None where there is a tokenizer alone; `generation` is None
    where it has none of its own.
    """

    tokenizer: Any
    text: Any | None
    generation: Any | None


def load_words(folder: str, name: str, *, trust: bool) -> Words:
    """Load what a checkpoint says beside its weights. Raises as `load_weights` does."""
    required("transformers")
    from transformers import AutoConfig, GenerationConfig

    def has(file: str) -> bool:
        return Path(folder, file).is_file()

    with _failures_said(name), _quiet_transformers():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust) if has("config.json") else None
        return Words(
            tokenizer=_tokenizer(folder, trust),
            text=None if config is None else config.get_text_config(),
            generation=GenerationConfig.from_pretrained(folder) if has("generation_config.json") else None,
        )


def load_weights(
    folder: str, name: str, *, dtype: str, device: str, trust: bool, quantization: str | None = None
) -> Loaded:
    """Load a whole checkpoint, every tensor of it, onto one device, or spread over all (`SPREAD`).

    `dtype` is one of `DTYPES`, `device` a name of torch's, auto or one of `SPREAD`; `trust` lets code in the checkpoint
    run; `quantization` is one of `QUANTIZATIONS`, or None. Raises `UsageError` for options that cannot work,
    `ModelUnavailable` when the checkpoint is broken or does not fit.
    """
    from transformers import AutoModelForCausalLM

    place = _torch_device("auto" if device in SPREAD else device)
    wanted = _torch_dtype(dtype, place)
    how = {} if quantization is None else {"quantization_config": _quantized(quantization, place, wanted)}
    with _failures_said(name), _quiet_transformers():
        tokenizer = _tokenizer(folder, trust)
        model, notes = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=wanted,
            device_map=device if device in SPREAD else {"": place},
            trust_remote_code=trust,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # and refused below, with a message of one line
            **how,
        )
    mismatched = [key if isinstance(key, str) else key[0] for key in notes["mismatched_keys"]]  # with shapes since v5
    broken = sorted({*notes["missing_keys"], *mismatched})
    if broken:  # transformers fills them with random numbers and goes on
        raise ModelUnavailable(
            f"{name} is not whole: {len(broken)} of the tensors that its config.json asks for are missing from its"
            f" weights or have another shape, {broken[0]} among them"
        )
    if unused := sorted(notes["unexpected_keys"]):
        _LOG.warning("%s: %d tensors of its weights are not used, %s among them", name, len(unused), unused[0])
    shared_out = getattr(model, "hf_device_map", {"": model.device}).values() if device in SPREAD else [place]
    places = sorted({f"cuda:{one}" if isinstance(one, int) else str(one) for one in shared_out})
    return Loaded(model=model.eval(), tokenizer=tokenizer, device=", ".join(places))


def load_encoder(folder: str, name: str, *, dtype: str, device: str, trust: bool) -> Loaded:
    """Load the part of a checkpoint that makes states of tokens, onto one device; its heads are left out.

    A pooler that the weights lack is nobody's loss. Raises as `load_weights` does.
    """
    from transformers import AutoModel, AutoTokenizer

    place = _torch_device(device)
    with _failures_said(name), _quiet_transformers():
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
        model, notes = AutoModel.from_pretrained(
            folder, dtype=_torch_dtype(dtype, place), trust_remote_code=trust, output_loading_info=True
        )
        model.to(place)
    missing = sorted(key for key in notes["missing_keys"] if not key.startswith("pooler."))
    if missing:  # transformers fills them with random numbers and goes on
        raise ModelUnavailable(
            f"{name} is not whole: {len(missing)} of the tensors that its config.json asks for are missing from its "
            f"weights, {missing[0]} among them"
        )
    return Loaded(model=model.eval(), tokenizer=tokenizer, device=str(place))


def _quantized(quantization: str, place: Any, dtype: Any) -> Any:
    """Return how bitsandbytes shortens the weights while they are loaded."""
    import torch
    from transformers import BitsAndBytesConfig

    if quantization not in QUANTIZATIONS:
        raise UsageError(
            f"no quantization {quantization!r} by transformers: use {' or '.join(QUANTIZATIONS)}; a checkpoint that is "
            "quantized already needs none"
        )
    if place.type == "cpu":
        raise UsageError(f"quantization {quantization} runs on a GPU, and the model would be on {place}: leave it out")
    required("bitsandbytes", "pip install bitsandbytes")
    if quantization == QUANTIZATIONS[0]:
        return BitsAndBytesConfig(load_in_8bit=True)
    compute = torch.bfloat16 if dtype == "auto" else dtype
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)


def _tokenizer(folder: str, trust: bool) -> Any:
    from transformers import AutoTokenizer

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads and our forks do not mix
    return AutoTokenizer.from_pretrained(folder, padding_side="left", trust_remote_code=trust)


@contextmanager
def _failures_said(name: str) -> Iterator[None]:
    """Turn what loading a broken checkpoint raises into our errors."""
    try:
        yield
    except ImportError as error:
        raise ModelUnavailable(f"{name} needs a package that is not installed: {first_line(error)}") from error
    except load_errors() as error:
        if "trust_remote_code" in str(error):
            raise UsageError(f"{name} brings its own code: read it, then allow it with --trust-remote-code") from error
        raise ModelUnavailable(f"{name} cannot be loaded: {type(error).__name__}: {first_line(error)}") from error


def _torch_device(device: str) -> Any:
    import torch

    try:
        place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    except RuntimeError:
        place = torch.device("meta")
    if place.type not in ("cpu", "cuda", "mps", "xpu"):
        raise UsageError(f"no device {device!r}: use auto, cpu, cuda, cuda:1, mps, ..., or {', '.join(SPREAD)}")
    if place.type != "cuda":
        return place
    if (place.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"no device {device!r}: torch sees {torch.cuda.device_count()} CUDA devices here")
    return torch.device("cuda", place.index or 0)


def _torch_dtype(dtype: str, place: Any) -> Any:
    import torch

    if dtype not in DTYPES:
        raise UsageError(f"no dtype {dtype!r}: use one of {', '.join(DTYPES)}")
    if dtype == "auto":
        return torch.float32 if place.type == "cpu" else "auto"
    return getattr(torch, dtype)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep what transformers reports while it loads off standard error: `load_weights` says what matters of it."""
    from transformers.utils import logging as their_logging

    verbosity = their_logging.get_verbosity()
    their_logging.set_verbosity_error()
    if not sys.stderr.isatty():
        their_logging.disable_progress_bar()
    try:
        yield
    finally:
        their_logging.set_verbosity(verbosity)


def load_errors() -> tuple[type[Exception], ...]:
    """Return what loading a broken checkpoint raises, from the libraries below."""
    from safetensors import SafetensorError

    bad_field = getattr(import_module("huggingface_hub.errors"), "StrictDataclassError", ValueError)
    from_pickles = (EOFError, pickle.UnpicklingError, struct.error)
    return (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, bad_field, *from_pickles)
