"""The sandbox's promise on one page: what goes in, what comes out, and what it never says.

A `Program` is source text and a list of calls to make on it. A `Cell` runs one program after another, each in a
process of its own behind the wall. What comes back is an `Execution`: how the process ended and what it used, and
one reply per call, as plain data. Nothing here knows of tasks, models or scores, and nothing says right or wrong.

Promises: the program cannot reach the network, other programs, files of the host, or the process that started it;
each limit is enforced from outside the program's process; after each program nothing of it is left; a failure of
the machine is raised as `SandboxError` and never looks like an `Execution`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

_WALL_TIME = "wall time"


class SandboxError(Exception):
    """The sandbox itself failed: engine gone, cell lost, image not buildable. Never the program's doing.

    The message says what to do about it where something can be done.
    """


class CellLost(SandboxError):
    """The cell died under a program; the program may be run again in another cell.

    `begun` says whether the program can have been running then: if not, it had no part in it.
    """

    def __init__(self, message: str, begun: bool = True) -> None:
        super().__init__(message)
        self.begun = begun


class SandboxUnavailable(SandboxError):
    """This kind of cell cannot be had on this machine; the message has the fix."""


class SandboxClosed(SandboxError):
    """The sandbox was closed by its owner; nothing runs in it any more."""


class Status(StrEnum):
    """How a program's process ended, as seen from outside of it."""

    FINISHED = "finished"  # it made every call and left
    EXITED = "exited"  # it left before it had answered every call
    KILLED = "killed"  # a signal that was not ours
    TIMED_OUT = "timed_out"  # used up its CPU time, or the wall-clock backstop
    OUT_OF_MEMORY = "out_of_memory"
    OUTPUT_LIMIT = "output_limit"
    STOPPED = "stopped"  # the caller had seen enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a program may use. CPU time is the primary limit; wall time is a wide backstop for sleepers.

    Time in which a program waits for a processor does not count as wall time, up to thirty times the limit.
    `call_cpu_seconds` bounds each single call as well (None: only the whole program is bounded).
    `memory_bytes` bounds the program with all its children; it is fixed per cell, so a pool is made for one value.
    """

    cpu_seconds: float = 3.0
    wall_seconds: float = 10.0
    call_cpu_seconds: float | None = None
    memory_bytes: int = 1 << 30
    output_bytes: int = 4 << 20
    reply_bytes: int = 64 << 20
    disk_bytes: int = 64 << 20
    processes: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Source text and the calls to make on it, in order.

    `plan` is the JSON text of a list of `operations` operations (see `sandbox.guest.child`), UTF-8. Programs that
    share a plan should share the object: a cell is sent each plan once. `interactive` keeps the process open for
    further operations after the plan.
    """

    source: str
    plan: bytes = b"[]"
    operations: int = 0
    interactive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How one program ended. Seconds are of all its processes; memory is the largest process's peak."""

    status: Status
    detail: str  # e.g. "cpu time", "wall time", "signal 11 (SIGSEGV)", "exit code 0"; ours, never the program's text
    cpu_seconds: float
    wall_seconds: float
    peak_memory_bytes: int
    output: bytes  # the beginning of standard output and standard error

    @property
    def is_wall_cut(self) -> bool:
        """Whether the wall-clock backstop ended it: the one limit that also depends on what else the machine does."""
        return self.status is Status.TIMED_OUT and self.detail == _WALL_TIME


class Session(Protocol):
    """One program that is running or has run. Closing it stops the program if it still runs."""

    def reply(self, index: int) -> bytes | None:
        """Return reply number `index` as raw bytes, waiting for it; None if the program ended without it.

        Reply 0 is the reply to loading the program; operation i of the plan is answered by reply i + 1.
        Raises `CellLost` when the cell died.
        """

    def send(self, operation: bytes) -> None:
        """Give an interactive program one more operation (JSON text); its reply comes next in order."""

    def end(self) -> Execution:
        """Stop the program if it still runs and return how it ended. Raises `CellLost` when the cell died."""


class Sandbox(Protocol):
    """A set of cells. `start` may be called from several threads; each session belongs to one thread."""

    name: str  # "docker" or "local"
    image_digest: str
    not_promised: tuple[str, ...]

    @property
    def capacity(self) -> int:
        """How many programs can be in flight at once."""

    def start(self, program: Program, limits: Limits) -> AbstractContextManager[Session]:
        """Run a program in the next free cell. Raises `SandboxError` when the machine fails."""

    def warm(self) -> None:
        """Have every cell made now, all at once, for whom many programs are to come. Does not wait for them."""

    def close(self) -> None:
        """End every cell and leave nothing behind."""


def replies(session: Session) -> Iterator[bytes]:
    """Yield every reply of a session in order until the program has no more."""
    index = 0
    while (line := session.reply(index)) is not None:
        yield line
        index += 1
