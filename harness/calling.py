"""What functions of programs that anybody wrote return: they are called in the sandbox, and plain values come back.

Nothing is judged here. Each call of a function is made in two processes, at another place among the others, so that
a value that depends on chance, on the time or on the calls before is known for what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from harness.cells import open_program_cells
from harness.errors import MeasurementInvalid, UsageError
from harness.judge import ATTEMPTS, BYSTANDING_ATTEMPTS
from harness.progress import NoProgress, Progress
from harness.rehearsal import encode_operation
from harness.remote import MAX_VALUE_TEXT
from sandbox import CellLost, CodecError, Decoder, Limits, Program, Sandbox, Status, dumps, loads, replies

MAX_DEATHS = 3  # of the process that is asked; a function that ends it more often is not asked on
CALL_CPU_SECONDS = 1.0
NOT_DETERMINISTIC = "another value in another process"
_LIMITS = Limits(call_cpu_seconds=CALL_CPU_SECONDS)  # and as many seconds for all calls as a judged program has


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCalls:
    """A function at the top of a program that anybody wrote, and the arguments of each call of it: plain values."""

    program: str
    function: str
    arguments: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What a call gave: `value`, made of plain types, or with `failure` no value, and why not."""

    value: Any = None
    failure: str = ""


def call_functions(
    wanted: Sequence[FunctionCalls],
    sandbox: str = "auto",
    workers: int = 2,
    progress: Progress | None = None,
) -> list[tuple[Returned, ...]]:
    """Return what each call of each function gives; programs run in the sandbox and nowhere else.

    A call fails that raises, that takes more than 1 s of CPU time or ends its process, that returns something else than
    plain data, more than 256 KiB of it, or another value when called once more. After three ends of its process a
    function is not called any more. Raises UsageError for arguments that are no plain data, SandboxError when
    the machine can run nothing, MeasurementInvalid when it failed on a program: nothing is said of any then.
    """
    if not wanted:
        return []
    with (
        closing(open_program_cells(sandbox, _LIMITS, workers)) as cells,
        ThreadPoolExecutor(cells.capacity) as pool,
        progress or NoProgress() as shown,
    ):
        shown.start("functions called", len(wanted), 0)
        found = []
        try:
            for returned in pool.map(lambda calls: called_twice(cells, calls), wanted):
                found.append(returned)
                shown.step(None, 0)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def replies_of(sandbox: Sandbox, program: Program, limits: Limits) -> tuple[list[bytes], Status]:
    """Return a program's replies, that to loading first, and how it ended.

    A lost cell is another try in another cell. Raises CellLost when there were too many.
    """
    losses = bystanding = 0
    while True:
        try:
            with sandbox.start(program, limits) as session:
                lines = list(replies(session))
                return lines[: program.operations + 1], session.end().status
        except CellLost as error:
            losses, bystanding = losses + error.begun, bystanding + (not error.begun)
            if losses >= ATTEMPTS or bystanding >= BYSTANDING_ATTEMPTS:
                raise


def called_twice(cells: Sandbox, calls: FunctionCalls) -> tuple[Returned, ...]:
    """Call in order, and what gave a value again in another process, each call one place earlier than before."""
    try:
        operations = [dumps(encode_operation("call", {"n": calls.function}, list(one), {})) for one in calls.arguments]
    except CodecError as error:
        raise UsageError(f"an argument of {calls.function} cannot be sent to the sandbox: {error}") from error
    try:
        first = _lines_of(cells, calls.program, operations)
        answered = [place for place, line in enumerate(first) if not _returned(line).failure]
        turned = [*answered[1:], *answered[:1]]
        second = _lines_of(cells, calls.program, [operations[place] for place in turned])
    except CellLost as error:
        raise MeasurementInvalid(
            f"a program could not be run because the machine failed: {error}. Run the same command again to go on"
        ) from error
    again = dict(zip(turned, second, strict=True))
    return tuple(
        Returned(failure=NOT_DETERMINISTIC) if place in again and again[place] != line else _returned(line)
        for place, line in enumerate(first)
    )


def _lines_of(cells: Sandbox, source: str, operations: Sequence[str]) -> list[bytes | str]:
    """Return each call's reply, or in words why there is none; a process lives on from call to call if it can."""
    found: list[bytes | str] = []
    for _ in range(MAX_DEATHS):
        left = operations[len(found) :]
        if not left:
            break
        program = Program(source=source, plan=f"[{','.join(left)}]".encode(), operations=len(left))
        lines, status = replies_of(cells, program, _LIMITS)
        if not lines or lines[0] != b'["ok"]':
            return [*found, *["the program cannot be loaded"] * len(left)]
        found += lines[1:]
        if len(lines) <= len(left):
            found.append(f"its process ended: {status.value.replace('_', ' ')}")
    return [*found, *["its process ended too often"] * (len(operations) - len(found))]


def _returned(line: bytes | str) -> Returned:
    if isinstance(line, str):
        return Returned(failure=line)
    if len(line) > MAX_VALUE_TEXT:
        return Returned(failure="a value too large")
    try:
        reply = loads(line)
        kind, *content = reply if type(reply) is list and reply else ["?"]
        if kind == "v" and len(content) == 1:
            return Returned(value=Decoder(opaque=_refused).decode(content[0]))
    except CodecError:
        return Returned(failure="no plain value")
    return Returned(failure=f"raised {str(content[0])[:100]}" if kind == "e" and content else "no plain value")


def _refused(_handle: int, class_name: str) -> Any:
    raise CodecError(f"an object of the class {class_name}")
