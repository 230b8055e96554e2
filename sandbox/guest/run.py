"""One program while it runs, seen from the guest: its process, its pipes, its limits, and how it ended.

Nothing that the program says is read here: replies and output are counted, bounded and moved on by the kernel.
"""

import contextlib
import fcntl
import os
import select
import signal
import time
from collections import deque
from typing import Any, Protocol

from sandbox.guest import child
from sandbox.guest.frames import Body, Frames, available
from sandbox.guest.memory import Short

KEPT_OUTPUT = 2048
TICK_SECONDS = 0.02
MOST_WALL = 30  # times the limit, with the time in which it stood in line for a processor
SIGN_SECONDS = 1.0
PIPE_BYTES = 1 << 20
MANY_OPERATIONS = 200
BUSY_BYTES = 1 << 15  # so much at once says that the program may be waiting for room
NO_MEMORY = "out_of_memory:memory limit of the cell"


class Cell(Protocol):
    """What a run needs of its guest: the frames, the plan, and powers over every process of the cell."""

    frames: Frames
    plan: child.Plan
    memory_bytes: int
    null: int

    def enter(self, limits: dict[str, Any], replies: int, output: int, operations: int) -> None:
        """In the child: become the program's process."""

    def begin(self) -> None:
        """Remember the counters, before a program starts."""

    def usage(self) -> tuple[float, int]:
        """CPU seconds since `begin` and resident bytes of every process of the cell but the guest."""

    def waited(self) -> float:
        """Seconds that the thread which has waited longest for a processor has waited."""

    def sweep(self, pid: int) -> tuple[float, int, int]:
        """End every process of the cell but the guest; return CPU seconds, peak bytes, the child's exit code."""

    def short_of_memory(self) -> Short:
        """Who was short of memory, if the kernel has killed a process for it since the last call."""


