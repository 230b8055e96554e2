"""The engine's own stream to a container: what it says there comes in packets that name where it said it."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections import deque
from dataclasses import dataclass
from typing import Any

from sandbox.cell import WRITE_SECONDS
from sandbox.pipes import NamedPipes, Pipes

_CHUNK = 1 << 16  # more than that is mapped and unmapped for every read
_WRITE_TIMEOUT = struct.pack("ll", WRITE_SECONDS, 0)
_HEAD, _STANDARD_OUTPUT = 8, 1


class EngineStream:
    """A container's standard streams; `holder` is what the Docker SDK returns of `attach_socket`."""

    def __init__(self, holder: Any) -> None:
        self._holder = holder
        self._socket: socket.socket | None = getattr(holder, "_sock", holder)
        self._pending = bytearray()
        self._said: deque[bytes] = deque(maxlen=20)
        assert self._socket is not None
        self._socket.settimeout(None)
        if isinstance(self._socket, socket.socket):  # an engine reached by ssh has a stream of another kind
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _WRITE_TIMEOUT)

    def fileno(self) -> int:
        """Return what to poll for news; -1 when it has been closed."""
        return -1 if self._socket is None else self._socket.fileno()

    def write(self, data: bytes) -> None:
        """Send all of it. Raises OSError when the other side has gone, or takes nothing for WRITE_SECONDS."""
        sock = self._socket
        if sock is None:
            raise OSError("closed")
        sock.sendall(data)

    def read(self) -> bytes:
        """Wait for what is said on standard output; empty at the end. Raises OSError when the connection breaks."""
        while (content := self._taken()) is None:
            if not self._receive():
                return b""
        return content

    def read_once(self) -> bytes | None:
        """Wait for the stream once; return what it then has of standard output, empty at the end, None for nothing."""
        return self._taken() if self._receive() else b""

    def _taken(self) -> bytes | None:
        """Return the next whole packet of standard output, if it is here."""
        while len(self._pending) >= _HEAD:
            end = _HEAD + int.from_bytes(self._pending[4:_HEAD], "big")
            if len(self._pending) < end:
                break
            stream, content = self._pending[0], bytes(self._pending[_HEAD:end])
            del self._pending[:end]
            if stream == _STANDARD_OUTPUT:
                return content
            self._said.append(content)
        return None

    def _receive(self) -> bool:
        """Wait for more of the stream; returns whether there is any. Raises OSError when the connection breaks."""
        sock = self._socket
        if sock is None:
            return False
        try:
            chunk = sock.recv(_CHUNK)
        except OSError:
            self.close()
            raise
        self._pending += chunk
        if not chunk:
            self.close()
        return bool(chunk)

    def wake(self) -> None:
        """End the reading at once; who reads closes it."""
        sock = self._socket
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it. May be called twice."""
        sock, self._socket = self._socket, None
        if sock is not None:
            self._holder.close()
            sock.close()

    def diagnosis(self) -> str:
        """Return the last of standard error."""
        return b"".join(self._said).decode("utf-8", "replace")[-2000:].strip()


@dataclass(frozen=True, slots=True)
class FirstWords:
    """What a guest said first, empty if it has ended, and the pipes if it said it there."""

    said: bytes
    pipes: Pipes | None = None


def first_words(named: NamedPipes, stream: EngineStream) -> FirstWords:
    """Wait for a guest's first words, wherever they come from, and remove the names of the pipes.

    The stream stays open where they come from there. Raises OSError when the connection breaks.
    """
    news = select.poll()
    news.register(named, select.POLLIN)
    news.register(stream, select.POLLIN)
    try:
        while named.fileno() not in dict(news.poll()):
            if (said := stream.read_once()) is not None:
                return FirstWords(said)
        pipes = named.taken()
        said = pipes.read()
        if not said:
            stream.read()  # to its end, for what the guest complained of
        stream.close()
        return FirstWords(said, pipes)
    finally:
        named.remove()
