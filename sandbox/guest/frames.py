"""Frames between the guest and the harness: two lengths, a JSON header, bytes."""

import json
import os
import struct
from collections import deque
from typing import Any

HEADER = struct.Struct(">II")


class Frames:
    """Frames on two descriptors. Whole frames wait in `ready` until somebody takes them."""

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
