"""Which backend runs a model, and how."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from harness.errors import UsageError

HF, OPENAI = "hf", "openai"
BACKENDS = (HF, OPENAI)
KEY, ADDRESS = "OPENAI_API_KEY", "OPENAI_BASE_URL"  # environment variables
_OF_A_SERVER = frozenset({"base_url", "request_seconds"})
_OF_A_CHECKPOINT = frozenset({"dtype", "device", "revision", "trust_remote_code"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How a checkpoint is loaded (the backend hf), or which server runs the model (openai).

    `base_url` is like http://localhost:8000/v1 (None: what `OPENAI_BASE_URL` says); `request_seconds` is
    how long one answer may take before it is asked for again. Raises UsageError for a value that means nothing to the
    backend.
    """

    backend: str = HF
    dtype: str = "auto"
    device: str = "auto"
    revision: str | None = None
    trust_remote_code: bool = False
    base_url: str | None = None
    request_seconds: float = 600.0

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise UsageError(f"no backend {self.backend!r}: use one of {', '.join(BACKENDS)}")
        foreign = _OF_A_SERVER if self.backend == HF else _OF_A_CHECKPOINT
        for one in fields(self):
            if one.name in foreign and getattr(self, one.name) != one.default:
                raise UsageError(f"{one.name} means nothing to the backend {self.backend}: leave it out")
        if self.request_seconds <= 0:
            raise UsageError(f"request_seconds {self.request_seconds:g}: more than 0")
        if self.base_url is not None:
            address_of(self.base_url)


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
