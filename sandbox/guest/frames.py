"""Frames between the guest and the harness: two lengths, a JSON header, bytes."""

import json
import os
import struct
from collections import deque
from typing import Any

HEADER = struct.Struct(">II")
SPACE_BYTES = 1 << 18


class Frames:
    """Frames on two descriptors. Whole frames wait in `ready` until somebody takes them.

    A program that waits behind another must not be found in that other's memory, nor one that has gone: what is read
    lands in one space, is copied once, into a body of its own, and whoever has done with a body wipes it.
    """

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.space = bytearray(SPACE_BYTES)
        self.head = bytearray()
        self.header: dict[str, Any] | None = None  # of the frame whose body is being filled
        self.body = bytearray()
        self.filled = 0
        self.ready: deque[tuple[dict[str, Any], bytearray]] = deque()

    def read_more(self) -> None:
        """Read once and split off whole frames; leaves the process when the other side has gone."""
        count = os.readv(self.source, [self.space])
        if not count:
            os._exit(0)
        fresh = memoryview(self.space)[:count]
        self._take(fresh)
        fresh[:] = bytes(count)

    def _take(self, fresh: memoryview) -> None:
        while fresh:
            if self.header is None:
                known = len(self.head) >= HEADER.size
                wanted = HEADER.size + (HEADER.unpack_from(self.head)[0] if known else 0) - len(self.head)
                self.head += fresh[:wanted]
                fresh = fresh[wanted:]
                self._open_body()
            else:
                part = fresh[: len(self.body) - self.filled]
                self.body[self.filled : self.filled + len(part)] = part
                self.filled += len(part)
                fresh = fresh[len(part) :]
            if self.header is not None and self.filled == len(self.body):
                self.ready.append((self.header, self.body))
                self.header, self.body = None, bytearray()

    def _open_body(self) -> None:
        """Make room for a frame's body once its head is whole."""
        if len(self.head) > HEADER.size:
            head, body = HEADER.unpack_from(self.head)
            if len(self.head) == HEADER.size + head:
                self.header = json.loads(self.head[HEADER.size :])
                self.head, self.body, self.filled = bytearray(), bytearray(body), 0

    def next(self) -> tuple[dict[str, Any], bytearray]:
        while not self.ready:
            self.read_more()
        return self.ready.popleft()

    def forget(self) -> None:
        """In a program's own process: wipe what has been sent ahead for other programs."""
        for body in (self.body, *(body for _, body in self.ready)):
            wipe(body)
        self.ready.clear()

    def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        text = json.dumps(header).encode()
        data = memoryview(HEADER.pack(len(text), len(body)) + text + body)
        while data:
            data = data[os.write(self.sink, data) :]


def wipe(body: bytearray) -> None:
    """Overwrite a body's bytes, so that they are not found in freed memory."""
    body[:] = bytes(len(body))
