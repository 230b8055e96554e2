"""The hostile suite against the sandbox and the judge of this machine, with what must be true after every program.

After each: it did not pass, and got an outcome that it may get; it ended in time; no process, file, container or
network of it is left; files of the host are as they were; its record is small; and a right program passes beside it
and after it in the same cell. What a sandbox says it does not promise is listed, and decides nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from harness.evidence import clean
from harness.judge import EvalPlusRule, Judge
from harness.progress import NoProgress, Progress
from harness.records import CheckTests, Outcome, Task, Verdict, to_json
from harness.selfcheck import CHECKED, TASKS, sample_of
from sandbox import HostileProgram, Limits, Sandbox, Traces, hostile_programs, open_sandbox, traces_of

# CPU time ends what burns. The backstop is wide, so that a busy machine changes nothing; what only waits has another.
LIMITS = Limits(cpu_seconds=1.0, wall_seconds=20.0, memory_bytes=256 << 20, output_bytes=1 << 20, reply_bytes=8 << 20)
_REACHING_CPU_SECONDS = 5.0  # for programs that look at every file
_RULE = EvalPlusRule(least=1.0, factor=4.0, most=1.0)
_CALLS_WALL_SECONDS = 2 * (_RULE.most + 1.0)  # what the judge adds to the backstop of compared calls
_PAUSE_SECONDS = 0.05
BLIND_SPOTS = (
    "T71: a program that has the answers to the public tests by heart is a right program to them. What shows it is the "
    "pass rate of the base tests beside that of a + benchmark.",
)
# What an honest program finds that runs next in the same cell: itself, its guest, and nothing else.
PROBE = """
import os

