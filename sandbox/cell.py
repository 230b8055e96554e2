"""One cell as the harness sees it: frames over a channel, and the programs in flight to its guest.

A `Channel` is bytes to and from one guest; docker.py and local.py make them. A cell that dies, or does not answer long
after every limit, is abandoned: its programs raise `CellLost`, and whether to run them again is the caller's choice.
"""

from __future__ import annotations

import itertools
import json
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from sandbox.contract import CellLost, Execution, Limits, Program, SandboxError, Status

_HEADER = struct.Struct(">II")
_MAX_FRAME = 256 << 20
DEPTH = 2
START_SECONDS = 60.0
GRACE_SECONDS = 20.0
WRITE_SECONDS = 20  # a guest takes what it is sent at any time
MAX_LINES = 1_000_000


class Channel(Protocol):
    """Bytes to and from the guest of one cell."""

    def write(self, data: bytes) -> None:
        """Send all of it. Raises OSError when the other side has gone, or takes nothing for WRITE_SECONDS."""

    def read(self) -> bytes:
        """Wait for bytes; empty at the end. Raises OSError when the connection breaks."""

    def kill(self) -> None:
        """End the cell and everything in it, and leave nothing behind. May be called twice."""

    def diagnosis(self) -> str:
        """What the cell said last, for an error message."""

    def processes(self) -> int:
        """How many processes the cell has on the machine, its guest included; 0 when it has ended."""


class CellSession:
    """One program in a cell; see `sandbox.contract.Session`."""

    def __init__(self, cell: Cell, number: int, program: Program, limits: Limits) -> None:
        self._cell = cell
        self._number = number
        self._program = program
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._rest = b""
        self._end: dict[str, Any] | None = None
        self._output = b""
        self._lost: CellLost | None = None
        self._patience = limits.wall_seconds + GRACE_SECONDS
        self._deadline: float | None = None  # set when every program ahead of this one has ended
        self._most_lines = MAX_LINES if program.interactive else program.operations + 2

    def reply(self, index: int) -> bytes | None:
        if index < len(self._lines):  # there are only ever more of them
            return self._lines[index]
        self._wait_until(lambda: len(self._lines) > index or self._end is not None)
        return self._lines[index] if len(self._lines) > index else None

    def send(self, operation: bytes) -> None:
        self._cell.send({"kind": "operation", "id": self._number}, operation + b"\n")

    def end(self) -> Execution:
        if self._end is None and not self._lost:
            self._cell.send({"kind": "stop", "id": self._number})
        self._wait_until(lambda: self._end is not None)
        end = self._end or {}
        status, detail = end["status"], end["detail"]
        if status == "machine":
            raise CellLost(f"the cell could not run a program: {detail}")
        if status == Status.EXITED and len(self._lines) > self._program.operations:
            status = Status.FINISHED
        return Execution(
            status=Status(status),
            detail=detail,
            cpu_seconds=end["cpu"],
            wall_seconds=end["wall"],
            peak_memory_bytes=end["peak"],
            output=self._output,
        )

    def _wait_until(self, is_there: Callable[[], bool]) -> None:
        """Wait for news. Raises CellLost when the cell was lost or stays silent long after every limit."""
        while True:
            with self._changed:
                if is_there():
                    return
                if self._lost is not None:
                    raise self._lost
                left = None if self._deadline is None else self._deadline - time.monotonic()
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
            # With no lock held: the cell tells all its programs, this one too.
            self._cell.abandon("the cell did not answer")

    def begin(self) -> None:
        """It is this program's turn: from now on the guest owes an answer."""
        with self._changed:
            self._deadline = time.monotonic() + self._patience
            self._changed.notify_all()

    @property
    def is_unfinished(self) -> bool:
        return self._end is None

    def feed(self, data: bytes, end: dict[str, Any] | None = None) -> None:
        """Take a frame from the cell's reader; lines beyond what was asked for only count as too many."""
        with self._changed:
            if self._deadline is not None:
                self._deadline = time.monotonic() + self._patience
            if end is not None:
                self._output = data[end["replies"] :]
                data = data[: end["replies"]]
            room = self._most_lines - len(self._lines)
            if room > 0:
                *lines, self._rest = (self._rest + data).split(b"\n", room)
                self._lines += lines
            self._end = end
            self._changed.notify_all()

    def lose(self, lost: CellLost) -> None:
        with self._changed:
            self._lost = self._lost or lost
            self._changed.notify_all()


