"""Models behind a server that speaks OpenAI's protocol: vLLM, llama.cpp, a hosted service, ...

Covers what is asked, one request per sample, and what is found out about a server before any work; `connection` has the
requests made. The package openai is imported inside functions only.

No file and no message has the key.
What is repeatable: nothing for certain. Seeds are sent, and a server may batch, round or be updated as it likes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

from harness.chat import Chat, Message
from harness.errors import MissingDependency, ModelUnavailable, UsageError
from harness.evidence import clean
from harness.model_options import address_of
from harness.models.connection import Connection
from harness.models.endpoints import RAN_OUT, Said, Withheld
from harness.models.parameters import CannotSample, described
from harness.models.patience import Denied, Patience
from harness.models.replies import Listed, Served, digest_of
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
_GREETING = "def"
_ONE_TOKEN = GenerationSettings(max_new_tokens=1, temperature=1.0)  # at which a model samples by itself
_ENOUGH_TOKENS = 4096  # for a model that has to think before it says anything, its name in particular
_AT_FIRST = 4  # attempts: whoever has just typed an address waits for it

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
        self.digest = digest_of(address, name, self.served)
        self.tokenizer_digest = reader.digest if reader else ""
        self.template_digest = reader.template_digest if reader else ""
        self._reader = reader
        self._greeted: set[bool] = set()  # whether with a chat
        self._line = Connection(model=name, address=address, patience=patience)

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
        model.served = model._line.once(model._introduced)
        model.digest = digest_of(address, name, model.served)
        return model

    @property
    def runtime(self) -> dict[str, str]:
        """What a sample depends on beside the model, and what cannot be said of it."""
        here = "prompts are read here and sent as tokens"
        refused = {"not_sent": described(self._line.refused)} if self._line.refused else {}
        return {
            "base_url": self.address,
            "served_as": self.served.name,
            "digest": "of address and names; the server's weights are not known",
            "prompts": here if self._reader else "read by the server, whose tokenizer and chat template are not known",
            "reproducible": "not promised: seeds are sent, and a server may batch, round or be updated as it likes",
            **refused,
        }

    def versions(self) -> dict[str, str]:
        """Return the version of the client, and what the server calls the state of its engine."""
        state = self.served.system_fingerprint
        return {"openai": version("openai")} | ({"system_fingerprint": state} if state else {})

    def asked(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> list[Asked]:
        """Return what the server is asked, in order, having asked it for one token in the same way.

        Raises `UsageError` for prompts and settings that it cannot be asked, `ModelUnavailable` when it fails.
        """
        read = self._read(prompts, settings)
        for is_chat in {bool(one.messages) for one in read}:
            if is_chat not in self._greeted:
                self._greet(is_chat)
            self._see_that_it_samples(is_chat, settings)
        return read

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        """Yield one completion per prompt, in order; `batch_size` requests are under way at once.

        What is not answered at the deadline has no text. Raises `UsageError` before any work when a setting makes no
        sense, and for a prompt that the server refuses; `ModelUnavailable` when the server fails. Both come behind
        all that was answered by then; what was not has no text, as at a deadline.
        """
        see_that_they_make_sense(settings)
        read = self._read(prompts, settings)
        return self._line.each(
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

    def _read(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> list[Asked]:
        if self._reader:
            return self._reader.asked(prompts, settings)
        if settings.max_length is not None:
            raise UsageError(
                f"prompt and answer are to have {settings.max_length} tokens together, and nobody here knows "
                "how many a prompt has: give --tokenizer, the model's folder or id, or --max-new-tokens for the answer"
            )
        return [unread(prompt) for prompt in prompts]

    def _greeting(self, is_chat: bool) -> Asked:
        if is_chat:
            return Asked(messages=(Message("user", _GREETING),))
        (read,) = self._read([Prompt(task_id="a greeting", sample_index=0, text=_GREETING, seed=0)], _ONE_TOKEN)
        return read

    def _see_that_it_samples(self, is_chat: bool, settings: GenerationSettings) -> None:
        """Raise `UsageError` where it does not sample by these settings, and find out what it does without."""
        like_it = replace(settings, max_new_tokens=1, max_reasoning_tokens=None, max_length=None, deadline=None)
        try:
            self._line.once(lambda client: self._line.said(client, self._greeting(is_chat), like_it))
        except CannotSample as error:
            raise UsageError(f"{self.name} on {self.address}: {error}") from None

    def _greet(self, is_chat: bool) -> None:
        try:
            self._line.once(lambda client: self._met(client, is_chat))
        except (Denied, UsageError) as error:
            what, others, one = ("chats", "texts", "default") if is_chat else ("texts", "chats", "evalplus-chat-api")
            raise UsageError(
                f"{self.name} on {self.address} cannot be asked {what} ({error}): take a protocol of {others}, such as "
                f"{one}"
            ) from None

    async def _introduced(self, client: AsyncOpenAI) -> Served:
        """Return what the server says of the model. Raises `ModelUnavailable` with the names that it has."""
        patience = self._line.patience
        patience = replace(patience, attempts=min(patience.attempts, _AT_FIRST))
        listed = await self._line.listed(client, patience)
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

    async def _met(self, client: AsyncOpenAI, is_chat: bool, patience: Patience | None = None) -> Said:
        """Return the answer to a greeting, and take note that it can be asked like this."""
        said = await self._line.said(client, self._greeting(is_chat), _ONE_TOKEN, patience=patience)
        if said is RAN_OUT:
            longer = replace(_ONE_TOKEN, max_new_tokens=_ENOUGH_TOKENS)
            said = await self._line.said(client, self._greeting(is_chat), longer, patience=patience)
        self._greeted.add(is_chat)
        return said

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
        count = len(asked.tokens or ())
        if not settings.leaves_room(count):
            return Completion(text="", stop_reason=StopReason.LENGTH, prompt_tokens=count, completion_tokens=0)
        try:
            said = await self._line.said(client, asked, settings.behind(count), prompt.seed)
        except Withheld as error:
            raise UsageError(f"{prompt.task_id}: {error}") from None
        except CannotSample as error:
            raise ModelUnavailable(str(error)) from None
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
            await self._line.said(client, self._greeting(is_chat), _ONE_TOKEN)
        except UsageError as error:
            raise ModelUnavailable(f"{error}, whatever it is asked") from None
