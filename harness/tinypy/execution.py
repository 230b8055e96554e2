"""Run many small programs in the sandbox for what they print: hundreds to a process, in order.

A cell's process a program would cost ten times what the program does, and these programs are our own and tiny. So a
batch of them travels as the data of one runner, which executes each in the cell with no names but `print` and
`range`. What comes back is one list of texts, and nothing is run on this side.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final

from harness.errors import MeasurementInvalid
from sandbox import CellLost, Limits, Program, Sandbox, loads

BATCH = 2000
LIMITS = Limits(cpu_seconds=60.0, wall_seconds=300.0, memory_bytes=1 << 30)
_ATTEMPTS = 3
# One plan for all batches: a cell is sent it once.
_PLAN: Final = b'[["call",{"n":"printed"},[],{}]]'
_RUNNER: Final = '''
import json

def printed():
    """Return what each program prints, as JSON: a list of texts, null for a program that raises."""
    texts = []
    for program in PROGRAMS:
        lines = []
        names = {"__builtins__": {"print": lambda value: lines.append(str(value)), "range": range}}
        try:
            exec(compile(program, "<tinypy>", "exec"), names)
        except Exception:
            texts.append(None)
        else:
            texts.append("\\n".join(lines))
    return json.dumps(texts)
'''


def run_programs(sandbox: Sandbox, programs: Iterable[str], batch: int = BATCH) -> Generator[str | None, None, None]:
    """Yield what each program prints, lines joined by newlines, in order; None for one that raises.

    Takes programs from the iterable a few batches ahead, no more. Raises SandboxError when the machine can run
    nothing, MeasurementInvalid when a batch does not come to its end.
    """
    source = iter(programs)
    flying: deque[Future[list[str | None]]] = deque()
    with ThreadPoolExecutor(sandbox.capacity, thread_name_prefix="tinypy") as executor:
        try:
            while True:
                while len(flying) < sandbox.capacity and (taken := list(islice(source, batch))):
                    flying.append(executor.submit(_run, sandbox, taken))
                if not flying:
                    return
                yield from flying.popleft().result()
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _run(sandbox: Sandbox, programs: Sequence[str]) -> list[str | None]:
    program = Program(source=f"PROGRAMS = {list(programs)!r}\n{_RUNNER}", plan=_PLAN, operations=1)
    lost: CellLost | None = None
    for _ in range(_ATTEMPTS):
        try:
            with sandbox.start(program, LIMITS) as session:
                reply = session.reply(1)
                ended = session.end()
        except CellLost as error:
            lost = error
            continue
        if reply is None:
            raise MeasurementInvalid(f"a batch of TinyPy programs did not come to its end: {ended.detail}")
        return _texts(reply, len(programs))
    raise MeasurementInvalid(f"a batch of TinyPy programs lost its cell {_ATTEMPTS} times: {lost}")


def _texts(reply: bytes, count: int) -> list[str | None]:
    """Read a reply of the runner. Raises MeasurementInvalid for anything but one text or null per program."""
    kind, *content = loads(reply)
    texts = json.loads(content[0]) if kind == "v" and isinstance(content[0], str) else None
    if not isinstance(texts, list) or len(texts) != count or not all(one is None or type(one) is str for one in texts):
        raise MeasurementInvalid(f"a batch of TinyPy programs came back as {reply[:200]!r}")
    return texts
