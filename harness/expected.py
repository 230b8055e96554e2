"""What the reference program returns for every input of a task: computed in the sandbox, kept as JSON by digest.

Never a pickle, never computed in this process. The key covers the reference program, the inputs, the sandbox image
and the format, so a changed one of them is computed afresh. Two forms: brief, with a digest in the place of each long
value, for which most programs need not send it; and whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import marshal
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.benchmarks.data import cache_folder
from harness.errors import MeasurementInvalid
from harness.records import CallTests, Task
from harness.rehearsal import encode_operation
from harness.store import write_whole
from sandbox import CodecError, Decoder, Limits, Program, Sandbox, dumps, loads, replies

_FORMAT = "5"  # another one where the same value may have another line, or another digest
_KEPT_IN_MEMORY = 8
_log = logging.getLogger(__name__)
_LIMITS = Limits(cpu_seconds=300.0, wall_seconds=900.0, memory_bytes=0, reply_bytes=256 << 20)


@dataclass(frozen=True, slots=True)
class Expected:
    """The reference's replies to the plan of a task.

    `lines` are the replies that a program with the same values gives, byte for byte; `seconds` the CPU time that the
    reference took for each call; `plan` the operations that are sent, `plan_again` with the first once more at its end.
    """

    plan: bytes
    lines: tuple[bytes, ...]
    seconds: tuple[float, ...]
    plan_again: bytes = b""


class ExpectedValues:
    """Gets the expected values of tasks, a few tasks at a time in memory. Safe to use from several threads."""

    def __init__(self, sandbox: Sandbox, memory_bytes: int) -> None:
        self._sandbox = sandbox
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, bool], Expected] = OrderedDict()
        self._busy: dict[tuple[str, bool], threading.Lock] = {}
        self._paths: dict[tuple[str, bool], Path] = {}  # to look at a task's inputs, which are long, once

    def of(self, task: Task, whole: bool = False) -> Expected:
        """Return the expected values of a task. Raises MeasurementInvalid if the reference does not answer."""
        name = (task.task_id, whole)
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
            busy = self._busy.setdefault(name, threading.Lock())
        with busy:
            with self._lock:
                if name in self._kept:
                    return self._kept[name]
            expected = self._load_or_compute(task, whole)
            with self._lock:
                self._kept[name] = expected
                while len(self._kept) > _KEPT_IN_MEMORY:
                    self._kept.popitem(last=False)
        return expected

    def answers(self, task: Task) -> list[Any]:
        """Return the expected values of a task's base inputs, in the order of these; None for what is too long."""
        tests = _tests_of(task)
        lines = self.of(task, whole=bool(tests.oracle)).lines[: len(tests.base_inputs)]
        decoder = Decoder()
        return [decoder.decode(value) if kind == "v" else None for kind, value in map(loads, lines)]

    def seconds(self, task: Task) -> float:
        """Return the CPU time that a task's reference takes, if it is known from an earlier run, else 0."""
        try:
            with self._path(task, whole=False).open("rb") as file:
                return math.fsum(json.loads(file.readline())["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0

    def _path(self, task: Task, whole: bool) -> Path:
        name = (task.task_id, whole)
        if name not in self._paths:
            self._paths[name] = self._made_path(task, whole)
        return self._paths[name]

    def _made_path(self, task: Task, whole: bool) -> Path:
        key = hashlib.sha256()
        for part in (_FORMAT, str(whole), self._sandbox.image_digest, task.reference):
            key.update(part.encode() + b"\0")
        key.update(_inputs_text(task))
        return cache_folder() / "expected" / f"{key.hexdigest()}.txt"

    def _load_or_compute(self, task: Task, whole: bool) -> Expected:
        path = self._path(task, whole)
        found = _read(path)
        if found is None:
            found = self._compute(task, whole)
            _write(path, found)
        return replace(found, plan_again=_with_first_again(task, found.plan, "call" if whole else "brief"))

    def _compute(self, task: Task, whole: bool) -> Expected:
        """Run the reference on every input. Its own word on the time that each call takes is good enough."""
        plan = dumps(call_operations(task, "call" if whole else "brief")).encode()
        operations = call_operations(task, "timed" if whole else "timed_brief")
        count = len(operations)
        operations.append(["spent", {"n": task.entry_point}, [], {}])
        program = Program(source=task.reference, plan=dumps(operations).encode(), operations=count + 1)
        lines: list[bytes] = []
        with self._sandbox.start(program, _limits(self._memory_bytes)) as session:
            for index, line in enumerate(replies(session)):
                kind = loads(line)[0]
                if kind not in ("v", "h") and (index or kind != "ok"):
                    raise MeasurementInvalid(f"{task.task_id}: the reference program fails: {line[:300]!r}")
                lines.append(line)
            if len(lines) != count + 2:
                raise MeasurementInvalid(
                    f"{task.task_id}: the reference program ended early: {session.end().detail}. "
                    "Expected values cannot be computed on this machine."
                )
        seconds = tuple(float(one) for one in loads(lines[-1])[1])
        return Expected(plan=plan, lines=tuple(lines[1:-1]), seconds=seconds)


def _limits(memory_bytes: int) -> Limits:
    return Limits(
        cpu_seconds=_LIMITS.cpu_seconds,
        wall_seconds=_LIMITS.wall_seconds,
        memory_bytes=memory_bytes,
        reply_bytes=_LIMITS.reply_bytes,
    )


def _tests_of(task: Task) -> CallTests:
    if not isinstance(task.tests, CallTests):
        raise TypeError(f"{task.task_id} is not judged by calls")
    return task.tests


def call_operations(task: Task, verb: str) -> list[list[Any]]:
    """Return one operation per input of a task, base inputs first. Raises MeasurementInvalid for odd inputs."""
    tests = _tests_of(task)
    try:
        return _operations(tests.entry_point, (*tests.base_inputs, *tests.plus_inputs), verb)
    except CodecError as error:
        raise MeasurementInvalid(f"{task.task_id}: an input cannot be sent to the sandbox: {error}") from error


def _operations(entry_point: str, inputs: tuple[tuple[Any, ...], ...], verb: str) -> list[list[Any]]:
    return [encode_operation(verb, {"n": entry_point}, list(arguments), {}) for arguments in inputs]


def _with_first_again(task: Task, plan: bytes, verb: str) -> bytes:
    """Return a plan with its first call once more at its end."""
    tests = _tests_of(task)
    inputs = (*tests.base_inputs, *tests.plus_inputs)[:1]
    return b",".join([plan[:-1], *(dumps(one).encode() for one in _operations(tests.entry_point, inputs, verb))]) + b"]"


def _inputs_text(task: Task) -> bytes:
    """Return bytes that only the same call on the same inputs has; they are hashed and never read back."""
    tests = _tests_of(task)
    try:
        return marshal.dumps((tests.entry_point, tests.base_inputs, tests.plus_inputs), 2)
    except ValueError:
        return dumps(call_operations(task, "call")).encode()


def _read(path: Path) -> Expected | None:
    """Return what `_write` has kept, or None if it is not there or damaged."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        stored = json.loads(head)
        plan, *lines = body.split(b"\n")
        if stored["digest"] != hashlib.sha256(body).hexdigest() or len(lines) != len(stored["seconds"]):
            return None
        return Expected(plan=plan, lines=tuple(lines), seconds=tuple(map(float, stored["seconds"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, found: Expected) -> None:
    """Keep values for other runs. Where there is no room for them, or no right to write, they are computed again."""
    body = b"\n".join((found.plan, *found.lines))
    head = json.dumps({"digest": hashlib.sha256(body).hexdigest(), "seconds": found.seconds})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, head.encode() + b"\n" + body)
    except OSError as error:
        _log.warning("expected values cannot be kept in %s for other runs: %s", path.parent, error.strerror or error)