def left():
    found = ["process " + name for name in os.listdir("/proc") if name.isdigit() and int(name) not in (1, os.getpid())]
    for folder in ("/work", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"):
        if os.path.isdir(folder):
            found += [os.path.join(folder, name) for name in os.listdir(folder)]
    disk = os.statvfs("/work")
    used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
    return found + [f"{used} bytes in /work"] * (used > 65536)
"""
NEXT = replace(
    CHECKED,
    task_id="Demo/next",
    tests=CheckTests(source="assert left() == []\nassert add(1, 2) == 3\n", remote_names=("left", "add")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What became of one attack. `problems` are the things that should not have been; none where it was held off."""

    item: str
    tries: str
    outcome: str
    problems: tuple[str, ...] = ()
    promised: bool = True

    @property
    def held(self) -> bool:
        """Whether it was held off."""
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What became of every attack, and what is not promised here."""

    sandbox: str
    lines: tuple[Line, ...]
    not_promised: tuple[str, ...]
    blind_spots: tuple[str, ...]
    seconds: float

    @property
    def held(self) -> bool:
        """Whether every attack was held off that this sandbox promises to hold off."""
        return all(line.held or not line.promised for line in self.lines)


@dataclass
class Bench:
    """Where hostile programs are judged: a cell for them, one beside it, and what is looked at from outside.

    A program may take `grace_seconds` longer than its limit, its verdict `record_bytes` on disk, and an engine
    `settle_seconds` to remove what has ended.
    """

    cell: Sandbox
    neighbour: Sandbox
    traces: Callable[[], Traces]
    guarded: Callable[[], str]
    facts: dict[str, object] = field(default_factory=dict)
    grace_seconds: float = 2.0
    record_bytes: int = 64 << 10
    settle_seconds: float = 5.0
    before: Traces = field(init=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        for sandbox in (self.cell, self.neighbour):  # their cells are made here, before anything is counted
            judged(sandbox, CHECKED, CHECKED.reference)
        self.before, self.digest = self.traces(), self.guarded()

    def attack(self, program: HostileProgram) -> Line:
        """Judge one program in every way that it asks for, and look at what is left of it."""
        outcomes, problems = [], []
        for by in program.judged_by:
            verdict, seconds, beside = self._judge_beside_a_right_one(program, by)
            outcomes.append(str(verdict.outcome))
            problems += _about_verdict(program, by, verdict)
            allowed = _limits(program).wall_seconds + _CALLS_WALL_SECONDS * (by == "call") + self.grace_seconds
            if seconds > allowed:
                problems.append(f"it took {seconds:.1f} s, {allowed:.1f} s are allowed")
            if (size := len(to_json(verdict))) > self.record_bytes:
                problems.append(f"its record has {size} bytes")
            problems += _unless_passed(beside, "beside it")
            problems += _unless_passed(judged(self.cell, NEXT, CHECKED.reference + PROBE), "after it")
            problems += self._left()
        promised = not (program.promise and _declined(self.cell, program.promise))
        return Line(
            item=program.item,
            tries=program.name,
            outcome=" / ".join(dict.fromkeys(outcomes)),
            problems=tuple(clean(text) for text in dict.fromkeys(problems)),
            promised=promised,
        )

    def _judge_beside_a_right_one(self, program: HostileProgram, by: str) -> tuple[Verdict, float, Verdict]:
        """Judge a program while right ones are judged in the other cell; return the last of these, too."""
        ended = threading.Event()

        def beside() -> Verdict:
            while (verdict := judged(self.neighbour, CHECKED, CHECKED.reference)).passed:
                if ended.wait(_PAUSE_SECONDS):
                    break
            return verdict

        with ThreadPoolExecutor(1) as executor:
            right = executor.submit(beside)
            start = time.monotonic()
            try:
                verdict = judged(self.cell, TASKS[by], program.source_on(self.facts), _limits(program))
            finally:
                seconds = time.monotonic() - start
                ended.set()
            return verdict, seconds, right.result()

    def _left(self) -> list[str]:
        """Return what is on the machine that was not there before, once an engine has had time to tidy up."""
        end = time.monotonic() + self.settle_seconds
        while (now := self.traces()) != self.before and time.monotonic() < end:
            time.sleep(_PAUSE_SECONDS)
        problems = [] if now == self.before else [f"left on the machine: {now}, before it {self.before}"]
        return problems + ["files of the host are not as they were"] * (self.guarded() != self.digest)


def _limits(program: HostileProgram) -> Limits:
    cpu_seconds = _REACHING_CPU_SECONDS if program.reaches else LIMITS.cpu_seconds
    return replace(LIMITS, cpu_seconds=cpu_seconds, wall_seconds=program.wall_seconds or LIMITS.wall_seconds)


def judged(sandbox: Sandbox, task: Task, program: str, limits: Limits = LIMITS) -> Verdict:
    """Return the verdict on a program by a judge of its own, within the limits of the self-test unless told."""
    return Judge(sandbox, limits, _RULE).judge(task, sample_of(task, program))


def _about_verdict(program: HostileProgram, by: str, verdict: Verdict) -> list[str]:
    problems = []
    allowed = program.outcomes if by == "check" else program.outcomes_of_calls
    if verdict.passed or verdict.outcome is Outcome.PASSED:
        problems.append("it passed")
    elif verdict.outcome not in allowed:
        reason = f" ({verdict.evidence.reason})" if verdict.evidence.reason else ""
        problems.append(f"judged {verdict.outcome}{reason}, expected {' or '.join(sorted(allowed))}")
    if program.reaches and verdict.outcome is Outcome.FAILED and verdict.evidence.actual != "[]":
        problems.append(f"it reached {verdict.evidence.actual}")
    return problems


def _unless_passed(verdict: Verdict, when: str) -> list[str]:
    if verdict.passed:
        return []
    evidence = verdict.evidence
    return [f"a right program {when} is judged {verdict.outcome}: {evidence.reason} {evidence.actual or ''}"]


def _declined(sandbox: Sandbox, promise: str) -> bool:
    return any(text.startswith(promise) for text in sandbox.not_promised)


def run_selftest(name: str, progress: Progress | None = None) -> SelfTest:
    """Run the hostile suite in the named sandbox and return what became of every attack.

    Takes about two minutes. Raises SandboxError when the machine can run nothing.
    """
    from harness.selftest_data import data_attacks

    progress = progress or NoProgress()
    start = time.monotonic()
    programs = hostile_programs()
    with open_bench(name) as bench, progress, tempfile.TemporaryDirectory() as folder:
        attacks = data_attacks(bench.cell, Path(folder))
        progress.start("selftest", len(programs) + len(attacks), 0)
        lines: list[Line] = []
        steps: list[Callable[[], Line]] = [*(partial(bench.attack, program) for program in programs), *attacks]
        for step in steps:
            lines.append(step())
            progress.step(None, 0)
        return SelfTest(
            sandbox=bench.cell.name,
            lines=tuple(lines),
            not_promised=bench.cell.not_promised,
            blind_spots=BLIND_SPOTS,
            seconds=round(time.monotonic() - start, 1),
        )


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Have a variable in our environment for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


@contextlib.contextmanager
def open_bench(name: str) -> Iterator[Bench]:
    """Open two cells of the named kind, with a secret in our environment, files to be guarded and servers to reach."""
    canary = f"canary-{uuid.uuid4().hex}"
    # The secret is inherited by whatever starts a cell.
    with environment("HARNESS_SELFTEST_SECRET", canary), contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harness-selftest-")))
        for path in ("repository/pyproject.toml", f"cache/{canary}", "samples/verdicts.jsonl", canary):
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(canary)
        server = stack.enter_context(socket.create_server(("0.0.0.0", 0)))  # noqa: S104  (is to be out of reach)
        cell = stack.enter_context(contextlib.closing(open_sandbox(name, LIMITS, 1)))
        neighbour = stack.enter_context(contextlib.closing(open_sandbox(cell.name, LIMITS, 1)))
        own = Path(inspect.getfile(HostileProgram)).parents[1]
        places = [folder, own]
        facts: dict[str, object] = {
            "ports": [server.getsockname()[1]],
            "paths": [str(folder), str(folder / canary), str(own)],
            "canary": [canary[:20], canary[20:]],
        }
        yield Bench(cell, neighbour, lambda: traces_of(cell, neighbour), lambda: _digest(places), facts)


def _digest(folders: list[Path]) -> str:
    """Return a digest of the names, modes and contents of all files below some folders, and of a few of the host."""
    digest = hashlib.sha256()
    files = [Path("/etc/passwd"), Path("/etc/hosts"), Path("/etc/hostname")]
    files += sorted(path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts)
    for path in files:
        if path.is_file():
            digest.update(f"{path} {path.lstat().st_mode} ".encode() + path.read_bytes())
        else:
            digest.update(f"{path} {path.is_symlink()}".encode())
    return digest.hexdigest()
