"""Judge samples on a thread of their own while others are still being written on the caller's.

Whoever writes samples may hold its thread for minutes and then hand over many at once (a window of batches), or may go
on only while it is asked (an engine's loop). So neither side waits for the other: samples go to the disk as they come,
and the judging side reads them from there, however far it is behind. Knows nothing of models or judges.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing


class Abandoned(Exception):
    """Nobody waits for the verdicts any more."""


_IDLE_SECONDS = 0.2


def judge_beside(
    written: Generator[object, None, None], judge: Callable[[Iterator[bool]], None], give_up: Callable[[], None]
) -> None:
    """Take everything from `written` on this thread while `judge(ticks)` runs on another.

    `ticks` yields True for each thing that was taken, and False now and then while there is no further one. Raises what
    `written` raises, once all that was taken before is judged; what `judge` raises, as soon as the next thing is taken.
    When this thread is interrupted, `give_up` is called, so that whatever `judge` waits for ends.
    """
    taken: queue.SimpleQueue[bool] = queue.SimpleQueue()
    left = threading.Event()

    def ticks() -> Iterator[bool]:
        while True:
            try:
                is_more = taken.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                yield False
                continue
            if left.is_set():
                raise Abandoned
            if not is_more:
                return
            yield True

    with ThreadPoolExecutor(1, thread_name_prefix="judging") as executor, closing(written):
        judging = executor.submit(judge, ticks())
        try:
            for _ in written:
                taken.put(True)
                if judging.done():  # it has failed: there is no end to what it waits for yet
                    break
        except (KeyboardInterrupt, SystemExit):
            left.set()
            give_up()
            raise
        finally:
            taken.put(False)
    judging.result()