class Run:
    """One program while it runs: its process, its pipes, what it has used."""

    def __init__(self, cell: Cell, header: dict[str, Any], source: Body) -> None:
        self.cell = cell
        self.id = header["id"]
        self.limits = header["limits"]
        self.interactive = header["interactive"]
        self.source = source
        self.reply_total = 0  # bytes that have been moved on
        self.kept: tuple[int, int] | None = None  # the pipe that keeps the beginning of the output
        self.output_total = 0
        self.unsent: deque[Body] = deque()  # operations that the program has not yet had room for
        self.was_set_up = False
        self.has_replied = False  # since the time was last looked at
        self.cause = ""  # why we ended it: status, ":" , detail
        self.cpu_at_reply = 0.0
        self.last_sign = 0.0

    def fork(self) -> None:
        """Start the child with its pipes; the guest keeps its own ends."""
        self.reply_fd, reply_end = os.pipe()
        self.output_fd, output_end = os.pipe()
        operation_end, self.operation_fd = os.pipe() if self.interactive else (-1, -1)
        if len(self.cell.plan.operations) > MANY_OPERATIONS:
            with contextlib.suppress(OSError):  # the kernel's allowance for pipes is used up: then the small ones
                fcntl.fcntl(self.reply_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self.output_fd, False)
        if self.interactive:
            os.set_blocking(self.operation_fd, False)  # a program that does not listen must not hold the guest up
        self.cell.begin()
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                text = os.pread(self.source.fd, self.source.size, 0) if self.source.size else b""
                self.cell.enter(self.limits, reply_end, output_end, operation_end)
                os.write(child.REPLY_FD, child.SET_UP)
                child.serve(text, self.cell.plan, self.interactive)
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
            waiting = self.replies()
            quiet = waiting < BUSY_BYTES
            is_late = time.monotonic() - self.started > TICK_SECONDS
            if waiting and (self.interactive or is_late or not quiet):
                self.forward(waiting)
            elif self.interactive and self.reply_fd in events:
                poll.unregister(self.reply_fd)  # its end
            if not events or is_late:
                self.check_time()

    def replies(self) -> int:
        """Return how many bytes the program has said that were not moved on yet; bounds them."""
        waiting = available(self.reply_fd)
        if waiting and not self.was_set_up:
            os.read(self.reply_fd, len(child.SET_UP))
            self.was_set_up, waiting = True, waiting - len(child.SET_UP)
        if self.reply_total + waiting > self.limits["reply_bytes"]:
            self.cause = self.cause or "output_limit:values"
        return waiting

    def obey(self) -> None:
        """Take the frames that concern this program; others wait for their turn."""
        others: deque[tuple[dict[str, Any], Body]] = deque()
        for header, body in self.cell.frames.ready:
            if header.get("id") != self.id or header["kind"] not in ("stop", "operation"):
                others.append((header, body))
            elif header["kind"] == "stop":
                self.cause = "stopped:"
            else:
                self.unsent.append(body)
        self.cell.frames.ready = others

    def hand_on(self) -> None:
        """Give the program as much of the operations sent to it as there is room for."""
        try:
            while self.unsent and self.unsent[0].hand_on(self.operation_fd):
                self.unsent.popleft().close()
        except BlockingIOError:
            pass
        except BrokenPipeError:  # it has closed its end, and will say no more
            self.drop_unsent()

    def drop_unsent(self) -> None:
        while self.unsent:
            self.unsent.popleft().close()

    def drain_output(self) -> bool:
        """Move on what the program has printed, keep the beginning; returns False at the end of the pipe."""
        try:
            while True:
                room = KEPT_OUTPUT - self.output_total
                if room > 0 and self.kept is None:
                    self.kept = os.pipe()
                target = self.kept[1] if room > 0 and self.kept else self.cell.null
                count = os.splice(self.output_fd, target, room if room > 0 else 1 << 20)
                if not count:
                    return False
                self.output_total += count
                if self.output_total > self.limits["output_bytes"]:
                    self.cause = self.cause or "output_limit:standard output and standard error"
                    return True
        except BlockingIOError:
            return True

    def check_time(self) -> None:
        wall = time.monotonic() - self.started
        cpu, memory = self.cell.usage()
        if self.has_replied:
            self.cpu_at_reply, self.has_replied = cpu, False
        per_call = self.limits["call_cpu_seconds"]
        if short := self.short_of_memory(memory):
            self.cause = short
        elif cpu >= self.limits["cpu_seconds"]:
            self.cause = "timed_out:cpu time"
        elif per_call is not None and cpu - self.cpu_at_reply >= per_call:
            self.cause = "timed_out:cpu time of one call"
        elif wall >= self.limits["wall_seconds"] and self.has_had_its_wall_time(wall):
            self.cause = "timed_out:wall time"

    def short_of_memory(self, used: int = 0) -> str:
        """Return the cause of an end for want of memory, empty without one; the machine's own want is no verdict."""
        who = self.cell.short_of_memory()
        if who is Short.MACHINE:
            return "machine:the machine itself was short of memory"
        return NO_MEMORY if who is Short.CELL or used > self.cell.memory_bytes else ""

    def has_had_its_wall_time(self, wall: float) -> bool:
        """Whether the limit is reached without the time that the program stood in line for a processor.

        If not, the harness is told now and then that there is still somebody here.
        """
        limit = self.limits["wall_seconds"]
        if wall >= MOST_WALL * limit or wall - self.cell.waited() >= limit:
            return True
        if wall - self.last_sign >= SIGN_SECONDS:
            self.last_sign = wall
            self.cell.frames.send({"kind": "replies", "id": self.id})
        return False

    def forward(self, size: int) -> None:
        self.cell.frames.send({"kind": "replies", "id": self.id}, ((self.reply_fd, size),))
        self.reply_total += size
        self.has_replied = True

    def finish(self, clean: "Clean") -> bool:
        """End everything that is left of the program and say how it ended; returns whether the cell is clean."""
        wall = time.monotonic() - self.started
        swept, peak, code = self.cell.sweep(self.pid)
        # Time that no waited-for process accounts for (children that nobody waits for) is the program's as well.
        cpu = max(swept, self.cell.usage()[0]) if wall > TICK_SECONDS else swept
        waiting = self.replies()
        self.drain_output()
        status, detail = self.classify(code, cpu)
        is_clean = clean()
        kept = min(self.output_total, KEPT_OUTPUT)
        end = {
            "kind": "end",
            "id": self.id,
            "status": status,
            "detail": detail,
            "cpu": cpu,
            "wall": wall,
            "peak": peak,
            "replies": waiting,
            "clean": is_clean,
        }
        parts = ((self.reply_fd, waiting), *(((self.kept[0], kept),) if self.kept and kept else ()))
        self.cell.frames.send(end, parts)
        self.source.close()  # not before the child has read it
        self.drop_unsent()
        for fd in (self.reply_fd, self.output_fd, self.operation_fd, self.pidfd, *(self.kept or ())):
            if fd >= 0:
                os.close(fd)
        return is_clean

    def classify(self, code: int, cpu: float) -> tuple[str, str]:
        """Return status and detail, from counters and signals only, never from the program's text."""
        self.cause = self.short_of_memory() or self.cause
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


class Clean(Protocol):
    """Empties the work folder."""

    def __call__(self) -> bool:
        """Return whether it is empty."""
