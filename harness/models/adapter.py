"""PEFT adapters: small weights that are added to a checkpoint's own, which stay as they are.

peft is imported inside functions only. It goes on with an adapter whose tensors do not fit, and warns; a measurement
of half an adapter is none of it.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

from harness.errors import ModelUnavailable, UsageError
from harness.models.checkpoint import Checkpoint, fetch, first_line, is_folder, required
from harness.models.loading import load_errors

INSTALL = "pip install 'code-harness[lora]'"
_CONFIG = "adapter_config.json"
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


def find_adapter(name: str) -> Checkpoint:
    """Find an adapter: a folder, `org/name` or `org/name@revision` on the hub.

    Raises `UsageError` for what is none, `ModelUnavailable` for an id that can be neither fetched nor found here,
    `MissingDependency` without peft.
    """
    required("peft", INSTALL)
    found = Checkpoint(folder=Path(name)) if is_folder(name) else fetch(name)
    lacking = [what for what in (_CONFIG,) if not (found.folder / what).is_file()]
    if lacking or not any((found.folder / file).is_file() for file in _WEIGHTS):
        raise UsageError(
            f"{name} is no PEFT adapter, it has no {lacking[0] if lacking else _WEIGHTS[0]}: `save_pretrained` of a "
            "PeftModel writes one"
        )
    return found


def adapter_digest(folder: Path, base: str) -> str:
    """Return the SHA-256 of an adapter's configuration and weights behind the digest of the model that it is for."""
    whole = hashlib.sha256(base.encode())
    for name in (_CONFIG, *_WEIGHTS):
        if (folder / name).is_file():
            with (folder / name).open("rb") as file:
                whole.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def add_adapter(model: Any, folder: Path, name: str) -> Any:
    """Return a model of transformers with an adapter in its layers.

    Raises `UsageError` for one that does not fit into this model, or that lives in the prompt, `ModelUnavailable` for
    one that cannot be loaded.
    """
    from peft import PeftConfig, PeftModel

    try:
        config = PeftConfig.from_pretrained(str(folder))
        if config.is_prompt_learning:
            raise UsageError(
                f"{name} is an adapter of the prompt ({config.peft_type}): only those of layers can be used"
            )
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            adapted = PeftModel.from_pretrained(model, str(folder), config=config)
    except (ValueError, RuntimeError) as error:  # layers that are not there, shapes that differ
        raise UsageError(f"the adapter {name} is not one of this model: {first_line(error)}") from error
    except load_errors() as error:
        raise ModelUnavailable(f"{name} cannot be loaded: {type(error).__name__}: {first_line(error)}") from error
    if missing := [str(one.message) for one in said if "missing adapter keys" in str(one.message)]:
        raise ModelUnavailable(f"{name} is not whole: {missing[0][:200]}")
    return adapted.get_base_model().eval()
