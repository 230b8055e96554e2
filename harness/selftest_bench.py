"""Where hostile programs are judged, and what must be true after every one of them.

After each: it did not pass, and got an outcome that it may get (a table of the tests' answers passes, and its verdict
must say so); it ended in time; no process, file, container or network of it is left; files of the host are as they
were; its record is small and readable, and we needed little memory for it; and a right program passes beside it and
after it in the same cell.
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
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from harness.evidence import clean
from harness.judge import EvalPlusRule, Judge
from harness.records import CheckTests, Outcome, Task, Verdict, to_json
from harness.selfcheck import CHECKED, TASKS, sample_of
from sandbox import HostileProgram, Limits, Sandbox, Traces, open_sandbox, traces_of

# CPU time ends what burns. The backstop is wide, so that a busy machine changes nothing; what only waits has another.
LIMITS = Limits(cpu_seconds=1.0, wall_seconds=20.0, memory_bytes=256 << 20, output_bytes=1 << 20, reply_bytes=8 << 20)
_REACHING_CPU_SECONDS = 5.0  # for programs that look at every file
_BURNING_CPU_SECONDS = 0.3  # for programs that can do nothing but use up all that there is
_LATE_ATTEMPTS = 3
_USUAL_WALL = 3.0  # seconds by the clock for one of CPU time, of a right program on a quiet machine, at the most
_BURNING = frozenset({"timeout", "out_of_memory"})
_PAUSE_SECONDS = 0.05
# What an honest program finds that runs next in the same cell: itself, its guest, and nothing else.
PROBE = """
import os

def left():
    found = ["process " + name for name in os.listdir("/proc") if name.isdigit() and int(name) not in (1, os.getpid())]
    for folder in ("/work", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock"):
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


@dataclass(frozen=True, slots=True)
class _Found:
    """The verdict on a program, how long it took and may have taken, and what was wrong beside it."""

    verdict: Verdict
    seconds: float
    allowed_seconds: float
    beside: list[str]

    @property
    def is_late(self) -> bool:
        return self.seconds > self.allowed_seconds


@dataclass
class Bench:
    """Where hostile programs are judged: a cell for them, one beside it, and what is looked at from outside.

    A program may take `grace_seconds` longer than its limit, its verdict `record_bytes` on disk, judging it
    `memory_bytes` of this process's memory beside a few copies of its source, and an engine `settle_seconds` to remove
    what has ended.
    """

    cell: Sandbox
    neighbour: Sandbox
    traces: Callable[[], Traces]
    guarded: Callable[[], Mapping[str, str]]
    facts: dict[str, object] = field(default_factory=dict)
    grace_seconds: float = 2.0
    record_bytes: int = 64 << 10
    memory_bytes: int = 50 << 20
    settle_seconds: float = 5.0
    before: Traces = field(init=False)
    digests: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.before, self.digests = self.traces(), self.guarded()

    def attack(self, program: HostileProgram) -> Line:
        """Judge one program in every way that it asks for, and look at what is left of it."""
        outcomes, problems = [], []
        for by in program.judged_by:
            before = peak_bytes(afresh=True)
            found = self._judge_until_in_time(program, by)
            taken = peak_bytes() - before
            outcomes.append(f"{found.verdict.outcome}{', reported' if found.verdict.hardcoded else ''}")
            problems += _about_verdict(program, by, found.verdict)
            if found.is_late:
                problems.append(f"it took {found.seconds:.1f} s, {found.allowed_seconds:.1f} s are allowed")
            if taken > self.memory_bytes + 8 * len(program.source):
                problems.append(f"judging it took {taken >> 20} MiB of memory")
            problems += self.about_record(found.verdict)
            problems += found.beside
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

    def _judge_until_in_time(self, program: HostileProgram, by: str) -> _Found:
        """Judge a program, again where it was late: a busy machine is late now and then, an attack always."""
        for _ in range(_LATE_ATTEMPTS):
            found = self._judge_beside_a_right_one(program, by)
            if not found.is_late:
                break
        return found

    def _judge_beside_a_right_one(self, program: HostileProgram, by: str) -> _Found:
        """Judge a program while right ones are judged in the other cell.

        Where it is to run twice at once, the first in the other cell is the program itself. The grace is for a machine
        on which programs need not stand in line for a processor: it is as many times longer as right ones take.
        """
        ended = threading.Event()
        source, limits = program.source_on(self.facts), _limits(program)
        right: list[Verdict] = []

        def beside() -> list[str]:
            problems: list[str] = []
            if program.twice:
                problems = _about_verdict(program, by, judged(self.neighbour, TASKS[by], source, limits))
            while not right or (right[-1].passed and not ended.wait(_PAUSE_SECONDS * len(right))):
                right.append(judged(self.neighbour, CHECKED, CHECKED.reference))
            return problems + _unless_passed(right[-1], "beside it")

        with ThreadPoolExecutor(1) as executor:
            others = executor.submit(beside)
            start = time.monotonic()
            try:
                verdict = judged(self.cell, TASKS[by], source, limits)
            finally:
                seconds = time.monotonic() - start
                ended.set()
            problems = others.result()
        busy = sum(one.wall_seconds for one in right) / max(_USUAL_WALL * sum(one.cpu_seconds for one in right), 1e-3)
        backstop = limits.wall_seconds + 2 * (limits.cpu_seconds + 1.0) * (
            by == "call"
        )  # the judge adds to it for calls
        return _Found(verdict, seconds, backstop + self.grace_seconds * max(1.0, busy), problems)

    def about_record(self, verdict: Verdict) -> list[str]:
        """Return what is wrong with how a verdict would be kept and shown."""
        size, evidence = len(to_json(verdict)), verdict.evidence
        texts = (evidence.reason, evidence.call, evidence.expected, evidence.actual, evidence.output)
        is_readable = all((text or "").replace("\n", "").isprintable() for text in texts)
        return [f"its record has {size} bytes"] * (size > self.record_bytes) + [
            "its record holds what is no text, or what steers terminals"
        ] * (not is_readable)

    def _left(self) -> list[str]:
        """Return what is on the machine that was not there before, once an engine has had time to tidy up."""
        end = time.monotonic() + self.settle_seconds
        while (now := self.traces()) != self.before and time.monotonic() < end:
            time.sleep(_PAUSE_SECONDS)
        problems = [] if now == self.before else [f"left on the machine: {now}, before it {self.before}"]
        was, self.digests = self.digests, self.guarded()
        changed = sorted(name for name in {*was, *self.digests} if was.get(name) != self.digests.get(name))
        return problems + [f"files of the host are not as they were: {', '.join(changed[:5])}"] * bool(changed)


def peak_bytes(afresh: bool = False) -> int:
    """Return the most memory that this process has had, since it was last counted afresh."""
    if afresh:
        with contextlib.suppress(OSError):  # where the kernel does not count afresh, the peak is that of all time
            Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) << 10


