"""Frames between the guest and the harness: two lengths, a JSON header, bytes.

Every program is a fork of the guest, so whatever passes through the guest's own memory can be found there by all later
ones: other programs' texts, their answers, a reference's. So what belongs to a program never comes here: the kernel
moves it (splice) between pipes and files without a name, and only headers and plans, which hold no answers, are read.
"""

import fcntl
import json
import os
import select
import struct
import termios
from collections import deque
from typing import Any

PIPES, PIPE_NAMES = "/run/harness", "HARNESS_PIPES"  # a folder, and the variable with the names of two pipes in it
HEADER = struct.Struct(">II")
READ_HERE = "plan"  # the one kind of body that the guest reads itself
# Bodies in hand at once: a program waits behind another, which is handed one operation at a time.
FILES = 8
_CHUNK = 1 << 20


class Files:
    """Files without a name, made before the guest refuses to make any; each is emptied after use and used again."""

    def __init__(self) -> None:
        self.free = [os.memfd_create("body") for _ in range(FILES)]

    def take(self) -> int:
        return self.free.pop()

    def give_back(self, fd: int) -> None:
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        self.free.append(fd)


class Body:
    """What follows a header: bytes for a plan, else a file without a name, read from its start."""

    __slots__ = ("fd", "files", "size", "text", "used")

    def __init__(self, files: Files, kind: str, size: int) -> None:
        self.files = files
        self.size = size
        self.used = 0  # how much has been handed on
        self.text = bytearray()
        self.fd = -1 if kind == READ_HERE or not size else files.take()

    def fill(self, source: int, left: int) -> int:
        """Take up to `left` bytes from a pipe; returns how many came. Raises BlockingIOError when none are there."""
        if self.fd >= 0:
            return os.splice(source, self.fd, left)
        chunk = os.read(source, left)
        self.text += chunk
        return len(chunk)

    def hand_on(self, sink: int) -> bool:
        """Move what is left into a pipe; returns whether that was all. Raises BlockingIOError when it is full."""
        while self.used < self.size:
            self.used += os.splice(self.fd, sink, self.size - self.used, offset_src=self.used)
        return True

    def close(self) -> None:
        if self.fd >= 0:
            self.files.give_back(self.fd)
            self.fd = -1


class Frames:
    """Frames on two descriptors. Whole frames wait in `ready` until somebody takes them."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.files = Files()
        self.head = b""
        self.header: dict[str, Any] | None = None  # of the frame whose body is being filled
        self.body = Body(self.files, READ_HERE, 0)
        self.left = 0
        self.ready: deque[tuple[dict[str, Any], Body]] = deque()
        os.set_blocking(source, False)

    def read_more(self) -> None:
        """Take what is there and split off whole frames; leaves the process when the other side has gone."""
        try:
            while True:
                self._step()
        except BlockingIOError:
            return

    def _step(self) -> None:
        if self.header is None:
            known = len(self.head) >= HEADER.size
            wanted = HEADER.size + (HEADER.unpack_from(self.head)[0] if known else 0)
            chunk = os.read(self.source, wanted - len(self.head))
            if not chunk:
                os._exit(0)
            self.head += chunk
            if not known or len(self.head) < wanted:
                return
            self.header = json.loads(self.head[HEADER.size :])
            self.left = HEADER.unpack_from(self.head)[1]
            self.body = Body(self.files, self.header["kind"], self.left)
            self.head = b""
        else:
            count = self.body.fill(self.source, self.left)
            if not count:
                os._exit(0)
            self.left -= count
        if not self.left:
            self.ready.append((self.header, self.body))
            self.header = None

    def next(self) -> tuple[dict[str, Any], Body]:
        while not self.ready:
            select.select([self.source], [], [])
            self.read_more()
        return self.ready.popleft()

    def send(self, header: dict[str, Any], parts: tuple[tuple[int, int], ...] = ()) -> None:
        """Send a header, and behind it so many bytes of each of some pipes."""
        text = json.dumps(header).encode()
        data = memoryview(HEADER.pack(len(text), sum(size for _, size in parts)) + text)
        while data:
            data = data[os.write(self.sink, data) :]
        for fd, size in parts:
            while size:
                size -= os.splice(fd, self.sink, min(size, _CHUNK))


def available(pipe: int) -> int:
    """Return how many bytes wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), "little")


def streams(names: list[str]) -> tuple[int, int]:
    """Return where frames come from and go to: two pipes by their names, else the standard streams."""
    try:
        come, go = (f"{PIPES}/{name}" for name in names)
        source = os.open(come, os.O_RDONLY | os.O_NONBLOCK)
        sink = os.open(go, os.O_WRONLY | os.O_NONBLOCK)  # refused where nobody reads
    except (ValueError, OSError):
        return os.dup(0), os.dup(1)
    os.set_blocking(sink, True)
    return source, sink
