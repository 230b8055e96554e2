"""Whether the kernel took a process of this cell for memory, and whether the cell or the machine had none left."""

import os
from enum import Enum
from pathlib import Path

V1 = Path("/sys/fs/cgroup/memory")
V2 = Path("/sys/fs/cgroup")
_KILLS = b"oom_kill"  # whoever ordered it: the cell's own limit, or the machine, which was short of memory itself
_AT_LIMIT = b"oom"  # version 2 alone: how often the cell was at its own limit
# Version 1 says only how much was ever used: after a program that was at the limit, every later kill is the cell's.
# (Its failcnt stays at 0 in Linux 6.18.)
_V1_MOST = (
    ("memory.max_usage_in_bytes", "memory.limit_in_bytes"),
    ("memory.memsw.max_usage_in_bytes", "memory.memsw.limit_in_bytes"),
)
_NEAR_BYTES = 1 << 20  # memory is handed out in batches


class Short(Enum):
    """Who was short of memory, if a process was killed for it."""

    NOBODY = 0
    CELL = 1
    MACHINE = 2


class MemoryCounters:
    """The counters of the cell's memory control group; without one, nobody is ever short."""

    def __init__(self, v1: Path = V1, v2: Path = V2) -> None:
        self._v1 = v1
        events = next((path for path in (v1 / "memory.oom_control", v2 / "memory.events") if path.exists()), None)
        self._events = os.open(events, os.O_RDONLY) if events else -1
        self._seen = self._read()

    def look(self) -> Short:
        """Return who was short of memory since the last call."""
        text = self._read()
        if text == self._seen:
            return Short.NOBODY
        before, now = _counts(self._seen), _counts(text)
        if now.get(_KILLS) == before.get(_KILLS):
            return Short.NOBODY  # and the limit, which is counted before the kill, stays news
        self._seen = text
        at_limit = now.get(_AT_LIMIT) != before.get(_AT_LIMIT) or self._has_been_at_limit()
        return Short.CELL if at_limit else Short.MACHINE

    def begin(self) -> None:
        """Forget what the programs before this one did."""
        self._seen = self._read()

    def _read(self) -> bytes:
        return os.pread(self._events, 4096, 0) if self._events >= 0 else b""

    def _has_been_at_limit(self) -> bool:
        """Whether version 1 says so, or cannot say."""
        found = [(self._v1 / most, self._v1 / limit) for most, limit in _V1_MOST if (self._v1 / most).exists()]
        if not found:
            return _AT_LIMIT not in _counts(self._seen)
        return any(int(most.read_bytes()) >= int(limit.read_bytes()) - _NEAR_BYTES for most, limit in found)


def _counts(text: bytes) -> dict[bytes, int]:
    return {name: int(count) for name, count in (line.split() for line in text.splitlines())}
