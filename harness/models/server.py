"""Models behind a server that speaks OpenAI's protocol: vLLM, llama.cpp, a hosted service, ...

Covers the address, one request per sample on the completions endpoint, and reading answers; `patience` asks again,
`in_order` has many requests under way at once. The package openai is imported inside functions only.

The key is read from the environment, sent, and taken out of whatever the server says; no file and no message has it.
What is repeatable: nothing for certain. Seeds are sent, and a server may batch, round or be updated as it likes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

from harness.chat import Chat
from harness.errors import MissingDependency, ModelUnavailable, UsageError
from harness.evidence import clean
from harness.model_options import KEY, address_of
from harness.models.in_order import in_order
from harness.models.patience import Denied, Patience, Unusable, patiently
from harness.models.replies import Answer, Listed, Listing, Served, Usage, read
from harness.models.seam import (
    Completion,
    GenerationSettings,
    Prompt,
    see_that_it_is_unicode,
    see_that_they_make_sense,
)
from harness.reasoning import ReasoningRule, cut_answer
from harness.records import StopReason

if TYPE_CHECKING:
    from openai import AsyncOpenAI

INSTALL = "pip install 'code-harness[openai]'"
NO_KEY = "none"  # the client wants one, and a server of one's own may want none
_REASONS = {
    "stop": StopReason.STOP,
    "eos_token": StopReason.STOP,  # text-generation-inference
    "stop_sequence": StopReason.STOP,
    "length": StopReason.LENGTH,
}
_FILTERED = "content_filter"
_GREETING = "def"
_CONNECT_SECONDS = 30.0
_AT_FIRST = 4  # attempts: whoever has just typed an address waits for it

Said = TypeVar("Said")


class ServerModel:
    """A model that a server runs. Make one with `ServerModel.connect`.

    `digest` is over the server's address and what it says of the model: its weights are not known.
    """

    def __init__(self, *, name: str, address: str, patience: Patience, served: Served | None = None) -> None:
        self.name = name
        self.address = address
        self.served = served or Served(name=name)
        self.digest = _digest(address, name, self.served)
        self._patience = patience
        self._key = _key()

    @classmethod
    def connect(cls, name: str, base_url: str | None = None, patience: Patience | None = None) -> ServerModel:
        """Ask a server for one token of the model called `name`, so that what is wrong is known before any work.

        Raises `MissingDependency` without the package openai, `UsageError` for an address that is none,
        `ModelUnavailable` when the server does not answer or does not serve the model.
        """
        address = address_of(base_url)
        try:
            import_module("openai")  # before a connection is made, which is far from here
        except ImportError as error:
            raise MissingDependency(f"a model on a server needs the package openai ({error}): {INSTALL}") from error
        patience = patience or Patience()
        stranger = cls(name=name, address=address, patience=patience)
        (served,) = stranger._each(lambda client, _: stranger._introduced(client), 1, 1)
        return cls(name=name, address=address, patience=patience, served=served)

    @property
    def runtime(self) -> dict[str, str]:
        """What a sample depends on beside the model, and what cannot be said of it."""
        return {
            "base_url": self.address,
            "served_as": self.served.name,
            "digest": "of address and names; the server's weights are not known",
            "reproducible": "not promised: seeds are sent, and a server may batch, round or be updated as it likes",
        }

    def versions(self) -> dict[str, str]:
        """Return the version of the client, and what the server calls the state of its engine."""
        state = self.served.system_fingerprint
        return {"openai": version("openai")} | ({"system_fingerprint": state} if state else {})

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        """Yield one completion per prompt, in order; `batch_size` requests are under way at once.

        What is not answered at the deadline has no text. Raises `UsageError` before any work when a setting makes no
        sense, and in its turn for a prompt that the server refuses; `ModelUnavailable` when the server fails.
        """
        see_that_they_make_sense(settings)
        for prompt in prompts:
            if isinstance(prompt.text, Chat):
                raise UsageError(f"{prompt.task_id}: a chat, and {self.name} continues texts")
            see_that_it_is_unicode(prompt.text, f"{prompt.task_id}: the prompt")
        return self._each(
            lambda client, place: self._completed(client, prompts[place], settings), len(prompts), settings.batch_size
        )

    def reasoning(self, prompt: Prompt) -> ReasoningRule:
        """Return the rule for completions of prompts like this: a server does not say, and those who chat may think."""
        return ReasoningRule.THINK if isinstance(prompt.text, Chat) else ReasoningRule.NONE

    def _each(self, ask: Callable[[AsyncOpenAI, int], Awaitable[Said]], count: int, at_once: int) -> Iterator[Said]:
        from openai import AsyncOpenAI, Timeout

        seconds = self._patience.request_seconds
        timeout = Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))

        @asynccontextmanager
        async def opened() -> AsyncIterator[Callable[[int], Awaitable[Said]]]:
            async with AsyncOpenAI(base_url=self.address, api_key=self._key, timeout=timeout, max_retries=0) as client:
                yield lambda place: ask(client, place)

        return in_order(opened, count, at_once)

    async def _introduced(self, client: AsyncOpenAI) -> Served:
        """Return what the server says of the model. Raises `ModelUnavailable` with the names that it has."""
        patience = replace(self._patience, attempts=min(self._patience.attempts, _AT_FIRST))
        listed = await self._listed(client, patience)
        try:
            answer = await self._said(client, _GREETING, GenerationSettings(max_new_tokens=1), 0, patience)
        except Denied as error:
            names = clean(", ".join(one.id for one in listed[:20]))
            raise ModelUnavailable(f"{str(error).rstrip('.')}. It lists: {names or 'nothing'}") from None
        entry = next((one for one in listed if one.id == self.name), Listed(id=self.name))
        return Served(
            name=answer.model or self.name,
            root=entry.root,
            owned_by=entry.owned_by,
            system_fingerprint=answer.system_fingerprint,
        )

    async def _listed(self, client: AsyncOpenAI, patience: Patience) -> tuple[Listed, ...]:
        """Return the models that the server lists; none where it has no list."""

        async def ask() -> tuple[Listed, ...]:
            response = await client.models.with_raw_response.list()
            try:
                return read(Listing, response.content).data
            except Unusable:  # nobody promised a list
                return ()

        try:
            return await patiently(ask, patience, self._without_key)
        except (Denied, UsageError):
            return ()

    async def _completed(self, client: AsyncOpenAI, prompt: Prompt, settings: GenerationSettings) -> Completion:
        left = None if settings.deadline is None else settings.deadline - time.monotonic()
        if left is not None and left <= 0:
            return Completion(text="", stop_reason=StopReason.TIME)
        try:
            async with asyncio.timeout(left):
                return await self._answered(client, prompt, settings)
        except TimeoutError:
            return Completion(text="", stop_reason=StopReason.TIME)

    async def _answered(self, client: AsyncOpenAI, prompt: Prompt, settings: GenerationSettings) -> Completion:
        try:
            answer = await self._said(client, str(prompt.text), settings, prompt.seed, self._patience)
        except UsageError as error:
            # A server that refuses everything by now would else pass for one that refuses this prompt.
            await self._see_that_it_still_answers(client)
            raise UsageError(f"{prompt.task_id}: {error}") from None
        if answer.model and answer.model != self.served.name:
            raise ModelUnavailable(
                f"{self.address} answered as {clean(self.served.name)}, and answers as {clean(answer.model)} now: "
                "samples of both do not mix. Begin another run with --out"
            )
        choice, usage = answer.choices[0], answer.usage or Usage()
        if choice.finish_reason == _FILTERED:
            raise UsageError(f"{prompt.task_id}: the server withholds the answer (finish_reason {_FILTERED})")
        # A server may know fewer stop strings, or leave them in; of a model that thinks it has not been told them.
        text = cut_answer(choice.text, settings.reasoning, settings.stop)
        return Completion(
            text=text,
            stop_reason=StopReason.STOP if text != choice.text else _REASONS[choice.finish_reason or ""],
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            reasoning_tokens=usage.reasoning_tokens,
        )

    async def _see_that_it_still_answers(self, client: AsyncOpenAI) -> None:
        try:
            await self._said(client, _GREETING, GenerationSettings(max_new_tokens=1), 0, self._patience)
        except UsageError as error:
            raise ModelUnavailable(f"{error}, whatever it is asked") from None

    async def _said(
        self, client: AsyncOpenAI, text: str, settings: GenerationSettings, seed: int, patience: Patience
    ) -> Answer:
        """Return the answer to one request, which has a choice with a known reason for its end."""
        # A server looks for stop strings in the thinking, too (vLLM does, also where it takes the thinking out).
        stop = {"stop": list(settings.stop)} if settings.stop and not settings.reasoning.thinks else {}

        async def ask() -> Answer:
            response = await client.completions.with_raw_response.create(
                model=self.name,
                prompt=text,
                max_tokens=settings.most_tokens,
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=seed,
                **stop,
            )
            answer = read(Answer, response.content)
            if not answer.choices:
                raise Unusable("no choices")
            if (reason := answer.choices[0].finish_reason) not in (*_REASONS, _FILTERED):
                raise Unusable(f"finish_reason {reason}")
            return answer

        return await patiently(ask, patience, self._without_key)

    def _without_key(self, text: str) -> str:
        return text if self._key == NO_KEY else text.replace(self._key, "***")


def _key() -> str:
    """Return the key of the environment. Raises `UsageError`, without showing it, for one that cannot be sent."""
    key = os.environ.get(KEY, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"{KEY} holds characters that no key has: set it anew")
    return key or NO_KEY


def _digest(address: str, name: str, served: Served) -> str:
    """Return the SHA-256 of the address and what the server says of the model, but for the state of its engine."""
    known = [address, name, asdict(replace(served, system_fingerprint=None))]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()
