"""Cell 2: Linux namespaces around the same guest, where no container engine answers.

A launcher (`launch.py`, in a process of its own) enters namespaces of every kind but time, makes the packed root file
system the only one, gives up every power but those with which the guest makes a program another user and kills it,
and becomes the guest. The system-call filter and the limits per process are the guest's. A cell ends when the harness
closes a pipe to the launcher, so a killed harness leaves none behind. What an engine's cell has and this one has not
is in `not_promised`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from sandbox import launch
from sandbox.contract import Limits, SandboxError, SandboxUnavailable
from sandbox.images import build
from sandbox.pipes import Pipes
from sandbox.pool import Pool

OLDEST_KERNEL = (5, 14)  # from here on, each cell counts its processes apart from everybody else's
# Host user ids that nothing owns: the first where systemd's list of ranges has a gap, the second for a harness that
# is itself in a container, where often only 65,536 ids exist.
_ID_RANGES = ((1_900_000_000, 1 << 23), (30_000, 35_000))
_TRY_SECONDS = 30
_END_SECONDS = 20
_NOT_PROMISED = (
    "memory is bounded for each process; for all processes of a program together it is only sampled",
    "CPU time of a program's processes together is sampled, and they may use every core",
    "one wall only, the host kernel's namespaces and a system-call filter: no container engine, no control group, "
    "no other runtime between a flaw of the kernel and the host",
)
_ONE_USER = "programs run as the guest's own user: without privileges there is no second one to switch to"
_SHARED_ROOT = (
    "file locks on the cell's read-only files are seen by programs in other cells (this kernel has no overlay)"
)
_SWITCHES = (
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
)


def open_pool(limits: Limits, workers: int) -> Pool:
    """Return a pool of local cells. Raises SandboxUnavailable, with the fix, where this machine allows none."""
    if sys.platform != "linux":
        raise SandboxUnavailable(f"local cells need Linux, not {sys.platform}. Start Docker and choose it.")
    release = os.uname().release
    if tuple(map(int, re.findall(r"\d+", release)[:2])) < OLDEST_KERNEL:
        raise SandboxUnavailable(f"local cells need Linux 5.14, this is {release}. Start Docker and choose it.")
    root = build.host_root()
    ids = _host_ids()
    is_shared = _try(_config(root, ids, limits)) == launch.SHARED_ROOT
    return Pool(
        name="local",
        image_digest=(root / "DIGEST").read_text(),
        open_channel=lambda: Namespaces(root, ids, limits),
        workers=workers,
        not_promised=(*_NOT_PROMISED, *[_ONE_USER] * (ids is None), *[_SHARED_ROOT] * is_shared),
    )


def _host_ids() -> tuple[int, int] | None:
    """Return first and number of the user ids that a cell may take two from, or None without the right to.

    Raises SandboxUnavailable for a root that may not switch users: the kernel bounds no processes of root.
    """
    maps = [_extents(Path("/proc/self", kind).read_text()) for kind in ("uid_map", "gid_map")]
    status = Path("/proc/self/status").read_text()
    powers = int(status.partition("CapEff:")[2].split()[0], 16)
    may_map = all(powers >> capability & 1 for capability in (launch.CAP_SETUID, launch.CAP_SETGID))
    for first, number in _ID_RANGES if may_map else ():
        if all(any(low <= first and first + number <= high for low, high in extents) for extents in maps):
            return first, number
    if os.geteuid() == 0 and maps[0] == [(0, (1 << 32) - 1)]:
        raise SandboxUnavailable("root may not switch users here. Give it CAP_SETUID and CAP_SETGID, or be another.")
    return None


def _extents(text: str) -> list[tuple[int, int]]:
    """Return the ranges (first, one past the last) that a uid_map or gid_map has inside."""
    rows = [list(map(int, line.split())) for line in text.splitlines()]
    return [(first, first + number) for first, _, number in rows]


def _config(root: Path, ids: tuple[int, int] | None, limits: Limits) -> dict[str, Any]:
    return {
        "root": str(root),
        "command": [],
        "environment": build.ENVIRONMENT,
        "work": build.WORK,
        "disk_bytes": limits.disk_bytes,
        "user_id": build.USER_ID,
        "ids": ids,
    }


def _start(config: dict[str, Any]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a launcher; return it, and the descriptor with whose end it ends its cell and itself."""
    watched, life = os.pipe()
    try:
        command = [sys.executable, "-I", "-S", launch.__file__, json.dumps({**config, "life": watched})]
        streams = subprocess.PIPE
        process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=streams,
            stdout=streams,
            stderr=streams,
            pass_fds=[watched],
            start_new_session=True,
        )
    except OSError as error:
        os.close(life)
        raise SandboxError(f"{sys.executable} could not be started: {error}") from error
    finally:
        os.close(watched)
    return process, life


