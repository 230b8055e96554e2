"""What the reference program returns for every input of a task: computed in the sandbox, kept as JSON by digest.

Never a pickle, never computed in this process. The key covers the reference program, the inputs, the sandbox image
and the format, so a changed one of them is computed afresh.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.benchmarks.data import cache_folder
from harness.errors import MeasurementInvalid
from harness.records import CallTests, Task
from harness.rehearsal import encode_operation
from harness.store import write_whole
from sandbox import CodecError, Limits, Program, Sandbox, dumps, loads, replies

_FORMAT = "3"
_KEPT_IN_MEMORY = 8
_log = logging.getLogger(__name__)
_LIMITS = Limits(cpu_seconds=300.0, wall_seconds=900.0, memory_bytes=0, reply_bytes=256 << 20)


@dataclass(frozen=True, slots=True)
class Expected:
    """The reference's replies to the plan of a task.

    `lines` are the replies that a program with the same values gives, byte for byte; `seconds` the CPU time that the
    reference took for each call; `plan` the operations that are sent.
    """

    plan: bytes
    lines: tuple[bytes, ...]
    seconds: tuple[float, ...]


class ExpectedValues:
    """Gets the expected values of tasks, a few tasks at a time in memory. Safe to use from several threads."""

    def __init__(self, sandbox: Sandbox, memory_bytes: int) -> None:
        self._sandbox = sandbox
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Expected] = OrderedDict()
        self._busy: dict[str, threading.Lock] = {}

    def of(self, task: Task) -> Expected:
        """Return the expected values of a task. Raises MeasurementInvalid if the reference does not answer."""
        with self._lock:
            if task.task_id in self._kept:
                self._kept.move_to_end(task.task_id)
                return self._kept[task.task_id]
            busy = self._busy.setdefault(task.task_id, threading.Lock())
        with busy:
            with self._lock:
                if task.task_id in self._kept:
                    return self._kept[task.task_id]
            expected = self._load_or_compute(task)
            with self._lock:
                self._kept[task.task_id] = expected
                while len(self._kept) > _KEPT_IN_MEMORY:
                    self._kept.popitem(last=False)
        return expected

    def _load_or_compute(self, task: Task) -> Expected:
        operations = call_operations(task, "call")
        plan = dumps(operations).encode()
        key = hashlib.sha256()
        for part in (_FORMAT, self._sandbox.image_digest, task.reference):
            key.update(part.encode() + b"\0")
        key.update(plan)
        path = cache_folder() / "expected" / f"{key.hexdigest()}.json"
        found = _read(path, len(operations))
        if found is None:
            found = self._compute(task)
            _write(path, found)
        lines, seconds = found
        return Expected(plan=plan, lines=tuple(line.encode() for line in lines), seconds=tuple(seconds))

    def _compute(self, task: Task) -> tuple[list[str], list[float]]:
        """Run the reference on every input. Its own word on the time that each call takes is good enough."""
        operations = call_operations(task, "timed")
        count = len(operations)
        operations.append(["spent", {"n": task.entry_point}, [], {}])
        program = Program(source=task.reference, plan=dumps(operations).encode(), operations=count + 1)
        lines: list[str] = []
        with self._sandbox.start(program, _limits(self._memory_bytes)) as session:
            for index, line in enumerate(replies(session)):
                kind = loads(line)[0]
                if kind not in ("v", "h") and (index or kind != "ok"):
                    raise MeasurementInvalid(f"{task.task_id}: the reference program fails: {line[:300]!r}")
                lines.append(line.decode())
            if len(lines) != count + 2:
                raise MeasurementInvalid(
                    f"{task.task_id}: the reference program ended early: {session.end().detail}. "
                    "Expected values cannot be computed on this machine."
                )
        return lines[1:-1], [float(seconds) for seconds in loads(lines[-1])[1]]


def _limits(memory_bytes: int) -> Limits:
    return Limits(
        cpu_seconds=_LIMITS.cpu_seconds,
        wall_seconds=_LIMITS.wall_seconds,
        memory_bytes=memory_bytes,
        reply_bytes=_LIMITS.reply_bytes,
    )


def call_operations(task: Task, verb: str) -> list[list[Any]]:
    """Return one operation per input of a task, base inputs first. Raises MeasurementInvalid for odd inputs."""
    tests = task.tests
    if not isinstance(tests, CallTests):
        raise TypeError(f"{task.task_id} is not judged by calls")
    target = {"n": tests.entry_point}
    try:
        return [
            encode_operation(verb, target, list(arguments), {})
            for arguments in (*tests.base_inputs, *tests.plus_inputs)
        ]
    except CodecError as error:
        raise MeasurementInvalid(f"{task.task_id}: an input cannot be sent to the sandbox: {error}") from error


def _read(path: Path, count: int) -> tuple[list[str], list[float]] | None:
    try:
        stored = json.loads(path.read_bytes())
        lines, seconds = stored["lines"], stored["seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if len(lines) != count or len(seconds) != count or not all(type(line) is str for line in lines):
        return None
    return lines, seconds


def _write(path: Path, found: tuple[list[str], list[float]]) -> None:
    """Keep values for other runs. Where there is no room for them, or no right to write, they are computed again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"lines": found[0], "seconds": found[1]}))
    except OSError as error:
        _log.warning("expected values cannot be kept in %s for other runs: %s", path.parent, error.strerror or error)
