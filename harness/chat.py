"""What a chat model is asked: messages, and the beginning of its answer that is put into its mouth."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """Turns for a model's chat template; the model writes the assistant's next one, behind `prefill`."""

    messages: tuple[Message, ...]
    prefill: str = ""
