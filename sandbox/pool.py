"""The cells behind one queue: hand out programs, replace what breaks.

A pool keeps up to DEPTH programs in flight to each cell, so that a guest never waits for us between two programs.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator

from sandbox.cell import DEPTH, Cell, CellSession, Channel
from sandbox.contract import CellLost, Limits, Program, SandboxClosed, SandboxError

__all__ = ["Channel", "Pool"]
_log = logging.getLogger(__name__)


class _Slot:
    """A place for a cell: makes it, and makes another when it was lost."""

    def __init__(self, open_channel: Callable[[], Channel]) -> None:
        self._open_channel = open_channel
        self._lock = threading.Lock()
        self._cell: Cell | None = None
        self._closed = False
        self._failure, self._failed_at = "", 0.0

    def cell(self) -> Cell:
        asked = time.monotonic()
        with self._lock:
            if self._closed:
                raise SandboxClosed("the sandbox is closed")
            if self._cell is None or self._cell.lost:
                if self._failed_at > asked:  # while this one waited for the other's attempt: one is enough
                    raise SandboxError(self._failure)
                try:
                    self._replace()
                except SandboxError as error:
                    self._failure, self._failed_at = str(error), time.monotonic()
                    raise
            assert self._cell is not None
            return self._cell

    def _replace(self) -> None:
        if self._cell is not None:
            _log.info("replacing a cell: %s", self._cell.lost)
            self._cell.abandon("replaced")
            self._cell = None
        self._cell = Cell(self._open_channel())
        self._cell.wait_until_ready()

    def processes(self) -> list[int]:
        """How many processes the cell has on the machine, where there is one."""
        with self._lock:
            return [] if self._cell is None or self._cell.lost else [self._cell.processes()]

    def close(self) -> None:
        self._closed = True  # whoever has the lock may be making a cell, and nobody behind it is to make another
        with self._lock:
            if self._cell is not None:
                self._cell.abandon("closed")
                self._cell = None


class Pool:
    """The cells of one kind; see `sandbox.contract.Sandbox`. `open_channel` makes one more cell."""

    def __init__(
        self,
        name: str,
        image_digest: str,
        open_channel: Callable[[], Channel],
        workers: int,
        not_promised: tuple[str, ...] = (),
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        self.name = name
        self.image_digest = image_digest
        self.not_promised = not_promised
        self._slots = [_Slot(open_channel) for _ in range(workers)]
        # The last that was free is the first to be taken: programs one after another wait for one cell to be made.
        self._free: queue.LifoQueue[_Slot] = queue.LifoQueue()
        for slot in reversed(self._slots * DEPTH):
            self._free.put(slot)

    @property
    def capacity(self) -> int:
        """How many programs can be in flight at once."""
        return len(self._slots) * DEPTH

    @contextlib.contextmanager
    def start(self, program: Program, limits: Limits) -> Iterator[CellSession]:
        """Run a program in the next free cell; leaving the block stops it if it still runs."""
        slot = self._free.get()
        try:
            cell = slot.cell()
            session = cell.start(program, limits)
            try:
                yield session
            finally:
                with contextlib.suppress(CellLost):
                    session.end()
                cell.forget(session)
        finally:
            self._free.put(slot)

    def warm(self) -> None:
        """Have every cell made now, all at once; see `sandbox.contract.Sandbox`."""
        for slot in self._slots:
            threading.Thread(target=_make, args=(slot,), name="warmer", daemon=True).start()

    def processes(self) -> list[int]:
        """Return, for each cell that there is, how many processes it has on the machine, its guest included."""
        return [number for slot in self._slots for number in slot.processes()]

    def close(self) -> None:
        """End every cell, all at once, and leave nothing behind."""
        closers = [threading.Thread(target=slot.close, name="closer", daemon=True) for slot in self._slots]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()


def _make(slot: _Slot) -> None:
    """Make a cell, if it can be made; who cannot do without it says so."""
    with contextlib.suppress(SandboxError):
        slot.cell()
