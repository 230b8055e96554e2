"""What a protocol says about a family of benchmarks: prompt, decoding, and how an answer becomes a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.chat import Chat
from harness.records import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of one protocol for one family of benchmarks.

    `prompt` gives the text that a model continues, byte for byte, or what a chat model is asked. A completion is cut
    at the strings of `stop`; `program` makes a program of it, and never fails. `temperature` (0 is greedy), `top_p`,
    `max_new_tokens` and `n_samples` are what the protocol decodes with unless told otherwise. `extraction` is the name
    of the rule that `program` follows, `source` says where all of this comes from.
    """

    name: str
    source: str
    prompt: Callable[[Task], str | Chat]
    program: Callable[[Task, str], str]
    extraction: str
    stop: tuple[str, ...]
    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    n_samples: int = 1
