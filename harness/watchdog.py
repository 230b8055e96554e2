"""Stop test code that computes without end over the values that a program has given it.

Tests run on the trusted side and are a benchmark's own code, but a value may send them round a loop for ever
(`for i in range(candidate())`). One thread looks at the CPU time of the others and raises `TestsTooSlow` in the one
that has used up its share. A single long operation inside the interpreter cannot be ended this way; the codec bounds
the values that could cause one.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Iterator

TICK_SECONDS = 0.5


class TestsTooSlow(BaseException):
    """The tests have used up their CPU time."""

    __test__ = False  # not a test, whatever pytest thinks of the name


class Watchdog:
    """Watches the CPU time of the threads that ask for it, in a thread that is there as long as there are any."""

    def __init__(self, cpu_seconds: float) -> None:
        self._cpu_seconds = cpu_seconds
        self._lock = threading.Lock()
        self._ends: dict[int, tuple[int, float]] = {}  # thread: its CPU clock, and when that is too late
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Bound the CPU time of this thread inside the block; raises TestsTooSlow there, and nowhere else."""
        thread = threading.get_ident()
        clock = time.pthread_getcpuclockid(thread)
        with self._lock:
            self._ends[thread] = (clock, time.clock_gettime(clock) + self._cpu_seconds)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:  # from here on nothing is raised in this thread any more
                self._ends.pop(thread, None)

    def _watch(self) -> None:
        while True:
            time.sleep(TICK_SECONDS)
            with self._lock:
                if not self._ends:  # else every judge of a long-lived process would leave a thread behind
                    self._thread = None
                    return
                for thread, (clock, end) in list(self._ends.items()):
                    if time.clock_gettime(clock) > end:
                        del self._ends[thread]
                        ctypes.pythonapi.PyThreadState_SetAsyncExc(
                            ctypes.c_ulong(thread), ctypes.py_object(TestsTooSlow)
                        )
