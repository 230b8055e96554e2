"""One program while it runs, seen from the guest: its process, its pipes, its limits, and how it ended.

Nothing that the program says is parsed here: replies are counted, bounded and forwarded as bytes.
"""

import fcntl
import os
import select
import signal
import time
from collections import deque
from typing import Any, Protocol

from sandbox.guest import child
from sandbox.guest.frames import Frames

KEPT_OUTPUT = 2048
TICK_SECONDS = 0.02
PIPE_BYTES = 1 << 20
MANY_OPERATIONS = 200
NO_MEMORY = "out_of_memory:memory limit of the cell"


class Cell(Protocol):
    """What a run needs of its guest: the frames, the plan, and powers over every process of the cell."""

    frames: Frames
    plan: child.Plan
    memory_bytes: int

    def enter(self, limits: dict[str, Any], replies: int, output: int, operations: int) -> None:
        """In the child: become the program's process."""

    def usage(self) -> tuple[float, int]:
        """CPU seconds and resident bytes of every process of the cell but the guest."""

    def sweep(self, pid: int) -> tuple[float, int, int]:
        """End every process of the cell but the guest; return CPU seconds, peak bytes, the child's exit code."""

    def out_of_memory_kills(self) -> int:
        """How many processes the kernel has killed for memory since the last call."""