def _limits(program: HostileProgram) -> Limits:
    cpu_seconds = LIMITS.cpu_seconds
    if program.reaches:
        cpu_seconds = _REACHING_CPU_SECONDS
    elif "timeout" in program.outcomes <= _BURNING:
        cpu_seconds = _BURNING_CPU_SECONDS
    return replace(LIMITS, cpu_seconds=cpu_seconds, wall_seconds=program.wall_seconds or LIMITS.wall_seconds)


def _rule(limits: Limits) -> EvalPlusRule:
    """Return the rule for compared calls by which each of them, and all, have about as much time as a program has."""
    return EvalPlusRule(least=limits.cpu_seconds, factor=4.0, most=limits.cpu_seconds)


def judged(sandbox: Sandbox, task: Task, program: str, limits: Limits = LIMITS) -> Verdict:
    """Return the verdict on a program by a judge of its own, within the limits of the self-test unless told."""
    return Judge(sandbox, limits, _rule(limits)).judge(task, sample_of(task, program))


def _about_verdict(program: HostileProgram, by: str, verdict: Verdict) -> list[str]:
    problems = []
    allowed = program.outcomes if by == "check" else program.outcomes_of_calls
    if verdict.passed and not (program.reported and verdict.hardcoded):
        problems.append("it passed" + ", and nothing is said of the answers in its source" * program.reported)
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
def open_benches(name: str, count: int = 1) -> Iterator[list[Bench]]:
    """Open benches of two cells each, with a secret in our environment, files to be guarded and a server to reach."""
    canary = f"canary-{uuid.uuid4().hex}"
    # The secret is inherited by whatever starts a cell.
    with environment("HARNESS_SELFTEST_SECRET", canary), contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harness-selftest-")))
        for path in ("repository/pyproject.toml", f"cache/{canary}", "samples/verdicts.jsonl", canary):
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(canary)
        server = stack.enter_context(socket.create_server(("0.0.0.0", 0)))  # noqa: S104  (is to be out of reach)
        cells = [stack.enter_context(contextlib.closing(open_sandbox(name, LIMITS, 1)))]
        while len(cells) < 2 * count:
            cells.append(stack.enter_context(contextlib.closing(open_sandbox(cells[0].name, LIMITS, 1))))
        for cell in cells:  # they are all made here, before anything is counted
            judged(cell, CHECKED, CHECKED.reference)
        own = Path(inspect.getfile(HostileProgram)).parents[1]
        places = [folder, own]
        facts: dict[str, object] = {
            "ports": [server.getsockname()[1]],
            "paths": [str(folder), str(folder / canary), str(own)],
            "canary": [canary[:20], canary[20:]],
        }
        pairs = list(zip(cells[::2], cells[1::2], strict=True))
        yield [Bench(*pair, partial(traces_of, *pair), partial(_digests, places), facts) for pair in pairs]


def _digests(folders: list[Path]) -> dict[str, str]:
    """Return digests of mode and content of all files below some folders, and of a few of the host, by path."""
    files = [Path("/etc/passwd"), Path("/etc/hosts"), Path("/etc/hostname")]
    files += (path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return {
        str(path): f"{path.lstat().st_mode} {hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ''}"
        for path in files
        if path.is_file() or path.is_symlink() or path.is_dir()
    }
