"""Many requests under way at once, their answers in the order asked for.

The requests live in an event loop on a thread of its own, so that they go on while the reader of the answers is busy
judging. Leaving the iterator ends those that are under way, and with them what they hold open. Knows nothing of models.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

Answer = TypeVar("Answer")
Ask = Callable[[int], Awaitable[Answer]]

_AHEAD = 4  # answers that may wait for the reader, per request that may be under way
_NONE = -1  # the place of a failure that is no single request's


def in_order(
    opened: Callable[[], AbstractAsyncContextManager[Ask[Answer]]],
    count: int,
    at_once: int,
    missing: Answer | None = None,
) -> Iterator[Answer]:
    """Yield the answers to the requests 0 to `count` - 1, in that order.

    `opened` gives what answers one request; it is entered and left in the requests' own thread. At most `at_once`
    requests are under way, and none is begun while the reader is far behind. What a request raises is raised in its
    turn, behind the answers before it; with `missing`, also behind those that have come for later requests, in whose
    order it stands for what has not come.
    """
    answers: queue.SimpleQueue[tuple[int, Answer | Exception]] = queue.SimpleQueue()
    room, left = asyncio.Semaphore(at_once * _AHEAD), asyncio.Event()

    async def one(ask: Ask[Answer], place: int, free: asyncio.Semaphore) -> None:
        try:
            answers.put((place, await ask(place)))
        except Exception as error:  # whichever it is, the reader raises it in its turn
            answers.put((place, error))
        finally:
            free.release()

    async def all_of_them(ask: Ask[Answer]) -> None:
        free = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as group:
            for place in range(count):
                await room.acquire()
                await free.acquire()
                group.create_task(one(ask, place, free))

    async def until_left() -> None:
        try:
            async with opened() as ask:
                asking = asyncio.create_task(all_of_them(ask))
                await left.wait()
                asking.cancel()
                await asyncio.wait({asking})
        except Exception as error:  # an open that fails: the reader raises it, too
            answers.put((_NONE, error))
            await left.wait()

    with _running(until_left, left) as loop:
        waiting: dict[int, Answer | Exception] = {}
        for place in range(count):
            while place not in waiting:
                of, answer = answers.get()
                waiting[place if of == _NONE else of] = answer
            answer = waiting.pop(place)
            if isinstance(answer, Exception):
                if missing is not None:
                    yield from _come(waiting, answers, place, missing)
                raise answer
            loop.call_soon_threadsafe(room.release)
            yield answer


def _come(
    waiting: dict[int, Answer | Exception],
    answers: queue.SimpleQueue[tuple[int, Answer | Exception]],
    first: int,
    missing: Answer,
) -> Iterator[Answer]:
    """Yield the answers that have come, from that place on, and `missing` in the places between."""
    while not answers.empty():
        of, answer = answers.get()
        waiting[of] = answer
    there = {place: one for place, one in waiting.items() if not isinstance(one, Exception)}
    for place in range(first, max(there, default=first - 1) + 1):
        yield there.get(place, missing)


@contextmanager
def _running(
    until_left: Callable[[], Coroutine[None, None, None]], left: asyncio.Event
) -> Iterator[asyncio.AbstractEventLoop]:
    """Run a coroutine that waits for `left` in an event loop on a thread of its own; at the end it is left."""
    loop = asyncio.new_event_loop()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(until_left())

    thread = threading.Thread(target=run, name="requests", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(left.set)
        thread.join()
