"""Start a local cell: own namespaces, own root file system, no powers, and in them the guest as PID 1.

A script of its own, run by the host's Python as `python -I -S launch.py CONFIG`, so that no thread and no open file
of the harness comes along; standard library only. CONFIG is JSON: `root` (the packed root file system), `command`
(empty: set everything up, say OWN_ROOT or SHARED_ROOT and leave, to see whether this machine can) and `environment`
of the guest, `work` (the one writable folder) with `disk_bytes`, `user_id` (of the programs) with `ids` (first and
number of the host's user ids to choose two from, or null where the guest must do with the caller's own), `life` (a
descriptor whose end ends the cell).
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any, NoReturn

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000  # users, mounts, processes, network,
_NAMESPACES |= 0x08000000 | 0x04000000 | 0x02000000  # IPC, host name, control groups
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP = 1, 24
CAP_KILL, CAP_SETGID, CAP_SETUID = 5, 6, 7
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
_BELOW = "/tmp"  # noqa: S108  (any folder that every machine has: covered inside the new namespace only)
OWN_ROOT, SHARED_ROOT = "own", "shared"

_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, result: int) -> None:
    """Raise OSError, saying what was tried, when a C function has failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, flags: int, kind: str | None = None, options: str | None = None) -> None:
    arguments = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    data = None if options is None else options.encode()
    _call(f"mount {source} on {target}", _libc.mount(*arguments, ctypes.c_ulong(flags), data))


def _write(path: str, text: str) -> None:
    """Write the whole text in one call, as the kernel wants it here."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"write {text!r} to {path}: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _unshare() -> None:
    _call("new namespaces", _libc.unshare(_NAMESPACES))


def enter_as_self() -> None:
    """Enter new namespaces where user 0 is the caller and nobody else is there."""
    uid, gid = os.geteuid(), os.getegid()
    _unshare()
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")


def enter_as_others(ids: list[int], user_id: int) -> None:
    """Enter new namespaces where users 0 and `user_id` are two of the host's that own nothing.

    Each cell takes two of its own, by process id: where the kernel counts processes per user, cells stay apart. The
    map is written by a helper that stays outside and so keeps the right to.
    """
    first = ids[0] + 2 * (os.getpid() % (ids[1] // 2))
    text = f"0 {first} 1\n{user_id} {first + 1} 1\n"
    entered, enter = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(enter)
        try:
            if os.read(entered, 1):
                for kind in ("uid_map", "gid_map"):
                    _write(f"/proc/{os.getppid()}/{kind}", text)
                os._exit(0)
        except OSError as error:
            print(f"launch: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(1)
    _unshare()
    os.write(enter, b"x")
    if os.waitpid(helper, 0)[1] != 0:
        raise OSError(1, "the users of the cell could not be mapped")
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def lay_root() -> bool:
    """Mount the packed root, which is the current folder, read-only and enter it; return whether it is the cell's own.

    Through an overlay its files are the cell's own: locks and watches on them are not seen in other cells, and the
    mount table does not say where it lies. Where the kernel has no overlay for users, it is the folder itself.
    """
    _mount("none", "/", _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", _BELOW, 0, "tmpfs", "mode=755,size=65536,nr_inodes=8")
    empty, root = f"{_BELOW}/empty", f"{_BELOW}/root"
    for folder in (empty, root):
        Path(folder).mkdir(mode=0o755)
    safe = _MS_RDONLY | _MS_NOSUID | _MS_NODEV
    try:
        _mount("overlay", root, safe, "overlay", f"lowerdir=.:{empty}")
    except OSError:
        _mount(".", root, _MS_BIND)
        # What the user's own mount forbids stays forbidden: the kernel refuses a remount that would lift it.
        _mount("none", root, _MS_REMOUNT | _MS_BIND | safe | os.statvfs(root).f_flag & _MS_NOEXEC)
        is_own = False
    else:
        is_own = True
    os.chdir(root)
    return is_own


def furnish(work: str, disk_bytes: int) -> None:
    """Mount work folder, processes and devices into the current folder, and make it the only file system."""
    safe = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _mount("tmpfs", work.lstrip("/"), safe, "tmpfs", f"mode=1777,size={disk_bytes},nr_inodes=4096")
    # Process folders only: neither settings of the kernel nor figures of the machine.
    _mount("proc", "proc", safe, "proc", "subset=pid")
    _mount("tmpfs", "dev", _MS_NOSUID | _MS_NOEXEC, "tmpfs", "mode=755,size=65536,nr_inodes=32")
    for name in _DEVICES:
        os.close(os.open(f"dev/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
        _mount(f"/dev/{name}", f"dev/{name}", _MS_BIND)
    for name, target in _LINKS.items():
        Path("dev", name).symlink_to(target)
    _mount("none", "dev", _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NOEXEC)
    _call("change the root", _libc.pivot_root(b".", b"."))
    _call("leave the old root", _libc.umount2(b".", _MNT_DETACH))
    os.chdir("/")


def start_loopback() -> None:
    """Switch on the only network that there is: a program may talk to itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))


def limit_powers(kept: frozenset[int]) -> None:
    """Give up, for good, every capability that is not to be kept when the guest is started."""
    for capability in range(64):
        if capability not in kept and _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # the kernel knows no more
    mask = sum(1 << capability for capability in kept)
    header = struct.pack("Ii", 0x20080522, 0)
    _call("capset", _libc.capset(header, struct.pack("IIIIII", mask, mask, 0, 0, 0, 0)))


def become_guest(config: dict[str, Any]) -> NoReturn:
    """As PID 1 of the cell: furnish it and become the guest. Raises OSError for what the machine refuses."""
    os.setsid()
    is_own = lay_root()
    furnish(config["work"], config["disk_bytes"])
    start_loopback()
    socket.sethostname("cell")
    # A program is made another user, and killed, by the guest; where there is one user only it needs no power at all.
    switching = frozenset({CAP_KILL, CAP_SETGID, CAP_SETUID})
    limit_powers(switching if config["ids"] else frozenset())
    # Only now, as the kernel forgets it when powers change.
    _call("prctl", _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    if not config["command"]:
        print(OWN_ROOT if is_own else SHARED_ROOT, flush=True)
        os._exit(0)
    os.execve(config["command"][0], config["command"], config["environment"])  # noqa: S606


def stand_by(guest: int, life: int) -> int:
    """Wait until the guest ends, or end it when `life` does; return its exit status."""
    ended = os.pidfd_open(guest)
    os.closerange(0, 3)  # the streams are the guest's alone: their end is seen when it ends
    events = select.poll()
    events.register(life, select.POLLIN)
    events.register(ended, select.POLLIN)
    events.poll()
    os.kill(guest, signal.SIGKILL)
    # A process that is PID 1 ends after all others of its namespace: none is left once it has been waited for.
    return os.waitstatus_to_exitcode(os.waitpid(guest, 0)[1])


def main(config: dict[str, Any]) -> int:
    """Start the cell and stay with it to its end."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)  # the harness may have been started with some of them ignored
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.chdir(config["root"])  # before the change of user: folders above it may be closed to others
        if config["ids"]:
            enter_as_others(config["ids"], config["user_id"])
        else:
            enter_as_self()
        guest = os.fork()
        if guest == 0:
            become_guest(config)
    except OSError as error:
        print(f"launch: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(1)
    return stand_by(guest, config["life"])


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])) != 0)
