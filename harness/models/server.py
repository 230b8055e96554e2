"""Models behind a server that speaks OpenAI's protocol: vLLM, llama.cpp, a hosted service, ...

Covers the address, what is asked of it, and one request per sample; `endpoints` sends one and reads the answer,
`patience` asks again, `in_order` has many requests under way at once. The package openai is imported inside functions
only.

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

from harness.chat import Chat, Message
from harness.errors import MissingDependency, ModelUnavailable, UsageError
from harness.evidence import clean
from harness.model_options import KEY, address_of
from harness.models.endpoints import Said, Withheld, ask
from harness.models.in_order import in_order
from harness.models.patience import Denied, Patience, Unusable, patiently
from harness.models.replies import Listed, Listing, Served, read
from harness.models.requests import Reader, unread
from harness.models.seam import (
    Asked,
    Completion,
    GenerationSettings,
    Prompt,
    see_that_they_make_sense,
)
from harness.reasoning import ReasoningRule, cut_answer
from harness.records import StopReason

if TYPE_CHECKING:
    from openai import AsyncOpenAI

INSTALL = "pip install 'code-harness[openai]'"
NO_KEY = "none"  # the client wants one, and a server of one's own may want none
_GREETING = "def"
_ONE_TOKEN = GenerationSettings(max_new_tokens=1)
_CONNECT_SECONDS = 30.0
_AT_FIRST = 4  # attempts: whoever has just typed an address waits for it

Reply = TypeVar("Reply")
Asking = Callable[["AsyncOpenAI", int], Awaitable[Reply]]
_UNANSWERED = Completion(text="", stop_reason=StopReason.TIME)


class ServerModel:
    """A model that a server runs. Make one with `ServerModel.connect`.

    `digest` is over the server's address and what it says of the model: its weights are not known. With a `reader`,
    prompts are read here and sent as tokens; without, the server reads texts, and makes texts of chats.
    """

    def __init__(self, *, name: str, address: str, patience: Patience, reader: Reader | None = None) -> None:
        self.name = name
        self.address = address
        self.served = Served(name=name)
        self.digest = _digest(address, name, self.served)
        self.tokenizer_digest = reader.digest if reader else ""
        self.template_digest = reader.template_digest if reader else ""
        self._reader = reader
        self._patience = patience
        self._key = _key()
        self._greeted: set[bool] = set()  # whether with a chat

    @classmethod
    def connect(
        cls, name: str, base_url: str | None = None, patience: Patience | None = None, reader: Reader | None = None
    ) -> ServerModel:
        """Ask a server for one token of the model called `name`, so that what is wrong is known before any work.

        Raises `MissingDependency` without the package openai, `UsageError` for an address that is none,
        `ModelUnavailable` when the server does not answer or does not serve the model.
        """
        address = address_of(base_url)
        try:
            import_module("openai")  # before a connection is made, which is far from here
        except ImportError as error:
            raise MissingDependency(f"a model on a server needs the package openai ({error}): {INSTALL}") from error
        model = cls(name=name, address=address, patience=patience or Patience(), reader=reader)
        (model.served,) = model._each(lambda client, _: model._introduced(client), 1, 1)
        model.digest = _digest(address, name, model.served)
        return model

    @property
    def runtime(self) -> dict[str, str]:
        """What a sample depends on beside the model, and what cannot be said of it."""
        here = "prompts are read here and sent as tokens"
        return {
            "base_url": self.address,
            "served_as": self.served.name,
            "digest": "of address and names; the server's weights are not known",
            "prompts": here if self._reader else "read by the server, whose tokenizer and chat template are not known",
            "reproducible": "not promised: seeds are sent, and a server may batch, round or be updated as it likes",
        }

    def versions(self) -> dict[str, str]:
        """Return the version of the client, and what the server calls the state of its engine."""
        state = self.served.system_fingerprint
        return {"openai": version("openai")} | ({"system_fingerprint": state} if state else {})

    def asked(self, prompts: Sequence[Prompt]) -> list[Asked]:
        """Return what the server is asked, in order, having asked it for one token in the same way.

        Raises `UsageError` for prompts that it cannot be asked, `ModelUnavailable` when it fails.
        """
        read = self._read(prompts)
        for is_chat in {bool(one.messages) for one in read} - self._greeted:
            self._greet(is_chat)
        return read

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        """Yield one completion per prompt, in order; `batch_size` requests are under way at once.

        What is not answered at the deadline has no text. Raises `UsageError` before any work when a setting makes no
        sense, and for a prompt that the server refuses; `ModelUnavailable` when the server fails. Both come behind
        all that was answered by then; what was not has no text, as at a deadline.
        """
        see_that_they_make_sense(settings)
        read = self._read(prompts)
        return self._each(
            lambda client, place: self._completed(client, prompts[place], read[place], settings),
            len(prompts),
            settings.batch_size,
            _UNANSWERED,
        )

    def reasoning(self, prompt: Prompt) -> ReasoningRule:
        """Return the rule that fits its completions of prompts like this; see `Reader.reasoning`.

        Without a reader that is not known: who is asked in chat may think, and who goes on from a text does not.
        """
        if self._reader:
            return self._reader.reasoning(prompt)
        return ReasoningRule.THINK if isinstance(prompt.text, Chat) else ReasoningRule.NONE

    def _read(self, prompts: Sequence[Prompt]) -> list[Asked]:
        return self._reader.asked(prompts) if self._reader else [unread(prompt) for prompt in prompts]

    def _greeting(self, is_chat: bool) -> Asked:
        if is_chat:
            return Asked(messages=(Message("user", _GREETING),))
        (read,) = self._read([Prompt(task_id="a greeting", sample_index=0, text=_GREETING, seed=0)])
        return read

    def _greet(self, is_chat: bool) -> None:
        try:
            tuple(self._each(lambda client, _: self._met(client, is_chat, self._patience), 1, 1))
        except (Denied, UsageError) as error:
            what, others, one = ("chats", "texts", "default") if is_chat else ("texts", "chats", "evalplus-chat-api")
            raise UsageError(
                f"{self.name} on {self.address} cannot be asked {what} ({error}): take a protocol of {others}, such as "
                f"{one}"
            ) from None

    def _each(self, ask: Asking[Reply], count: int, at_once: int, missing: Reply | None = None) -> Iterator[Reply]:
        from openai import AsyncOpenAI, Timeout

        seconds = self._patience.request_seconds
        timeout = Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))

        @asynccontextmanager
        async def opened() -> AsyncIterator[Callable[[int], Awaitable[Reply]]]:
            async with AsyncOpenAI(base_url=self.address, api_key=self._key, timeout=timeout, max_retries=0) as client:
                yield lambda place: ask(client, place)

        return in_order(opened, count, at_once, missing)

    async def _introduced(self, client: AsyncOpenAI) -> Served:
        """Return what the server says of the model. Raises `ModelUnavailable` with the names that it has."""
        patience = replace(self._patience, attempts=min(self._patience.attempts, _AT_FIRST))
        listed = await self._listed(client, patience)
        try:
            said = await self._met_somehow(client, patience)
        except Denied as error:
            names = clean(", ".join(one.id for one in listed[:20]))
            raise ModelUnavailable(f"{str(error).rstrip('.')}. It lists: {names or 'nothing'}") from None
        entry = next((one for one in listed if one.id == self.name), Listed(id=self.name))
        return Served(
            name=said.model or self.name,
            root=entry.root,
            owned_by=entry.owned_by,
            system_fingerprint=said.system_fingerprint,
        )

    async def _met_somehow(self, client: AsyncOpenAI, patience: Patience) -> Said:
        """Return the answer to a text, or to a chat where that is all that the server has."""
        try:
            return await self._met(client, False, patience)
        except (Denied, UsageError) as error:
            if self._reader:
                raise type(error)(f"{error} (with a tokenizer, prompts are sent to it as tokens)") from None
            try:
                return await self._met(client, True, patience)
            except (Denied, UsageError):
                raise error from None

    async def _met(self, client: AsyncOpenAI, is_chat: bool, patience: Patience) -> Said:
        """Return the answer to a greeting, and take note that it can be asked like this."""
        said = await self._said(client, self._greeting(is_chat), _ONE_TOKEN, 0, patience)
        self._greeted.add(is_chat)
        return said

    async def _listed(self, client: AsyncOpenAI, patience: Patience) -> tuple[Listed, ...]:
        """Return the models that the server lists; none where it has no list."""

        async def listing() -> tuple[Listed, ...]:
            response = await client.models.with_raw_response.list()
            try:
                return read(Listing, response.content).data
            except Unusable:  # nobody promised a list
                return ()

        try:
            return await patiently(listing, patience, self._without_key)
        except (Denied, UsageError):
            return ()

    async def _completed(
        self, client: AsyncOpenAI, prompt: Prompt, asked: Asked, settings: GenerationSettings
    ) -> Completion:
        left = None if settings.deadline is None else settings.deadline - time.monotonic()
        if left is not None and left <= 0:
            return _UNANSWERED
        try:
            async with asyncio.timeout(left):
                return await self._answered(client, prompt, asked, settings)
        except TimeoutError:
            return _UNANSWERED

    async def _answered(
        self, client: AsyncOpenAI, prompt: Prompt, asked: Asked, settings: GenerationSettings
    ) -> Completion:
        try:
            said = await self._said(client, asked, settings, prompt.seed, self._patience)
        except Withheld as error:
            raise UsageError(f"{prompt.task_id}: {error}") from None
        except UsageError as error:
            # A server that refuses everything by now would else pass for one that refuses this prompt.
            await self._see_that_it_still_answers(client, bool(asked.messages))
            raise UsageError(f"{prompt.task_id}: {error}") from None
        if said.model and said.model != self.served.name:
            raise ModelUnavailable(
                f"{self.address} answered as {clean(self.served.name)}, and answers as {clean(said.model)} now: "
                "samples of both do not mix. Begin another run with --out"
            )
        # A server may know fewer stop strings, or leave them in; of a model that thinks it has not been told them.
        # Where it takes the thinking out, what it leaves is the answer.
        rule = settings.reasoning if said.reasoning is None else ReasoningRule.NONE
        text = cut_answer(said.text, rule, settings.stop)
        return Completion(
            text=text,
            stop_reason=StopReason.STOP if text != said.text else said.stop_reason,
            prompt_tokens=said.usage.prompt_tokens,
            completion_tokens=said.usage.completion_tokens,
            reasoning_tokens=said.usage.reasoning_tokens,
            reasoning=said.reasoning,
        )

    async def _see_that_it_still_answers(self, client: AsyncOpenAI, is_chat: bool) -> None:
        try:
            await self._said(client, self._greeting(is_chat), _ONE_TOKEN, 0, self._patience)
        except UsageError as error:
            raise ModelUnavailable(f"{error}, whatever it is asked") from None

    async def _said(
        self, client: AsyncOpenAI, asked: Asked, settings: GenerationSettings, seed: int, patience: Patience
    ) -> Said:
        """Return the answer to one request, asked for again where it is none."""
        return await patiently(lambda: ask(client, self.name, asked, settings, seed), patience, self._without_key)

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
