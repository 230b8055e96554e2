"""The guest: PID 1 of a cell, a warm interpreter that forks one child per program and outlives them all.

It reads frames from standard input and writes frames to standard output; it never parses what a program says, only
counts, bounds and forwards it. The program's process is another user without capabilities, with its own limits and
its own pipes. After each program the guest, being PID 1, kills every other process of the cell in one atomic call,
reaps them, and makes sure that the work folder is empty; where it cannot, it says so and the cell is thrown away.

Started as `python -m sandbox.guest CONFIG`, CONFIG being JSON: `uid` (the programs' user id, or null where the cell
has one user only: then capabilities are dropped instead), `work` (the work folder).
"""

import fcntl
import gc
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from collections import deque
from typing import Any

from sandbox.guest import child, seccomp

# What solutions import most. Loaded once here, so that a program's import is a dictionary look-up.
import array, bisect, cmath, collections, copy, dataclasses, datetime, decimal, enum, fractions, functools  # noqa: E401, F401, I001
import hashlib, heapq, itertools, math, operator, random, re, statistics, string, typing  # noqa: E401, F401, I001

HEADER = struct.Struct(">II")
KEPT_OUTPUT = 2048
TICK_SECONDS = 0.02
PIPE_BYTES = 1 << 20
MANY_OPERATIONS = 200
CLEAN_SECONDS = 2.0
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_OOM_COUNTERS = ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events")


