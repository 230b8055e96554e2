"""Prompts as they are read on this machine: which text and tokens, how many may follow, which ones end a text.

Used by `local`, `vllm_engine`, and `server` where it has a tokenizer, so that all are asked the very same and refuse
the same prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.chat import Chat
from harness.errors import UsageError
from harness.models.loading import Words
from harness.models.rendering import render, template_digest
from harness.models.seam import Asked, GenerationSettings, Prompt, see_that_it_is_unicode
from harness.reasoning import CLOSE, OPEN, ReasoningRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A prompt to be: its place in the order asked for, its tokens, how many may follow, and its sample's seed.

    `settings` are those behind this prompt. With a `limit` of 0 nothing is to be asked.
    """

    place: int
    tokens: list[int]
    limit: int
    seed: int
    settings: GenerationSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What reads prompts for the model called `name`, whose context holds `context` tokens (None: no limit known).

    `filler` is given to the model in the place of a prompt that has no token; see `filler_of`. `digest` is that of the
    tokenizer's files.
    """

    name: str
    tokenizer: Any
    context: int | None
    filler: int
    digest: str = ""

    @property
    def template_digest(self) -> str:
        """The SHA-256 of the chat template, empty where there is none."""
        return template_digest(self.tokenizer, self.name)

    def requests(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> list[Request]:
        """Return one request per prompt, in order; a prompt that leaves less room than asked for gets what there is.

        Raises `UsageError` for a prompt that leaves none in the context, or is not valid Unicode, and for a chat that
        the model's template does not take.
        """
        requests = []
        for place, (prompt, asked) in enumerate(zip(prompts, self.asked(prompts, settings), strict=True)):
            tokens = list(asked.tokens or ())
            own, limit = settings, 0
            if settings.leaves_room(len(tokens)):
                own = settings.behind(len(tokens))
                limit = own.most_tokens if self.context is None else min(own.most_tokens, self.context - len(tokens))
            requests.append(Request(place=place, tokens=tokens, limit=limit, seed=prompt.seed, settings=own))
        return requests

    def asked(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> list[Asked]:
        """Return the text and the tokens of each prompt, in order.

        Raises `UsageError` as `requests` does.
        """
        read: dict[str | Chat, Asked] = {}  # n samples of a task share their prompt
        for prompt in prompts:
            if prompt.text not in read:
                read[prompt.text] = self._read(prompt, settings)
        return [read[prompt.text] for prompt in prompts]

    def reasoning(self, prompt: Prompt) -> ReasoningRule:
        """Return the rule that fits completions of prompts like this, by what the tokenizer says of the model.

        A model thinks if `<think>` and `</think>` are tokens of their own, or stand in its chat template.
        """
        own, template = self.tokenizer.get_added_vocab(), str(getattr(self.tokenizer, "chat_template", None))
        if not all(mark in own or mark in template for mark in (OPEN, CLOSE)):
            return ReasoningRule.NONE
        text = self._text(prompt)
        return ReasoningRule.OPENED if text.rstrip().endswith(OPEN) else ReasoningRule.THINK

    def _text(self, prompt: Prompt) -> str:
        text = render(self.tokenizer, prompt.text, self.name) if isinstance(prompt.text, Chat) else prompt.text
        see_that_it_is_unicode(text, f"{prompt.task_id}: the prompt")
        return text

    def _read(self, prompt: Prompt, settings: GenerationSettings) -> Asked:
        text = self._text(prompt)
        # What begins and ends texts stands in the template already.
        is_chat = isinstance(prompt.text, Chat)
        tokens: list[int] = self.tokenizer(text, add_special_tokens=not is_chat, verbose=False)["input_ids"]
        tokens = tokens or [self.filler]  # a model must be given something to continue
        is_asked = settings.leaves_room(len(tokens))
        if is_asked and self.context is not None and len(tokens) >= self.context:
            raise UsageError(
                f"{prompt.task_id}: the prompt has {len(tokens)} tokens, and the context of {self.name} holds"
                f" {self.context}: there is no room for an answer. Leave the task out or take a model with more"
            )
        return Asked(text=text, tokens=tuple(tokens))


def unread(prompt: Prompt) -> Asked:
    """Return a prompt as a server is asked it that reads it itself.

    Raises `UsageError` for one that it cannot be asked, or that is not valid Unicode.
    """
    what = f"{prompt.task_id}: the prompt"
    if not isinstance(prompt.text, Chat):
        see_that_it_is_unicode(prompt.text, what)
        return Asked(text=prompt.text)
    if prompt.text.prefill:
        raise UsageError(
            f"{prompt.task_id}: this protocol puts the beginning of the answer into the model's mouth, which a server "
            "that reads chats itself cannot be asked. Give --tokenizer, the model's folder or id, so that prompts are "
            "read here, or take --protocol evalplus-chat-api, which asks without"
        )
    for one in prompt.text.messages:
        see_that_it_is_unicode(one.content, what)
    return Asked(messages=prompt.text.messages)


def reader_of(words: Words, name: str, *, context: int | None, digest: str) -> Reader:
    """Return what reads prompts for a model of which no more than its words is here."""
    tokenizer = words.tokenizer
    ends = end_tokens(words.generation, words.text, tokenizer)
    pad = tokenizer.pad_token_id
    filler = filler_of(tokenizer, pad if pad is not None else min(ends, default=0))
    return Reader(name=name, tokenizer=tokenizer, context=context, filler=filler, digest=digest)


def filler_of(tokenizer: Any, pad: int) -> int:
    """Return what stands for an empty prompt: the token that begins a text, or else the one that fills up."""
    start = tokenizer.bos_token_id
    return pad if start is None else int(start)


def end_tokens(*owners: Any) -> frozenset[int]:
    """Return every token that ends a text by any of these: generation settings, configuration, tokenizer."""
    named: list[Any] = []
    for owner in owners:
        tokens = getattr(owner, "eos_token_id", None)
        named.extend(tokens if isinstance(tokens, list | tuple) else [tokens])
    return frozenset(token for token in named if isinstance(token, int) and token >= 0)