def _try(config: dict[str, Any]) -> str:
    """Set a cell up and leave it; return which root it had. Raises SandboxUnavailable with what to do."""
    process, life = _start(config)
    try:
        said, complaint = process.communicate(timeout=_TRY_SECONDS)
    except subprocess.TimeoutExpired:
        said, complaint = b"", b"no answer"
    finally:
        os.close(life)
        process.kill()
        process.communicate()
    if process.returncode != 0:
        reason = complaint.decode("utf-8", "replace").strip()[-1000:]
        raise SandboxUnavailable(f"this machine allows no local cells: {reason}. {_fix()}")
    return said.decode().strip()


def _fix() -> str:
    """Return what most likely has to be changed for local cells to work."""
    for path, value, setting in _SWITCHES:
        with contextlib.suppress(OSError):
            if Path(path).read_text().strip() == value:
                return f"Run `sudo sysctl -w {setting}`, or start Docker and choose `--sandbox docker`."
    if any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")):
        options = " ".join(f"--security-opt {option}=unconfined" for option in ("seccomp", "apparmor", "systempaths"))
        return f"In a container: start it with `{options}`."
    return "Allow this user to make user namespaces, or start Docker and choose `--sandbox docker`."


class Namespaces:
    """One cell's launcher and the pipes to its guest; see `sandbox.pool.Channel`."""

    def __init__(self, root: Path, ids: tuple[int, int] | None, limits: Limits) -> None:
        guest = {"uid": build.USER_ID if ids else None, "work": build.WORK, "memory_bytes": limits.memory_bytes}
        command = [*build.COMMAND, json.dumps(guest)]
        self._process, self._life = _start({**_config(root, ids, limits), "command": command})
        self._said = b""
        self._pipes = Pipes(_open(self._process.stdin), _open(self._process.stdout))
        self._ending = threading.Lock()

    def write(self, data: bytes) -> None:
        self._pipes.write(data)

    def read(self) -> bytes:
        return self._pipes.read()

    def kill(self) -> None:
        with self._ending:
            if self._life < 0:
                return
            with contextlib.suppress(BrokenPipeError):  # the launcher has left already
                os.write(self._life, b"end")  # not by closing alone: a fork of the harness may hold a copy for a while
            os.close(self._life)
            self._life = -1
            try:
                self._process.wait(_END_SECONDS)  # it leaves when the cell's last process has
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._listen()
            self._pipes.close()
            _open(self._process.stderr).close()

    def diagnosis(self) -> str:
        with self._ending:
            if self._life >= 0:
                self._listen()
        return self._said.decode("utf-8", "replace")[-2000:].strip()

    def processes(self) -> int:
        found = _children(self._process.pid)  # the guest, under which every process of its namespace is
        for pid in found:
            found += _children(pid)
        return len(found)

    def _listen(self) -> None:
        """Take what the launcher and the guest have said so far."""
        stream = _open(self._process.stderr)
        os.set_blocking(stream.fileno(), False)
        while chunk := stream.read(1 << 16):
            self._said += chunk


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started, or got when their parents ended; none when it has ended."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    """Return a stream that is there by construction. Raises OSError when it has been closed."""
    if stream is None or stream.closed:
        raise OSError("closed")
    return stream
