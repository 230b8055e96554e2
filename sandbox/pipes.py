"""Bytes to and from a guest through two pipes of the kernel, with nobody between."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import stat
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from sandbox.cell import WRITE_SECONDS

_PREFIX = "harness-cell-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_TICK_MILLISECONDS = 200
_CHUNK = 1 << 16  # more than that is mapped and unmapped for every read


class Pipes:
    """The harness's ends: `sink` leads to the guest and does not block, `source` comes from it and does.

    Each is held while it is in use: a closed one's number may be another file's a moment later.
    """

    def __init__(self, sink: IO[bytes], source: IO[bytes]) -> None:
        self._sink, self._source = sink, source
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._waking, self._ended = threading.Lock(), False
        os.set_blocking(sink.fileno(), False)
        os.set_blocking(source.fileno(), True)

    def write(self, data: bytes) -> None:
        """Send all of it. Raises OSError when the other side has gone, or takes nothing for WRITE_SECONDS."""
        view = memoryview(data)
        with self._writing:
            while view:
                count = _open(self._sink).write(view)
                if count is None:
                    self._wait_for_room()
                view = view[count or 0 :]

    def read(self) -> bytes:
        """Wait for bytes; empty at the end. Raises OSError when it has been closed."""
        with self._reading:
            chunk = b"" if self._ended else _open(self._source).read(_CHUNK)
            return b"" if self._ended else chunk

    def _wait_for_room(self) -> None:
        """Wait until the sink takes more, or its other end has gone. Raises OSError when it is neither for too long."""
        room = select.poll()
        room.register(self._sink, select.POLLOUT)
        end = time.monotonic() + WRITE_SECONDS
        while not room.poll(_TICK_MILLISECONDS):
            if self._ended:
                raise OSError("closed")
            if time.monotonic() >= end:
                raise TimeoutError(f"it took nothing for {WRITE_SECONDS} s")

    def wake(self) -> None:
        """End all reading and writing at once, and let the guest know where nobody writes; for named pipes on Linux."""
        with self._waking:
            if self._ended:  # whoever was first may be closing them by now
                return
            self._ended = True
            with contextlib.suppress(OSError, ValueError):  # there is no other way to wake who reads from a pipe
                other_end = os.open(f"/proc/self/fd/{self._source.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
                os.write(other_end, b"\0")
                os.close(other_end)
        if self._writing.acquire(blocking=False):
            self._sink.close()
            self._writing.release()

    def close(self) -> None:
        """Close both, once whoever reads or writes has been woken by the end of the other side."""
        for lock, end in ((self._reading, self._source), (self._writing, self._sink)):
            with lock:
                end.close()


class NamedPipes:
    """Two pipes under names that nobody can guess, in a folder that nobody can list: for a guest to open at its start.

    The names are gone once the guest has said something, here or elsewhere; before that, no program runs. The folder is
    locked while it is in use, so that one whose harness was killed can be told from it.
    """

    def __init__(self) -> None:
        """Make them. Raises OSError."""
        self.folder, self._lock = _locked_folder()
        self.folder.chmod(0o711)  # the guest may be another user to the machine, and has no power to pass by modes
        self.names = secrets.token_hex(16), secrets.token_hex(16)
        to_guest, from_guest = (self.folder / name for name in self.names)
        self._held: list[int] = []
        try:
            for path in (to_guest, from_guest):
                os.mkfifo(path)
                path.chmod(0o666)
            # Both ways, or the guest would find it ended before the harness has opened it; and reading comes first.
            self._held = [os.open(to_guest, os.O_RDWR), os.open(from_guest, os.O_RDONLY | os.O_NONBLOCK)]
        except OSError:
            self.remove()
            raise

    def fileno(self) -> int:
        """Return what to poll for the guest's first words."""
        return self._held[1]

    def taken(self) -> Pipes:
        """Return the pipes when the guest has said something in them, and remove the names. Raises OSError."""
        sink = os.open(self.folder / self.names[0], os.O_WRONLY)
        source = self._held.pop()
        self.remove()
        return Pipes(os.fdopen(sink, "wb", buffering=0), os.fdopen(source, "rb", buffering=0))

    def remove(self) -> None:
        """Remove the names, and what is open of them. May be called twice."""
        while self._held:
            os.close(self._held.pop())
        for name in self.names:
            (self.folder / name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self.folder.rmdir()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def remove_abandoned() -> None:
    """Remove the folders of this user's harnesses that were killed before their guest had said anything."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # in use, another user's, no folder of ours, or already gone
            place = os.open(folder, _FOLDER)
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(place).st_uid == os.getuid():
                    _remove_with_pipes(folder, place)
            finally:
                os.close(place)


def _remove_with_pipes(folder: Path, place: int) -> None:
    """Remove a folder that holds at most named pipes. Raises OSError for any other."""
    for name in os.listdir(place):
        if stat.S_ISFIFO(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=place)
    folder.rmdir()


def _locked_folder() -> tuple[Path, int | None]:
    """Make a folder and return it with what holds its lock. Raises OSError."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, _FOLDER)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                return folder, lock
            os.close(lock)
        # Another harness took it for an abandoned one before it was locked.


def _open(stream: IO[bytes]) -> IO[bytes]:
    """Return a stream that is open. Raises OSError when it has been closed."""
    if stream.closed:
        raise OSError("closed")
    return stream
