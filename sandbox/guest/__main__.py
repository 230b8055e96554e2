"""The guest: PID 1 of a cell, a warm interpreter that forks one child per program and outlives them all.

It reads frames from standard input and writes frames to standard output; it never parses what a program says, only
counts, bounds and forwards it. The program's process is another user without capabilities, with its own limits and
its own pipes. After each program the guest, being PID 1, kills every other process of the cell in one atomic call,
reaps them, and makes sure that the work folder is empty; where it cannot, it says so and the cell is thrown away.

Started as `python -m sandbox.guest CONFIG`, CONFIG being JSON: `uid` (the programs' user id, or null where the cell
has one user only: then capabilities are dropped instead), `work` (the work folder), `memory_bytes` (where the kernel
keeps no account of the cell: what all processes of a program together may use, looked at now and then).
"""

import contextlib
import gc
import glob
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

from sandbox.guest import child, seccomp, text
from sandbox.guest.frames import PIPE_NAMES, Body, Frames, streams
from sandbox.guest.memory import MemoryCounters, Short
from sandbox.guest.run import Run

# What solutions import most. Loaded once, so that a program's import of them is a dictionary look-up.
PRELOADED = (
    "array bisect cmath collections copy dataclasses datetime decimal enum fractions functools hashlib heapq itertools "
    "math operator random re statistics string typing"
)
CLEAN_SECONDS = 2.0
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# CPU time of the cell's control group: nanoseconds in the first, microseconds in the second.
_CPU_COUNTERS = (("/sys/fs/cgroup/cpuacct/cpuacct.usage", 1e-9), ("/sys/fs/cgroup/cpu.stat", 1e-6))


class Guest:
    """The warm interpreter: frames in, one program at a time, frames out."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.uid = config["uid"]
        self.work = config["work"]
        self.memory_bytes = config.get("memory_bytes") or sys.maxsize
        self.own_pages = 0
        self.frames = Frames(*streams(os.environ.get(PIPE_NAMES, "").split()))
        self.plan = child.Plan(b"[]")
        self.null = os.open("/dev/null", os.O_RDWR)
        os.dup2(self.null, 0)
        os.dup2(self.null, 1)
        self.cpu_fd, self.cpu_unit = next(
            ((os.open(path, os.O_RDONLY), unit) for path, unit in _CPU_COUNTERS if Path(path).exists()), (-1, 0.0)
        )
        self.cpu_before = self.own_before = 0.0
        self.memory = MemoryCounters()

    def main(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL if number != signal.SIGPIPE else signal.SIG_IGN)
        os.environ.clear()
        os.environ.update(HOME=self.work, TMPDIR=self.work, LANG="C.UTF-8", OPENBLAS_NUM_THREADS="1")
        sys.path.append(
            f"{sys.prefix}/{sys.platlibdir}/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        )
        os.umask(0o077)
        if self.uid is not None:
            os.setgroups([])
        child.rehearse()
        text.keep_mapped()
        seccomp.install()
        gc.collect()
        gc.disable()
        gc.freeze()
        self.own_pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.frames.send({"kind": "hello", "python": sys.version.split()[0], "pid": os.getpid()})
        while True:
            header, body = self.frames.next()
            if header["kind"] == "plan":
                self.plan = child.Plan(bytes(body.text))
                gc.freeze()
            elif header["kind"] == "run":
                self.run(header, body)
            body.close()

    def run(self, header: dict[str, Any], source: Body) -> None:
        run = Run(self, header, source)
        run.fork()
        run.watch()
        if not run.finish(self.clean):
            os._exit(0)

    def enter(self, limits: dict[str, Any], replies: int, output: int, operations: int) -> None:
        """In the child: take the pipes, drop everything else, become the program's user under its limits."""
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        # The kernel is to take the program, never the guest. Refused where a cell has no memory group of its own.
        with contextlib.suppress(OSError):
            fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
            os.write(fd, b"1000")
            os.close(fd)
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

    def begin(self) -> None:
        """Remember the counters, before a program starts."""
        self.memory.begin()
        self.cpu_before, self.own_before = self.group_cpu(), time.process_time()

    def group_cpu(self) -> float:
        """CPU seconds that the cell's control group has used so far, the guest's own included; 0 without a group."""
        if self.cpu_fd < 0:
            return 0.0
        text = os.pread(self.cpu_fd, 64, 0)
        return int(text.split()[1] if text.startswith(b"usage_usec") else text) * self.cpu_unit

    def usage(self) -> tuple[float, int]:
        """CPU seconds since `begin` and resident bytes of every process of the cell but the guest.

        Where there is no control group, the time of ended processes is included if they were waited for. What each
        shares with the guest from its birth is not counted as memory; what they share with each other is, each time.
        """
        ticks = pages = 0
        for name in os.listdir("/proc"):
            if not name.isdigit() or name == "1":
                continue
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rsplit(b")", 1)[1].split()
            except OSError:
                continue
            ticks += sum(map(int, fields[11:15]))
            pages += max(0, int(fields[21]) - self.own_pages)
        grouped = self.group_cpu() - self.cpu_before - (time.process_time() - self.own_before)
        return max(ticks / _CLOCK_TICKS, grouped), pages * _PAGE_BYTES

    def waited(self) -> float:
        """Seconds that one thread of the programs has been ready to run while others ran: the most of any.

        0 where the kernel does not say. Who waits while its own kind runs uses up its CPU time all the sooner.
        """
        most = 0
        for path in glob.iglob("/proc/[0-9]*/task/*/schedstat"):
            with contextlib.suppress(OSError):
                if not path.startswith("/proc/1/"):
                    most = max(most, int(Path(path).read_text().split()[1]))
        return most * 1e-9

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
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(-1, signal.SIGKILL)
                found, status, usage = os.wait4(-1, 0 if not found else os.WNOHANG)
        except ChildProcessError:
            return cpu, peak * 1024, code

    def short_of_memory(self) -> Short:
        """Who was short of memory, if the kernel has killed a process for it since the last call."""
        return self.memory.look()

    def clean(self) -> bool:
        """Empty the work folder, never as root and never for long; returns whether it is empty."""
        if self.uid is None:
            Path(self.work).chmod(0o1777)  # here the program owns it as well
        if not os.listdir(self.work):
            return True
        pid = os.fork()
        if pid == 0:
            try:
                resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
                if self.uid is None:
                    seccomp.drop_capabilities()
                else:
                    os.setresgid(self.uid, self.uid, self.uid)
                    os.setresuid(self.uid, self.uid, self.uid)
                remove_all(self.work)
            finally:
                os._exit(0)
        pidfd = os.pidfd_open(pid)
        select.select([pidfd], [], [], CLEAN_SECONDS)
        os.close(pidfd)
        self.sweep(pid)
        return not os.listdir(self.work)


def remove_all(folder: str) -> None:
    """Remove all in a folder, whatever its permissions; without recursion, for there may be thousands of levels."""
    found, waiting = [], [folder]
    while waiting:
        path = waiting.pop()
        if path != folder:
            found.append(path)
            os.chmod(path, 0o700)
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            else:
                os.unlink(entry.path)
    for path in reversed(found):
        os.rmdir(path)


if __name__ == "__main__":
    for name in PRELOADED.split():
        importlib.import_module(name)
    Guest(json.loads(sys.argv[1])).main()
