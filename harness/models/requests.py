"""Prompts as an engine on this machine is asked them: which tokens, how many may follow, which ones end a text.

Used by `local` and `vllm_engine`, so that both are asked the very same and refuse the same prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.chat import Chat
from harness.errors import UsageError
from harness.models.seam import Prompt, see_that_it_is_unicode
from harness.reasoning import CLOSE, OPEN, ReasoningRule

_BLANKS = 8  # tokens: more than templates put behind a mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A prompt to be: its place in the order asked for, its tokens, how many may follow, and its sample's seed."""

    place: int
    tokens: list[int]
    limit: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What reads prompts for the model called `name`, whose context holds `context` tokens (None: no limit known).

    `filler` is given to the model in the place of a prompt that has no token; see `filler_of`.
    """

    name: str
    tokenizer: Any
    context: int | None
    filler: int

    def requests(self, prompts: Sequence[Prompt], most_tokens: int) -> list[Request]:
        """Return one request per prompt, in order; a prompt that leaves less room than asked for gets what there is.

        Raises `UsageError` for a prompt that leaves none, or is not valid Unicode.
        """
        tokens_of: dict[str | Chat, list[int]] = {}  # n samples of a task share their prompt
        requests = []
        for place, prompt in enumerate(prompts):
            if prompt.text not in tokens_of:
                tokens_of[prompt.text] = self._tokens(prompt)
            tokens = tokens_of[prompt.text]
            limit = most_tokens if self.context is None else min(most_tokens, self.context - len(tokens))
            if limit < 1:
                raise UsageError(
                    f"{prompt.task_id}: the prompt has {len(tokens)} tokens, and the context of {self.name} holds"
                    f" {self.context}: there is no room for an answer. Leave the task out or take a model with more"
                )
            requests.append(Request(place=place, tokens=tokens, limit=limit, seed=prompt.seed))
        return requests

    def reasoning(self, prompt: Prompt) -> ReasoningRule:
        """Return the rule that fits completions of prompts like this, by what the tokenizer says of the model.

        A model thinks if `<think>` and `</think>` are tokens of their own, or stand in its chat template.
        """
        own, template = self.tokenizer.get_added_vocab(), str(getattr(self.tokenizer, "chat_template", None))
        if not all(mark in own or mark in template for mark in (OPEN, CLOSE)):
            return ReasoningRule.NONE
        end = self.tokenizer.decode(self._tokens(prompt)[-len(OPEN) - _BLANKS :])
        return ReasoningRule.OPENED if end.rstrip().endswith(OPEN) else ReasoningRule.THINK

    def _tokens(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt.text, Chat):
            raise UsageError(f"{prompt.task_id}: a chat, and {self.name} continues texts")
        see_that_it_is_unicode(prompt.text, f"{prompt.task_id}: the prompt")
        tokens: list[int] = self.tokenizer(prompt.text, verbose=False)["input_ids"]
        return tokens or [self.filler]  # a model must be given something to continue


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
