"""What is read of a server's replies, and what is kept of them. Whatever does not fit is no answer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import msgspec

from harness.models.patience import Unusable
from harness.records import Record, from_json

Count = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One text, and why it ends."""

    text: str
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDetails:
    """What the tokens of a completion are."""

    reasoning_tokens: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts, where the server counts."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    completion_tokens_details: TokenDetails | None = None

    @property
    def reasoning_tokens(self) -> int | None:
        """How many tokens of the completion are thinking, where the server says it."""
        return self.completion_tokens_details.reasoning_tokens if self.completion_tokens_details else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one request for completions."""

    choices: tuple[Choice, ...]
    usage: Usage | None = None
    model: str | None = None
    system_fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What an assistant says. Thinking that the server takes out of it has two names, none of them OpenAI's."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None  # vLLM, OpenRouter
    reasoning_content: str | None = None  # DeepSeek, SGLang, llama.cpp
    tool_calls: tuple[Any, ...] | None = None
    function_call: Any = None

    @property
    def thinking(self) -> str | None:
        """The thinking, under either name; None where the server takes none out."""
        return self.reasoning if self.reasoning_content is None else self.reasoning_content


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatChoice:
    """One turn, and why it ends."""

    message: Turn
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAnswer:
    """The answer to one chat."""

    choices: tuple[ChatChoice, ...]
    usage: Usage | None = None
    model: str | None = None
    system_fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One of these models. vLLM's `root` is where it has the weights from."""

    id: str
    root: str | None = None
    owned_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The models that a server says it has."""

    data: tuple[Listed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a server says of a model: the name in its answers, its entry among the models, the state of its engine."""

    name: str
    root: str | None = None
    owned_by: str | None = None
    system_fingerprint: str | None = None


def digest_of(address: str, name: str, served: Served) -> str:
    """Return the SHA-256 of the address and what the server says of the model, but for the state of its engine."""
    known = [address, name, asdict(replace(served, system_fingerprint=None))]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def read(kind: type[Record], content: bytes) -> Record:
    """Return a reply's content as a record. Raises `Unusable` when it does not fit."""
    try:
        return from_json(kind, content)
    except (ValueError, RecursionError) as error:
        raise Unusable(str(error)) from None
