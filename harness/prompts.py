"""What a model was asked, byte for byte: the record of `prompts.jsonl`, a line per task, and the digest of them all."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from harness.chat import Chat, Message
from harness.lines import to_json
from harness.models.seam import Asked, GenerationSettings, Model, Prompt, Reading
from harness.protocols import PROTOCOLS
from harness.protocols.families import family_of
from harness.records import Benchmark


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPrompt:
    """The prompt of a task: the text that the model goes on from, or the messages of which a server makes one.

    `tokens` is how many it has, `tokens_digest` the SHA-256 of their ids, written as decimal numbers with commas
    between them; None and empty where a server reads the text.
    """

    task_id: str
    text: str | None = None
    messages: tuple[Message, ...] = ()
    tokens: int | None = None
    tokens_digest: str = ""


def asked_prompts(model: Model, prompts: Sequence[Prompt], settings: GenerationSettings) -> tuple[AskedPrompt, ...]:
    """Return what a model is asked for each prompt; nothing for a model that does not say.

    Raises `UsageError` for what it cannot be asked, `ModelUnavailable` for a server that fails.
    """
    if not isinstance(model, Reading):
        return ()
    return tuple(
        _recorded(prompt, asked) for prompt, asked in zip(prompts, model.asked(prompts, settings), strict=True)
    )


def _recorded(prompt: Prompt, asked: Asked) -> AskedPrompt:
    ids = asked.tokens
    return AskedPrompt(
        task_id=prompt.task_id,
        text=asked.text,
        messages=asked.messages,
        tokens=None if ids is None else len(ids),
        tokens_digest="" if ids is None else hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest(),
    )


def lines_of(prompts: Iterable[AskedPrompt]) -> str:
    """Return the content of `prompts.jsonl`."""
    return "".join(f"{to_json(prompt)}\n" for prompt in prompts)


def prompts_digest(prompts: Sequence[AskedPrompt]) -> str:
    """Return the SHA-256 of the content of `prompts.jsonl`; empty without prompts."""
    return hashlib.sha256(lines_of(prompts).encode()).hexdigest() if prompts else ""


def chat_protocol(benchmark: Benchmark) -> str | None:
    """Return the name of a protocol that asks chats about a benchmark's tasks; None where there is none."""
    family = family_of(benchmark)
    fitting = (name for name, rules in sorted(PROTOCOLS.items()) if family in rules)
    return next((one for one in fitting if isinstance(PROTOCOLS[one][family].prompt(benchmark.tasks[0]), Chat)), None)


def whole_groups(
    keys: Iterable[tuple[str, int]], stored: Container[tuple[str, int]], size: int
) -> Iterator[tuple[str, int]]:
    """Yield the keys of every group of `size`, in order, of which anything is not stored.

    A model that computes prompts together then computes the same ones together, however often a run was stopped.
    """
    rest = iter(keys)
    while group := list(islice(rest, size)):
        if any(key not in stored for key in group):
            yield from group
