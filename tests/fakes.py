"""Stand-ins at our own seams: real implementations of `sandbox.Sandbox` with scripted or in-process answers.

`FakeSandbox` says what a test scripts, lost cells and failing machines included. `InProcessSandbox` runs the guest's
own `Child` in this process, without any wall: for programs that the test itself has written and trusts.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from sandbox import CellLost, Execution, Limits, Program, SandboxError, Status, dumps, loads
from sandbox.guest.child import FILE_NAME, MODULE_NAME, Child, Plan, describe


@dataclass(frozen=True, kw_only=True)
class Script:
    """What one program says and how it ends. `lost` cells die behind the last line; `failure` is raised at the start.

    `answer` maps each operation sent to an interactive program to its reply.
    """

    lines: tuple[bytes, ...] = ()
    status: Status = Status.FINISHED
    detail: str = "exit code 0"
    cpu_seconds: float = 0.25
    wall_seconds: float = 0.5
    peak_memory_bytes: int = 1 << 20
    output: bytes = b""
    lost: bool = False
    failure: SandboxError | None = None
    answer: Callable[[bytes], bytes] | None = None


def saying(*lines: str | bytes) -> Script:
    """Return the script of a program that loads, says these lines and ends well."""
    return Script(lines=(b'["ok"]', *(line.encode() if isinstance(line, str) else line for line in lines)))


@dataclass
class FakeSession:
    """One scripted program; see `sandbox.Session`."""

    script: Script
    lines: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lines += self.script.lines

    def reply(self, index: int) -> bytes | None:
        if index < len(self.lines):
            return self.lines[index]
        if self.script.lost:
            raise CellLost("the cell ended")
        return None

    def send(self, operation: bytes) -> None:
        assert self.script.answer is not None, "this program is not scripted to go on"
        self.lines.append(self.script.answer(operation))

    def end(self) -> Execution:
        if self.script.lost:
            raise CellLost("the cell ended")
        return Execution(
            status=self.script.status,
            detail=self.script.detail,
            cpu_seconds=self.script.cpu_seconds,
            wall_seconds=self.script.wall_seconds,
            peak_memory_bytes=self.script.peak_memory_bytes,
            output=self.script.output,
        )


class FakeSandbox:
    """Plays one script per program: those given, in order and the last for ever, or what a function makes of each."""

    name = "fake"
    image_digest = "fake"
    not_promised: tuple[str, ...] = ()
    capacity = 1

    def __init__(self, scripts: Script | Iterable[Script] | Callable[[Program], Script]) -> None:
        if callable(scripts):
            self._script = scripts
        else:
            queue = [scripts] if isinstance(scripts, Script) else list(scripts)
            self._script = lambda _: queue.pop(0) if len(queue) > 1 else queue[0]
        self.started: list[Program] = []
        self.limits: list[Limits] = []
        self.is_closed = False

    @contextlib.contextmanager
    def start(self, program: Program, limits: Limits) -> Iterator[FakeSession]:
        self.started.append(program)
        self.limits.append(limits)
        script = self._script(program)
        if script.failure is not None:
            raise script.failure
        lines = script.lines
        if len(lines) == program.operations > 1 and script.status is Status.FINISHED and not script.lost:
            script = replace(script, lines=(*lines, lines[1]))  # the first call, made again, is answered as before
        yield FakeSession(script)

    def warm(self) -> None:
        """There is nothing to make."""

    def close(self) -> None:
        self.is_closed = True


class InProcessSession:
    """One trusted program, run here; see `sandbox.Session`."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._child = Child(Plan(program.plan))
        self._index = 0
        self._lines = [self._load(program.source)]
        if self._lines == [b'["ok"]']:
            for operation in self._child.plan.operations:
                self._perform(operation)

    def _load(self, source: str) -> bytes:
        """As `Child.load`, which replies on a descriptor that is not ours to write to in this process."""
        module = types.ModuleType(MODULE_NAME)
        sys.modules[MODULE_NAME] = module
        self._child.namespace = module.__dict__
        try:
            exec(compile(source, FILE_NAME, "exec", dont_inherit=True), module.__dict__)
        except SyntaxError as error:
            return dumps(["s", f"SyntaxError: {error}", error.lineno]).encode()
        except BaseException as error:
            return describe(error).encode()
        return b'["ok"]'

    def _perform(self, operation: object) -> None:
        self._lines.append(self._child.perform(self._index, operation).encode("ascii"))
        self._index += 1

    def reply(self, index: int) -> bytes | None:
        return self._lines[index] if index < len(self._lines) else None

    def send(self, operation: bytes) -> None:
        assert self._program.interactive
        verb, target, arguments, keywords = loads(operation)
        self._perform((verb, target, arguments, keywords, False))

    def end(self) -> Execution:
        return Execution(
            status=Status.STOPPED if self._program.interactive else Status.FINISHED,
            detail="",
            cpu_seconds=0.0,
            wall_seconds=0.0,
            peak_memory_bytes=0,
            output=b"",
        )


class InProcessSandbox:
    """Runs trusted test programs in this process and notes each; see `sandbox.Sandbox`."""

    name = "in-process"
    image_digest = "in-process"
    not_promised: tuple[str, ...] = ("everything",)
    capacity = 1

    def __init__(self) -> None:
        self.started: list[Program] = []

    @contextlib.contextmanager
    def start(self, program: Program, limits: Limits) -> Iterator[InProcessSession]:
        self.started.append(program)
        yield InProcessSession(program)

    def warm(self) -> None:
        """There is nothing to make."""

    def close(self) -> None:
        """Nothing is open."""