class Run:
    """One program while it runs: its process, its pipes, what it has used."""

    def __init__(self, cell: Cell, header: dict[str, Any], source: bytearray) -> None:
        self.cell = cell
        self.id = header["id"]
        self.limits = header["limits"]
        self.interactive = header["interactive"]
        self.source = source
        self.replies = bytearray()
        self.reply_total = 0
        self.output = b""
        self.output_total = 0
        self.unsent = bytearray()  # operations that the program has not yet had room for
        self.was_set_up = False
        self.cause = ""  # why we ended it: status, ":" , detail
        self.cpu_at_reply = 0.0
        self.ended = False

    def fork(self) -> None:
        """Start the child with its pipes; the guest keeps its own ends."""
        self.reply_fd, reply_end = os.pipe()
        self.output_fd, output_end = os.pipe()
        operation_end, self.operation_fd = os.pipe() if self.interactive else (-1, -1)
        if len(self.cell.plan.operations) > MANY_OPERATIONS:
            fcntl.fcntl(self.reply_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self.reply_fd, False)
        os.set_blocking(self.output_fd, False)
        if self.interactive:
            os.set_blocking(self.operation_fd, False)  # a program that does not listen must not hold the guest up
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.cell.enter(self.limits, reply_end, output_end, operation_end)
                os.write(child.REPLY_FD, child.SET_UP)
                child.serve(self.source, self.cell.plan, self.interactive)
            finally:
                os._exit(1)  # the machine failed before the program began
        for fd in (reply_end, output_end, operation_end):
            if fd >= 0:
                os.close(fd)
        self.pidfd = os.pidfd_open(self.pid)

    def watch(self) -> None:
        """Serve the pipes until the child has ended or is to be ended."""
        poll = select.poll()
        quiet, is_full = True, False
        poll.register(self.pidfd, select.POLLIN)
        poll.register(self.output_fd, select.POLLIN)
        poll.register(self.cell.frames.source, select.POLLIN)
        if self.interactive:
            poll.register(self.reply_fd, select.POLLIN)
        while not self.cause:
            # A busy reply pipe may be full, with the program waiting for room: then look again at once.
            events = dict(poll.poll(TICK_SECONDS * 1000 if quiet else 1))
            if self.cell.frames.source in events:
                self.cell.frames.read_more()
            self.obey()
            if self.unsent or is_full:
                self.hand_on()
                if self.unsent and not is_full:
                    poll.register(self.operation_fd, select.POLLOUT)
                elif is_full and not self.unsent:
                    poll.unregister(self.operation_fd)
                is_full = bool(self.unsent)
            if self.output_fd in events and not self.drain_output():
                poll.unregister(self.output_fd)
            if self.pidfd in events:
                return
            before = self.reply_total
            if not self.drain_replies() and self.interactive and self.reply_fd in events:
                poll.unregister(self.reply_fd)
            quiet = self.reply_total - before < PIPE_BYTES // 32
            if not events or time.monotonic() - self.started > TICK_SECONDS:
                self.check_time()
            if self.replies and (self.interactive or time.monotonic() - self.started > TICK_SECONDS):
                self.forward()

    def obey(self) -> None:
        """Take the frames that concern this program; others wait for their turn."""
        others: deque[tuple[dict[str, Any], bytearray]] = deque()
        for header, body in self.cell.frames.ready:
            if header.get("id") != self.id or header["kind"] not in ("stop", "operation"):
                others.append((header, body))
            elif header["kind"] == "stop":
                self.cause = "stopped:"
            else:
                self.unsent += body + b"\n"
        self.cell.frames.ready = others

    def hand_on(self) -> None:
        """Give the program as much of the operations sent to it as there is room for."""
        try:
            while self.unsent:
                del self.unsent[: os.write(self.operation_fd, self.unsent)]
        except BlockingIOError:
            pass
        except BrokenPipeError:  # it has closed its end, and will say no more
            self.unsent.clear()

    def drain_replies(self) -> bool:
        """Take what the program has said; returns False at the end of the pipe."""
        try:
            while chunk := os.read(self.reply_fd, PIPE_BYTES):
                if not self.was_set_up:
                    self.was_set_up, chunk = True, chunk[len(child.SET_UP) :]
                self.replies += chunk
                self.reply_total += len(chunk)
                if self.reply_total > self.limits["reply_bytes"]:
                    self.cause = self.cause or "output_limit:values"
                    return True
        except BlockingIOError:
            return True
        return False

    def drain_output(self) -> bool:
        """Take what the program has printed, keep the beginning; returns False at the end of the pipe."""
        try:
            while chunk := os.read(self.output_fd, 65536):
                self.output_total += len(chunk)
                if len(self.output) < KEPT_OUTPUT:
                    self.output = (self.output + chunk)[:KEPT_OUTPUT]
                if self.output_total > self.limits["output_bytes"]:
                    self.cause = self.cause or "output_limit:standard output and standard error"
                    return True
        except BlockingIOError:
            return True
        return False

    def check_time(self) -> None:
        wall = time.monotonic() - self.started
        cpu, memory = self.cell.usage()
        if self.replies or cpu < self.cpu_at_reply:
            self.cpu_at_reply = cpu
        per_call = self.limits["call_cpu_seconds"]
        if memory > self.cell.memory_bytes or self.cell.out_of_memory_kills():
            self.cause = NO_MEMORY
        elif cpu >= self.limits["cpu_seconds"]:
            self.cause = "timed_out:cpu time"
        elif per_call is not None and cpu - self.cpu_at_reply >= per_call:
            self.cause = "timed_out:cpu time of one call"
        elif wall >= self.limits["wall_seconds"]:
            self.cause = "timed_out:wall time"

    def forward(self) -> None:
        self.cell.frames.send({"kind": "replies", "id": self.id}, bytes(self.replies))
        self.replies.clear()

    def finish(self) -> dict[str, Any]:
        """End everything that is left of the program and say how it ended."""
        wall = time.monotonic() - self.started
        cpu, peak, code = self.cell.sweep(self.pid)
        self.drain_replies()
        self.drain_output()
        for fd in (self.reply_fd, self.output_fd, self.operation_fd, self.pidfd):
            if fd >= 0:
                os.close(fd)
        status, detail = self.classify(code, cpu)
        return {
            "kind": "end",
            "id": self.id,
            "status": status,
            "detail": detail,
            "cpu": cpu,
            "wall": wall,
            "peak": peak,
            "replies": len(self.replies),
        }

    def classify(self, code: int, cpu: float) -> tuple[str, str]:
        """Return status and detail, from counters and signals only, never from the program's text."""
        if self.cell.out_of_memory_kills():
            self.cause = NO_MEMORY
        if self.cause:
            status, _, detail = self.cause.partition(":")
            return status, detail
        if not self.was_set_up:
            return "machine", "the child could not be set up"
        if cpu >= self.limits["cpu_seconds"] or code == -signal.SIGXCPU:
            return "timed_out", "cpu time"
        if code < 0:
            return "killed", f"signal {-code}"
        return "exited", f"exit code {code}"
