"""Judge samples on a thread of their own while others are still being written on the caller's.

Whoever writes samples may hold its thread for minutes and then hand over many at once (a window of batches), or may go
on only while it is asked (an engine's loop). So neither side waits for the other: samples go to the disk as they come,
and the judging side reads them from there, however far it is behind. Knows nothing of models or judges.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from enum import Enum


class Abandoned(Exception):
    """Nobody waits for the verdicts any more."""


class Tick(Enum):
    """What is there to be judged."""

    MORE = "more"  # one further thing
    NONE_YET = "none yet"
    END = "end"  # nothing any more


Wait = Callable[[float], Tick]


def judge_beside(
    written: Generator[object, None, None], judge: Callable[[Wait], None], give_up: Callable[[], None]
) -> None:
    """Take everything from `written` on this thread while `judge(wait)` runs on another.

    `wait(seconds)` says that one further thing was taken, that none was within that time, or that there is no more.
    Raises what `written` raises, once all that was taken before is judged; what `judge` raises, as soon as the next
    thing is taken. When this thread is interrupted, `give_up` is called, so that whatever `judge` waits for ends.
    """
    taken: queue.SimpleQueue[Tick] = queue.SimpleQueue()
    left = threading.Event()

    def wait(seconds: float) -> Tick:
        try:
            tick = taken.get(timeout=seconds) if seconds > 0 else taken.get_nowait()
        except queue.Empty:
            tick = Tick.NONE_YET
        if left.is_set():
            raise Abandoned
        return tick

    with ThreadPoolExecutor(1, thread_name_prefix="judging") as executor, closing(written):
        judging = executor.submit(judge, wait)
        try:
            for _ in written:
                taken.put(Tick.MORE)
                if judging.done():  # it has failed: there is no end to what it waits for yet
                    break
        except (KeyboardInterrupt, SystemExit):
            left.set()
            give_up()
            raise
        finally:
            taken.put(Tick.END)
    judging.result()