class Cell:
    """One guest and the programs in flight to it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._sending = threading.Lock()
        self._plan: bytes | None = None
        self._sessions: dict[int, CellSession] = {}
        self._numbers = itertools.count()
        self._greeted = threading.Event()
        self.lost = ""
        self._reader = threading.Thread(target=self._read, name="cell-reader", daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """Wait for the guest's greeting. Raises SandboxError with what the cell said if none comes."""
        if not self._greeted.wait(START_SECONDS) or self.lost:
            self.abandon("the guest did not start")
            raise SandboxError(f"the sandbox's guest did not start: {self._channel.diagnosis() or self.lost}")

    def start(self, program: Program, limits: Limits) -> CellSession:
        number = next(self._numbers)
        session = CellSession(self, number, program, limits)
        header = {
            "kind": "run",
            "id": number,
            "interactive": program.interactive,
            "limits": {
                "cpu_seconds": limits.cpu_seconds,
                "wall_seconds": limits.wall_seconds,
                "call_cpu_seconds": limits.call_cpu_seconds,
                "output_bytes": limits.output_bytes,
                "reply_bytes": limits.reply_bytes,
                "disk_bytes": limits.disk_bytes,
                "processes": limits.processes,
                "address_space_bytes": limits.memory_bytes + (512 << 20),
            },
        }
        with self._sending:
            self._sessions[number] = session
            if self.lost:
                session.lose(CellLost(self.lost, begun=False))
                return session
            if len(self._unfinished()) == 1:
                session.begin()
            frames = b""
            if self._plan is not program.plan:
                self._plan = program.plan
                frames = _frame({"kind": "plan"}, program.plan)
            self._write(frames + _frame(header, program.source.encode("utf-8", "surrogatepass")))
        return session

    def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        with self._sending:
            self._write(_frame(header, body))

    def _write(self, data: bytes) -> None:
        try:
            self._channel.write(data)
        except OSError as error:
            self.abandon(f"the cell is gone: {error}")

    def processes(self) -> int:
        """How many processes it has on the machine, its guest included."""
        return self._channel.processes()

    def forget(self, session: CellSession) -> None:
        self._sessions.pop(session._number, None)

    def _unfinished(self) -> list[CellSession]:
        """Return the programs that the guest has not ended, in the order in which it takes them."""
        return [session for _, session in sorted(self._sessions.items()) if session.is_unfinished]

    def abandon(self, reason: str, is_between: bool = False) -> None:
        """Kill the cell and tell every program in flight; only the first can have begun (`is_between`: none)."""
        self.lost = self.lost or reason
        self._channel.kill()
        for place, session in enumerate(self._unfinished()):
            session.lose(CellLost(self.lost, begun=place == 0 and not is_between))
        self._greeted.set()

    def _read(self) -> None:
        """Reader thread: split the stream into frames and hand them to their programs."""
        pending = bytearray()
        reason = "the cell ended"
        try:
            while chunk := self._channel.read():
                pending += chunk
                while (frame := _unframe(pending)) is not None:
                    self._take(*frame)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"the connection to the cell broke: {error}"
        self.abandon(reason)

    def _take(self, header: dict[str, Any], body: bytes) -> None:
        if header["kind"] == "hello":
            self._greeted.set()
            return
        session = self._sessions.get(header["id"])
        if session is not None:
            session.feed(body, header if header["kind"] == "end" else None)
        if header["kind"] != "end":
            return
        if not header["clean"]:
            self.abandon("a program left files that could not be removed", is_between=True)
        for following in self._unfinished()[:1]:
            following.begin()


def _frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return _HEADER.pack(len(text), len(body)) + text + body


def _unframe(pending: bytearray) -> tuple[dict[str, Any], bytes] | None:
    """Take one whole frame off the front of `pending`, or nothing. Raises ValueError on nonsense."""
    if len(pending) < _HEADER.size:
        return None
    head, body = _HEADER.unpack_from(pending)
    if head + body > _MAX_FRAME:
        raise ValueError("frame too large")
    end = _HEADER.size + head + body
    if len(pending) < end:
        return None
    header = json.loads(bytes(pending[_HEADER.size : _HEADER.size + head]))
    content = bytes(pending[_HEADER.size + head : end])
    del pending[:end]
    return header, content