class Frames:
    """Frames on two descriptors: lengths, a JSON header, bytes."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.pending = b""
        self.ready: deque[tuple[dict[str, Any], bytes]] = deque()

    def read_more(self) -> None:
        """Read once and split off whole frames; leaves the process when the other side has gone."""
        chunk = os.read(self.source, 1 << 20)
        if not chunk:
            os._exit(0)
        self.pending += chunk
        while len(self.pending) >= HEADER.size:
            head, body = HEADER.unpack_from(self.pending)
            end = HEADER.size + head + body
            if len(self.pending) < end:
                break
            header = json.loads(self.pending[HEADER.size : HEADER.size + head])
            self.ready.append((header, self.pending[HEADER.size + head : end]))
            self.pending = self.pending[end:]

    def next(self) -> tuple[dict[str, Any], bytes]:
        while not self.ready:
            self.read_more()
        return self.ready.popleft()

    def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        text = json.dumps(header).encode()
        data = memoryview(HEADER.pack(len(text), len(body)) + text + body)
        while data:
            data = data[os.write(self.sink, data) :]


class Run:
    """One program while it runs: its process, its pipes, what it has used."""

    def __init__(self, guest: "Guest", header: dict[str, Any], source: bytes) -> None:
        self.guest = guest
        self.id = header["id"]
        self.limits = header["limits"]
        self.interactive = header["interactive"]
        self.source = source
        self.replies = bytearray()
        self.reply_total = 0
        self.output = b""
        self.output_total = 0
        self.cause = ""  # why we ended it: status, ":" , detail
        self.cpu_at_reply = 0.0
        self.ended = False

    def fork(self) -> None:
        """Start the child with its pipes; the guest keeps its own ends."""
        self.reply_fd, reply_end = os.pipe()
        self.output_fd, output_end = os.pipe()
        operation_end, self.operation_fd = os.pipe() if self.interactive else (-1, -1)
        if len(self.guest.plan.operations) > MANY_OPERATIONS:
            fcntl.fcntl(self.reply_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self.reply_fd, False)
        os.set_blocking(self.output_fd, False)
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.guest.enter(self.limits, reply_end, output_end, operation_end)
                child.serve(self.source, self.guest.plan, self.interactive)
            finally:
                os._exit(113)  # the machine failed before the program began
        for fd in (reply_end, output_end, operation_end):
            if fd >= 0:
                os.close(fd)
        self.pidfd = os.pidfd_open(self.pid)

    def watch(self) -> None:
        """Serve the pipes until the child has ended or is to be ended."""
        poll = select.poll()
        quiet = True
        poll.register(self.pidfd, select.POLLIN)
        poll.register(self.output_fd, select.POLLIN)
        poll.register(self.guest.frames.source, select.POLLIN)
        if self.interactive:
            poll.register(self.reply_fd, select.POLLIN)
        while not self.cause:
            # A busy reply pipe may be full, with the program waiting for room: then look again at once.
            events = dict(poll.poll(TICK_SECONDS * 1000 if quiet else 1))
            if self.guest.frames.source in events:
                self.guest.frames.read_more()
            self.obey()
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
        others: deque[tuple[dict[str, Any], bytes]] = deque()
        for header, body in self.guest.frames.ready:
            if header.get("id") != self.id or header["kind"] not in ("stop", "operation"):
                others.append((header, body))
            elif header["kind"] == "stop":
                self.cause = "stopped:"
            else:
                try:
                    os.write(self.operation_fd, body + b"\n")
                except BrokenPipeError:
                    pass
        self.guest.frames.ready = others

    def drain_replies(self) -> bool:
        """Take what the program has said; returns False at the end of the pipe."""
        try:
            while chunk := os.read(self.reply_fd, PIPE_BYTES):
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
        cpu = self.guest.cpu_seconds()
        if self.replies or cpu < self.cpu_at_reply:
            self.cpu_at_reply = cpu
        per_call = self.limits["call_cpu_seconds"]
        if cpu >= self.limits["cpu_seconds"]:
            self.cause = "timed_out:cpu time"
        elif per_call is not None and cpu - self.cpu_at_reply >= per_call:
            self.cause = "timed_out:cpu time of one call"
        elif wall >= self.limits["wall_seconds"]:
            self.cause = "timed_out:wall time"

    def forward(self) -> None:
        self.guest.frames.send({"kind": "replies", "id": self.id}, bytes(self.replies))
        self.replies.clear()

    def finish(self) -> dict[str, Any]:
        """End everything that is left of the program and say how it ended."""
        wall = time.monotonic() - self.started
        cpu, peak, code = self.guest.sweep(self.pid)
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
        if self.guest.out_of_memory_kills():
            return "out_of_memory", "memory limit of the cell"
        if self.cause:
            status, _, detail = self.cause.partition(":")
            return status, detail
        if cpu >= self.limits["cpu_seconds"] or code == -signal.SIGXCPU:
            return "timed_out", "cpu time"
        if code < 0:
            return "killed", f"signal {-code}"
        if code == 113 and not self.reply_total:
            return "machine", "the child could not be set up"
        return "exited", f"exit code {code}"


class Guest:
    """The warm interpreter: frames in, one program at a time, frames out."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.uid = config["uid"]
        self.work = config["work"]
        self.frames = Frames(os.dup(0), os.dup(1))
        self.plan = child.Plan(b"[]")
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.close(null)
        self.oom_fd = next((os.open(path, os.O_RDONLY) for path in _OOM_COUNTERS if os.path.exists(path)), -1)
        self.oom_seen = 0
        self.out_of_memory_kills()

    def main(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL if number != signal.SIGPIPE else signal.SIG_IGN)
        os.environ.clear()
        os.environ.update(HOME=self.work, TMPDIR=self.work, LANG="C.UTF-8", OPENBLAS_NUM_THREADS="1")
        sys.path.append(f"{sys.prefix}/{sys.platlibdir}/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
        os.umask(0o077)
        seccomp.install()
        gc.collect()
        gc.disable()
        gc.freeze()
        self.frames.send({"kind": "hello", "python": sys.version.split()[0], "pid": os.getpid()})
        while True:
            header, body = self.frames.next()
            if header["kind"] == "plan":
                self.plan = child.Plan(body)
                gc.freeze()
            elif header["kind"] == "run":
                self.run(header, body)

    def run(self, header: dict[str, Any], source: bytes) -> None:
        run = Run(self, header, source)
        run.fork()
        run.watch()
        end = run.finish()
        end["clean"] = self.clean()
        self.frames.send(end, bytes(run.replies) + run.output)
        if not end["clean"]:
            os._exit(0)

    def enter(self, limits: dict[str, Any], replies: int, output: int, operations: int) -> None:
        """In the child: take the pipes, drop everything else, become the program's user under its limits."""
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        try:
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write("1000")  # the kernel is to take the program, never the guest
        except OSError:  # a cell without a memory group of its own, where there is nothing to choose
            pass
        os.dup2(output, 1)
        os.dup2(output, 2)
        # the pipes may lie on the numbers that they are to be moved to: first away from them, then into place
        moved = os.dup(replies), os.dup(operations) if operations >= 0 else -1
        os.dup2(moved[0], child.REPLY_FD)
        if operations >= 0:
            os.dup2(moved[1], child.OPERATION_FD)
        os.closerange(child.OPERATION_FD + (operations >= 0), 64)
        os.setsid()
        os.chdir(self.work)
        cpu = int(limits["cpu_seconds"]) + 2
        for kind, value in (
            (resource.RLIMIT_CPU, cpu),
            (resource.RLIMIT_AS, limits["address_space_bytes"]),
            (resource.RLIMIT_FSIZE, limits["disk_bytes"]),
            (resource.RLIMIT_NOFILE, 64),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_MEMLOCK, 0),
            (resource.RLIMIT_NPROC, limits["processes"]),
        ):
            resource.setrlimit(kind, (value, value))
        if self.uid is None:
            seccomp.drop_capabilities()
        else:
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)

    def cpu_seconds(self) -> float:
        """CPU time of every process of the cell but the guest, the ended ones included where they were waited for."""
        total = 0
        for name in os.listdir("/proc"):
            if not name.isdigit() or name == "1":
                continue
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rsplit(b")", 1)[1].split()
            except OSError:
                continue
            total += sum(map(int, fields[11:15]))
        return total / _CLOCK_TICKS

    def sweep(self, pid: int) -> tuple[float, int, int]:
        """Kill and reap every process of the cell but the guest; return CPU seconds, peak bytes, the child's code."""
        cpu, peak, code = 0.0, 0, 0
        try:
            # The child's own status first, where it has one: the sweep would turn an exit into a kill.
            found, status, usage = os.wait4(pid, os.WNOHANG)
            while True:
                if found:
                    cpu += usage.ru_utime + usage.ru_stime
                    peak = max(peak, usage.ru_maxrss)
                    if found == pid:
                        code = os.waitstatus_to_exitcode(status)
                else:
                    try:
                        os.kill(-1, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                found, status, usage = os.wait4(-1, 0 if not found else os.WNOHANG)
        except ChildProcessError:
            return cpu, peak * 1024, code

    def out_of_memory_kills(self) -> int:
        """How many processes the kernel has killed for memory since the last call."""
        if self.oom_fd < 0:
            return 0
        for line in os.pread(self.oom_fd, 4096, 0).split(b"\n"):
            if line.startswith(b"oom_kill "):
                seen, self.oom_seen = self.oom_seen, int(line.split()[1])
                return self.oom_seen - seen
        return 0

    def clean(self) -> bool:
        """Empty the work folder, never as root and never for long; returns whether it is empty."""
        if not os.listdir(self.work):
            return True
        pid = os.fork()
        if pid == 0:
            try:
                import shutil

                resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
                if self.uid is None:
                    seccomp.drop_capabilities()
                else:
                    os.setresgid(self.uid, self.uid, self.uid)
                    os.setresuid(self.uid, self.uid, self.uid)
                os.chdir(self.work)
                for entry in os.scandir("."):
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.name, ignore_errors=True)
                    else:
                        os.unlink(entry.name)
            finally:
                os._exit(0)
        pidfd = os.pidfd_open(pid)
        select.select([pidfd], [], [], CLEAN_SECONDS)
        os.close(pidfd)
        self.sweep(pid)
        return not os.listdir(self.work)


if __name__ == "__main__":
    Guest(json.loads(sys.argv[1])).main()
