"""A connection to a server's model: requests, one or many at once, made again where that helps.

`endpoints` sends a request and reads the answer, `parameters` says what is sent beside the prompt, `patience` asks
again, `in_order` has many requests under way at once. What is asked, and what an answer means, is `server`'s matter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from harness.errors import UsageError
from harness.model_options import NO_KEY, key_of_environment
from harness.models.endpoints import Said, ask
from harness.models.in_order import in_order
from harness.models.parameters import left_out, sent
from harness.models.patience import Denied, Patience, Refused, Unusable, patiently
from harness.models.replies import Listed, Listing, read
from harness.models.seam import Asked, GenerationSettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_CONNECT_SECONDS = 30.0

Reply = TypeVar("Reply")
Asking = Callable[["AsyncOpenAI", int], Awaitable[Reply]]


class Connection:
    """The way to the model called `model` on the server with that `address`. `refused` are parameters it does without.

    The key is read from the environment, sent, and taken out of whatever the server says.
    """

    def __init__(self, *, model: str, address: str, patience: Patience) -> None:
        self.model = model
        self.address = address
        self.patience = patience
        self.refused: frozenset[str] = frozenset()
        self._key = key_of_environment()

    def each(self, asking: Asking[Reply], count: int, at_once: int, missing: Reply | None = None) -> Iterator[Reply]:
        """Yield what `asking` comes to for each place below `count`, in order; see `in_order`."""
        from openai import AsyncOpenAI, Timeout

        seconds = self.patience.request_seconds
        timeout = Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))

        @asynccontextmanager
        async def opened() -> AsyncIterator[Callable[[int], Awaitable[Reply]]]:
            async with AsyncOpenAI(base_url=self.address, api_key=self._key, timeout=timeout, max_retries=0) as client:
                yield lambda place: asking(client, place)

        return in_order(opened, count, at_once, missing)

    def once(self, asking: Callable[[AsyncOpenAI], Awaitable[Reply]]) -> Reply:
        """Return what `asking` comes to."""
        (reply,) = self.each(lambda client, _: asking(client), 1, 1)
        return reply

    async def said(
        self,
        client: AsyncOpenAI,
        asked: Asked,
        settings: GenerationSettings,
        seed: int = 0,
        patience: Patience | None = None,
    ) -> Said:
        """Return the answer to one request; it is made again where there is none, and without what is refused."""
        is_chat = bool(asked.messages)
        while True:
            parameters = sent(settings, seed, self.refused, is_chat=is_chat)
            try:
                request = partial(ask, client, self.model, asked, parameters)
                return await patiently(request, patience or self.patience, self._without_key)
            except Refused as error:
                self.refused |= {left_out(error, parameters, is_chat=is_chat)}

    async def listed(self, client: AsyncOpenAI, patience: Patience) -> tuple[Listed, ...]:
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

    def _without_key(self, text: str) -> str:
        return text if self._key == NO_KEY else text.replace(self._key, "***")
