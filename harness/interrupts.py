"""Ctrl-C and SIGTERM end a command soon, whatever its threads wait for.

The first raises KeyboardInterrupt, so that what is open is closed. When that takes too long (an engine that does not
answer, a test that computes without end on a thread), or at the second, the process leaves as it stands: records are
on disk one by one, and a cell ends by itself when the harness that holds its pipe is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

EXIT_INTERRUPTED = 130
CLOSING_SECONDS = 1.5


class Interrupts:
    """What the signals of one process do while something runs that they may end."""

    def __init__(self) -> None:
        self._is_said = False
        self._timer: threading.Timer | None = None

    @contextlib.contextmanager
    def end_soon(self) -> Iterator[None]:
        """End what runs inside at the first signal, and the process soon after it. For the main thread."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # whoever started us wants us not to hear it (nohup, a shell's `&`)
                signal.signal(number, self._stop)
        try:
            yield
        finally:
            if self._timer is None:  # else a signal has come, and the next one still means at once
                for number, handler in before.items():
                    signal.signal(number, handler)

    def say(self) -> None:
        """Say that the run was interrupted, and what to do."""
        self._is_said = True
        print("interrupted; run the same command again to go on", file=sys.stderr, flush=True)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._timer is not None:
            self._leave()
        self._timer = threading.Timer(CLOSING_SECONDS, self._leave)
        self._timer.daemon = True
        self._timer.start()
        raise KeyboardInterrupt

    def _leave(self) -> None:
        if not self._is_said:
            self.say()
        os._exit(EXIT_INTERRUPTED)
