"""What both cells promise, attacked one property at a time, by programs that run inside them.

Every attack is followed by an honest program in the same cell, which must be answered as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import (
    CellLost,
    Decoder,
    Execution,
    Limits,
    Program,
    SandboxError,
    Status,
    hostile_program,
    hostile_programs,
    loads,
    replies,
)
from sandbox.images import build
from sandbox.pool import Pool

MEMORY = 256 << 20
LIMITS = Limits(cpu_seconds=2.0, wall_seconds=6.0, memory_bytes=MEMORY, output_bytes=1 << 20, reply_bytes=8 << 20)
SHORT = replace(LIMITS, cpu_seconds=0.3, wall_seconds=5.0)
NAP = replace(LIMITS, wall_seconds=0.5)
CANARY = f"canary-{uuid.uuid4().hex}"
KINDS = [pytest.param("docker", marks=pytest.mark.docker), "local"]
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One program's replies (as JSON structures) and how it ended."""

    replies: list[Any]
    execution: Execution

    @property
    def value(self) -> Any:
        """The result of the last call; fails the test when there was none."""
        assert self.replies, self.execution
        assert self.replies[-1][0] == "v", (self.replies[-1], self.execution)
        return Decoder().decode(self.replies[-1][1])

    @property
    def status(self) -> Status:
        return self.execution.status


def program(source: str, *calls: Sequence[Any], interactive: bool = False) -> Program:
    """Return a program to be called as `(name, argument, ...)` says; without calls, `attack()` where it has one."""
    source = textwrap.dedent(source)
    made = list(calls) or ([("attack",)] if "def attack(" in source else [])
    plan = [["call", {"n": name}, list(arguments), {}] for name, *arguments in made]
    return Program(source=source, plan=json.dumps(plan).encode(), operations=len(plan), interactive=interactive)


def run(pool: Pool, source: str, *calls: Sequence[Any], limits: Limits = LIMITS) -> Ran:
    """Run a program to its end."""
    with pool.start(program(source, *calls), limits) as session:
        lines = list(replies(session))
        execution = session.end()
    return Ran(replies=[loads(line) for line in lines], execution=execution)


def assert_honest_program_is_answered(pool: Pool) -> None:
    ran = run(pool, "def double(x):\n    return 2 * x\n", ("double", 21))
    assert (ran.value, ran.status) == (42, Status.FINISHED)


def open_pool(kind: str, workers: int, require: Any) -> Pool:
    try:
        return importlib.import_module(f"sandbox.{kind}").open_pool(LIMITS, workers)
    except SandboxError as error:
        require(False, f"{kind} cells: {error}")
        raise


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def shared_pool(kind: str, require: Any) -> Iterator[Pool]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_TEST_SECRET", CANARY)
        pool = open_pool(kind, 1, require)
        assert_honest_program_is_answered(pool)  # the cell is made here, with the secret in our environment
        try:
            yield pool
        finally:
            pool.close()


@pytest.fixture
def pool(shared_pool: Pool) -> Iterator[Pool]:
    """One cell for all tests of a kind; after each of them it must be as good as new."""
    yield shared_pool
    assert_honest_program_is_answered(shared_pool)


@pytest.fixture(scope="module")
def two_cells(kind: str, require: Any) -> Iterator[Pool]:
    pool = open_pool(kind, 2, require)
    try:
        yield pool
    finally:
        pool.close()


# What is asked is answered


def test_calls_are_answered_in_order(pool: Pool) -> None:
    ran = run(pool, "def f(x, y=1):\n    return x, y\n", ("f", 1), ("f", "a", [None, 2.5]))
    assert ran.replies == [["ok"], ["v", {"t": [1, 1]}], ["v", {"t": ["a", [None, 2.5]]}]]
    assert (ran.status, ran.execution.detail) == (Status.FINISHED, "exit code 0")
    assert 0 < ran.execution.wall_seconds < LIMITS.wall_seconds
    assert 0 < ran.execution.peak_memory_bytes < MEMORY


def test_an_exception_is_a_reply_with_class_ancestor_message_and_line(pool: Pool) -> None:
    ran = run(pool, "class Oh(KeyError):\n    pass\ndef f():\n    raise Oh('no')\n", ("f",), ("g",))
    assert ran.replies[1] == ["e", "Oh", "KeyError", "'no'", 4]
    assert ran.replies[2][:3] == ["e", "NameError", "NameError"]


@pytest.mark.parametrize("source", ["def f(:\n", "x = 1\n  y = 2\n", "a\0b", "(" * 100_000, "\ud800", "return 1"])
def test_what_is_not_python_is_a_syntax_error_reply(pool: Pool, source: str) -> None:
    ran = run(pool, source)
    assert ran.replies[0][0] in ("s", "e"), ran
    assert ran.status is Status.FINISHED


@pytest.mark.parametrize(
    "name",
    ["a sum of a hundred thousand texts", "two hundred thousand attributes of attributes", "a hundred thousand signs"],
)
def test_a_source_that_breaks_the_compiler_ends_its_own_process_at_most(pool: Pool, name: str) -> None:
    ran = run(pool, hostile_program(name).source)
    assert ran.status in (Status.KILLED, Status.OUT_OF_MEMORY) or ran.replies[0][0] in ("s", "e"), ran


def test_an_interactive_program_answers_one_operation_after_another(pool: Pool) -> None:
    source = "total = 0\ndef add(x):\n    global total\n    total += x\n    return total\n"
    with pool.start(program(source, ("add", 1), interactive=True), LIMITS) as session:
        assert session.reply(1) == b'["v",1]'
        for index, total in enumerate((3, 5, 7), start=2):
            session.send(b'["call",{"n":"add"},[2],{}]')
            assert session.reply(index) == b'["v",%d]' % total
        assert session.end().status is Status.STOPPED


def test_numpy_can_be_imported(pool: Pool) -> None:
    assert run(pool, "def attack():\n    import numpy\n    return int(numpy.arange(4).sum())\n").value == 6


def test_programs_begin_with_what_python_makes_at_first_use(pool: Pool) -> None:
    source = """
    import math, resource, sys
    def f(values):
        return sorted(values, key=math.floor) and resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    def leftovers():
        return [name for name in sys.modules if name.startswith("solution")], hasattr(sys.modules["solution"], "found")
    """
    # 430 where each process makes it afresh and faults the interpreter's code in, 290 where the guest has done both
    assert run(pool, source, ("f", [2.5, 1])).value < 370
    assert run(pool, source, ("leftovers",)).value == (["solution"], False)


def test_no_code_can_be_written_to(pool: Pool) -> None:
    source = """
    def f():
        with open("/proc/self/maps") as file:
            return [line for line in file if "w" in line.split()[1] and "x" in line.split()[1]]
    """
    assert run(pool, source, ("f",)).value == []


def test_standard_input_is_at_its_end(pool: Pool) -> None:
    assert run(pool, "def attack():\n    return input()\n").replies[1][:3] == ["e", "EOFError", "EOFError"]


def test_replies_come_after_the_standard_streams_were_closed(pool: Pool) -> None:
    source = "import os\nfor fd in (0, 1, 2):\n    os.close(fd)\ndef attack():\n    print('x' * 100)\n    return 7\n"
    assert run(pool, source).value == 7


def test_replies_come_after_descriptors_ran_out(pool: Pool) -> None:
    source = """
    files = []
    def attack():
        try:
            while True:
                files.append(open("/dev/null"))
        except OSError as error:
            return error.errno
    """
    assert run(pool, source).value == 24


def test_output_is_kept_as_it_came(pool: Pool) -> None:
    ran = run(pool, "import os\nos.write(1, b'\\xff\\x00\\x1b]0;title\\x07')\nos.write(2, b'second')\n")
    assert ran.execution.output == b"\xff\x00\x1b]0;title\x07second"


def test_text_hashes_are_equal_in_two_cells(two_cells: Pool) -> None:
    source = "def attack():\n    return [hash('harness'), list({'a', 'b', 'c', 'd'}), __import__('random').random()]\n"
    started = program(source, ("attack",), interactive=True)
    with two_cells.start(started, LIMITS) as one, two_cells.start(started, LIMITS) as other:
        assert one.reply(1) == other.reply(1)
        assert one._cell is not other._cell  # type: ignore[attr-defined]


# Limits


CPU_BURNERS = [
    "loops before its function is there",
    "loops and catches everything",
    "ignores every signal and stops timers",
    "one call into C: a regular expression",
    "burns in a child",
    "burns in threads",
    "burns in short-lived children",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", CPU_BURNERS)
def test_cpu_time_is_limited(pool: Pool, name: str) -> None:
    patient = replace(SHORT, wall_seconds=60.0)  # a busy machine takes its time to give it the processor
    ran = run(pool, hostile_program(name).source, limits=patient)
    assert (ran.status, ran.execution.detail) == (Status.TIMED_OUT, "cpu time")
    assert SHORT.cpu_seconds * 0.9 < ran.execution.cpu_seconds < SHORT.cpu_seconds + 1


def test_cpu_time_of_one_call_is_limited(pool: Pool) -> None:
    source = "def f(x):\n    while x:\n        pass\n    return x\n"
    ran = run(pool, source, ("f", 0), ("f", 1), limits=replace(LIMITS, call_cpu_seconds=0.2))
    assert (ran.status, ran.execution.detail) == (Status.TIMED_OUT, "cpu time of one call")
    assert ran.value == 0


SLEEPERS = [
    "pauses",
    "stops itself",
    "waits for a child that sleeps",
    "waits for a child that reads",
    "reads a pipe that nobody writes to",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", SLEEPERS)
def test_wall_time_is_limited(pool: Pool, name: str) -> None:
    start = time.monotonic()
    ran = run(pool, hostile_program(name).source, limits=NAP)
    assert time.monotonic() - start < NAP.wall_seconds + 2
    if ran.status is not Status.FINISHED:  # a program may be refused its child
        assert (ran.status, ran.execution.detail) == (Status.TIMED_OUT, "wall time")
        assert ran.execution.cpu_seconds < 0.3


@pytest.mark.slow
def test_an_interactive_program_that_does_not_listen_is_ended(pool: Pool) -> None:
    with pool.start(program("import time\ntime.sleep(1e6)\n", interactive=True), NAP) as session:
        session.send(b'["call",{"n":"f"},["' + b"x" * (1 << 20) + b'"],{}]')
        start = time.monotonic()
        assert session.reply(0) is None
        assert time.monotonic() - start < NAP.wall_seconds + 2
        assert session.end().status is Status.TIMED_OUT


def test_memory_of_a_process_is_limited(pool: Pool) -> None:
    ran = run(pool, hostile_program("keeps ten megabytes after ten megabytes").source)
    assert ran.status is Status.OUT_OF_MEMORY, ran
    assert ran.execution.peak_memory_bytes < 4 * MEMORY


def test_memory_of_all_processes_together_is_limited(pool: Pool) -> None:
    source = hostile_program("eight children, each with 60 % of the memory").source
    assert run(pool, source).status is Status.OUT_OF_MEMORY


def test_one_huge_allocation_is_refused_or_ends_the_program(pool: Pool) -> None:
    ran = run(pool, "def attack():\n    return len(bytearray(10**11))\n")
    assert ran.status is Status.OUT_OF_MEMORY or ran.replies[1][:3] == ["e", "MemoryError", "MemoryError"]


@pytest.mark.parametrize(
    "name",
    [
        "ten gigabytes on standard output, in one line",
        "standard error without end",
        "standard output and standard error by turns",
        "closes standard output and goes on",
    ],
)
def test_output_is_limited(pool: Pool, name: str) -> None:
    ran = run(pool, hostile_program(name).source)
    assert (ran.status, ran.execution.detail) == (Status.OUTPUT_LIMIT, "standard output and standard error")
    assert 0 < len(ran.execution.output) <= 4096


def test_a_huge_reply_is_refused(pool: Pool) -> None:
    ran = run(pool, "def attack():\n    return 'x' * 40_000_000\n")
    assert ran.status is Status.OUTPUT_LIMIT or ran.replies[1][0] in ("x", "h"), ran


@pytest.mark.slow
@pytest.mark.parametrize("value", ["loop", "deep", "list(range(2_000_000))"])
def test_a_value_that_cannot_be_sent_is_a_reply(pool: Pool, value: str) -> None:
    source = f"""
    def attack():
        loop = []
        loop.append(loop)
        deep = []
        for _ in range(1_000_000):
            deep = [deep]
        return {value}
    """
    ran = run(pool, source)
    # Python itself may fall over while it takes apart what is nested a million times: that ends the program only.
    assert ran.status is Status.KILLED or ran.replies[1][0] in ("x", "h"), ran


def test_a_flood_on_the_reply_pipe_is_limited(pool: Pool) -> None:
    ran = run(pool, "import os\nwhile True:\n    os.write(3, b'x' * 65536)\n")
    assert (ran.status, ran.execution.detail) == (Status.OUTPUT_LIMIT, "values")


def test_recursion_without_end_is_the_program_s_own_failure(pool: Pool) -> None:
    ran = run(pool, "import sys\nsys.setrecursionlimit(10**9)\ndef attack():\n    return attack()\n")
    is_ended = ran.status in (Status.KILLED, Status.OUT_OF_MEMORY, Status.TIMED_OUT)
    assert is_ended or ran.replies[1][1] in ("RecursionError", "MemoryError"), ran


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fork bomb", "children that nobody waits for"])
def test_a_fork_bomb_is_bounded(pool: Pool, name: str) -> None:
    ran = run(pool, hostile_program(name).source, limits=SHORT)
    assert ran.status in (Status.TIMED_OUT, Status.OUT_OF_MEMORY)
    assert_honest_program_is_answered(pool)


def test_threads_and_processes_are_bounded(pool: Pool) -> None:
    source = """
    import os, threading, time
    def threads():
        started = 0
        try:
            for _ in range(1000):
                threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
                started += 1
        except RuntimeError:
            return started
    def processes():
        started = 0
        try:
            for _ in range(1000):
                if os.fork() == 0:
                    time.sleep(100)
                started += 1
        except OSError:
            return started
    """
    limits = replace(LIMITS, processes=20)
    for name in ("threads", "processes"):
        ran = run(pool, source, (name,), limits=limits)
        assert ran.status is Status.OUT_OF_MEMORY or 10 <= ran.value <= 20


# How a program ends


@pytest.mark.parametrize("code", [0, 1, 113])
def test_leaving_early_is_exited_whatever_the_code(pool: Pool, code: int) -> None:
    ran = run(pool, f"import os\ndef f():\n    os._exit({code})\n", ("f",), ("f",))
    assert (ran.status, ran.execution.detail) == (Status.EXITED, f"exit code {code}")


@pytest.mark.parametrize("code", [0, 113])
def test_leaving_while_it_is_loaded_is_exited(pool: Pool, code: int) -> None:
    ran = run(pool, f"import os\nos._exit({code})\ndef f():\n    return 1\n", ("f",))
    assert (ran.status, ran.execution.detail) == (Status.EXITED, f"exit code {code}")


def test_system_exit_is_a_reply_like_any_exception(pool: Pool) -> None:
    ran = run(pool, "def attack():\n    raise SystemExit(0)\n")
    assert ran.replies[1][:3] == ["e", "SystemExit", "SystemExit"]


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("ctypes.string_at(0)", signal.SIGSEGV),
        ("os.abort()", signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGKILL)", signal.SIGKILL),
        ("os.kill(0, signal.SIGTERM)", signal.SIGTERM),
    ],
)
def test_a_signal_of_its_own_is_killed(pool: Pool, how: str, number: signal.Signals) -> None:
    ran = run(pool, f"import ctypes, os, signal\ndef attack():\n    {how}\n")
    assert ran.status is Status.KILLED
    assert ran.execution.detail.startswith(f"signal {number.value}")


# Nothing is left for the next program

PROCESSES = """
import os
def processes():
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            found.append(int(name))
    return found
"""


def test_a_daemon_is_gone_when_the_next_program_runs(pool: Pool) -> None:
    ran = run(pool, hostile_program("leaves a daemon behind that ignores signals").source, ("add", 1, 2))
    assert (ran.value, ran.status) == (-7, Status.FINISHED)
    assert run(pool, PROCESSES, ("processes",)).value == [1]


def test_the_work_folder_is_empty_for_the_next_program(pool: Pool) -> None:
    source = """
    import os
    def attack():
        found = os.listdir(".") + os.listdir("/tmp")
        for name in ("file", ".hidden", "sitecustomize.py", "json.py", "line\\nbreak"):
            open(name, "w").write("left")
        os.makedirs("a/b/c")
        os.symlink("/etc", "link")
        os.chmod("file", 0)
        return os.getcwd(), found
    """
    for _ in range(2):
        assert run(pool, source).value == ("/work", [])


LITTER = [
    "five thousand folders, each in the one before",
    "a million empty files",
    "three thousand folders, each in the one before, and then as many files as there is room for",
    "pipes, sockets, closed folders and odd names",
    "closes its work folder",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", LITTER)
def test_litter_is_gone_for_the_next_program(pool: Pool, name: str) -> None:
    assert run(pool, hostile_program(name).source).status is Status.FINISHED
    left = "import os\ndef attack():\n    open('mine', 'w').write('x')\n    return os.listdir('/work')\n"
    assert run(pool, left).value == ["mine"]


def test_the_work_folder_is_bounded(pool: Pool) -> None:
    source = """
    def attack():
        wrote = 0
        try:
            for name in "abcdef":
                with open(name, "wb", buffering=0) as file:
                    for _ in range(64):
                        wrote += file.write(bytes(1 << 20))
        except OSError as error:
            return wrote, error.errno
    """
    wrote, number = run(pool, source).value
    assert wrote <= LIMITS.disk_bytes
    assert number in (27, 28)  # file too large, no space left


def test_locks_and_ports_of_one_cell_do_not_concern_another(two_cells: Pool) -> None:
    source = """
    import fcntl, socket
    def attack():
        global file, port
        file = open("/usr/local/bin/python3", "rb")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        port = socket.create_server(("127.0.0.1", 8123))
        return socket.create_connection(("127.0.0.1", 8123), timeout=2).fileno() > 0
    """
    started = program(source, ("attack",), interactive=True)
    with two_cells.start(started, LIMITS) as one, two_cells.start(started, LIMITS) as other:
        assert [one.reply(1), other.reply(1)] == [b'["v",true]'] * 2


def test_an_honest_program_beside_a_bomb_is_answered(two_cells: Pool) -> None:
    bomb = """
    import os, time
    def attack():
        try:
            while os.fork():
                pass
        except OSError:
            return True
        time.sleep(100)
    """
    honest = """
    import os, threading
    def f():
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        return os.waitpid(os.fork() or os._exit(0), 0)[1]
    """
    with two_cells.start(program(bomb, ("attack",), interactive=True), LIMITS) as session:
        assert session.reply(1) == b'["v",true]'  # as many processes as it may have
        assert run(two_cells, honest, ("f",)).value == 0
        session.end()


SPY = """
import ctypes, gc, re, sys
MARK = re.compile(rb"waits-[0-9a-f]{32}-behind")
def attack():
    texts, frame = [], sys._getframe()
    while frame := frame.f_back:
        for value in frame.f_locals.values():
            frames = getattr(getattr(value, "cell", value), "frames", None)
            texts += [repr(vars(frames)).encode()] if frames is not None else []
    texts += [repr(item).encode() for item in gc.get_objects() if type(item) is list and len(item) < 9]
    for line in open("/proc/self/maps").read().splitlines():
        if " rw-p " in line:
            start, end = (int(number, 16) for number in line.split()[0].split("-"))
            texts.append(ctypes.string_at(start, end - start))
    return sum(len(MARK.findall(text)) for text in texts)
"""


def test_a_program_does_not_see_the_one_that_waits_behind_it(pool: Pool) -> None:
    cell = pool._slots[0].cell()
    first = cell.start(program("import time\ntime.sleep(0.2)\n"), LIMITS)
    spy = cell.start(program(SPY), LIMITS)
    behind = cell.start(program(f"# waits-{uuid.uuid4().hex}-behind\n" + "x = 1\n" * 2000), LIMITS)
    # The first sleeps until the others have been sent: the spy starts with what is behind it in the guest's hands.
    assert (first.reply(0), first.reply(1)) == (b'["ok"]', None)
    assert spy.reply(1) == b'["v",0]', spy.end()
    assert behind.reply(0) == b'["ok"]'
    for session in (first, spy, behind):
        session.end()
        cell.forget(session)


# Nothing of the host


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the hostile suite is told about the machine outside."""
    folder = tmp_path_factory.mktemp("host")
    (folder / CANARY).write_text(CANARY)
    at_home = Path.home() / f".{CANARY}"
    at_home.write_text(CANARY)
    paths = [folder, folder / CANARY, at_home, ROOT / "pyproject.toml", ROOT / "tests", build.cache_folder()]
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        yield {"ports": [port], "paths": [str(path) for path in paths], "canary": [CANARY[:20], CANARY[20:]]}
    at_home.unlink()


@pytest.mark.parametrize("name", [attack.name for attack in hostile_programs() if attack.reaches])
def test_nothing_is_reached(pool: Pool, host: dict[str, Any], name: str) -> None:
    attack = hostile_program(name)
    ran = run(pool, attack.source_on(host), ("attack",), limits=replace(LIMITS, cpu_seconds=5))
    if "crashed" not in attack.outcomes or ran.status is not Status.KILLED:
        assert ran.value == []


def test_harmless_devices_work(pool: Pool) -> None:
    source = """
    import os
    def attack():
        return [len(os.read(os.open("/dev/" + name, os.O_RDONLY), 8)) for name in ("null", "zero", "urandom")]
    """
    assert run(pool, source).value == [0, 8, 8]


def test_only_its_own_descriptors_are_open(pool: Pool) -> None:
    source = """
    import os
    def attack():
        return {int(name): os.readlink("/proc/self/fd/" + name) for name in os.listdir("/proc/self/fd")[:-1]}
    """
    found = run(pool, source).value
    assert set(found) == {0, 1, 2, 3}
    assert found[0] == "/dev/null"
    assert all(found[number].startswith("pipe:") for number in (1, 2, 3))


# No way out


def test_a_program_is_nobody(pool: Pool) -> None:
    source = """
    import os
    def attack():
        became = []
        for what in (lambda: os.setuid(1), lambda: os.setgid(1), lambda: os.setgroups([0]), lambda: os.seteuid(1)):
            try:
                what()
                became.append(os.getresuid())
            except OSError:
                pass
        status = open("/proc/self/status").read()
        powers = [int(status.split(name)[1].split()[0], 16) for name in ("CapPrm:", "CapEff:", "CapInh:", "CapAmb:")]
        return became, os.getresuid(), os.getresgid(), os.getgroups(), powers, "NoNewPrivs:\\t1" in status
    """
    became, users, groups, more, powers, is_held = run(pool, source).value
    assert became == []
    assert users == groups == (users[0],) * 3
    assert users[0] >= build.USER_ID or len(pool.not_promised) > 3  # without privileges there is one user only
    assert more == [] or users[0] == 0
    assert powers == [0] * 4
    assert is_held


# A cell that dies, and the end of a pool


def guest_of(pool: Pool) -> tuple[Any, int]:
    """Return the channel of a pool's first cell, and the host's process id of its guest."""
    cell = pool._slots[0].cell()
    channel: Any = cell._channel
    if pool.name == "docker":
        return channel, int(channel._api.inspect_container(channel._id)["State"]["Pid"])
    launcher = channel._process.pid
    (child,) = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return channel, int(child)


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until_ended(pids: list[int], seconds: float) -> list[int]:
    """Return those that still run after so many seconds."""
    end = time.monotonic() + seconds
    while [pid for pid in pids if is_running(pid)] and time.monotonic() < end:
        time.sleep(0.02)
    return [pid for pid in pids if is_running(pid)]


def test_a_cell_that_dies_under_a_program_is_replaced(pool: Pool) -> None:
    with pool.start(program("import time\ntime.sleep(1e6)\n"), LIMITS) as session:
        _, guest = guest_of(pool)
        threading.Timer(0.2, os.kill, (guest, signal.SIGKILL)).start()
        with pytest.raises(CellLost):
            session.reply(0)
        with pytest.raises(CellLost):
            session.end()


def test_a_guest_that_does_not_answer_is_killed_with_its_cell(pool: Pool) -> None:
    channel, guest = guest_of(pool)
    os.kill(guest, signal.SIGSTOP)
    channel.kill()
    channel.kill()
    assert wait_until_ended([guest], 5) == []


@pytest.mark.slow
def test_a_closed_pool_leaves_nothing(kind: str, require: Any) -> None:
    pool = open_pool(kind, 2, require)
    long = program("import os, time\nos.fork()\ntime.sleep(1e6)\n")
    with pool.start(long, LIMITS) as session, pool.start(long, LIMITS):
        channel, guest = guest_of(pool)
        pool.close()
        with pytest.raises(CellLost):
            session.end()
    assert wait_until_ended([guest], 5) == []
    if kind == "docker":
        labels = {"label": f"harness.cell={os.getpid()}"}
        end = time.monotonic() + 10  # the engine may still be removing what has ended
        while (left := channel._id in {cell["Id"] for cell in channel._api.containers(all=True, filters=labels)}) and (
            time.monotonic() < end
        ):
            time.sleep(0.05)
        assert not left
    else:
        assert channel._process.returncode is not None


def test_a_killed_harness_leaves_nothing(kind: str, require: Any) -> None:
    source = f"""
    import time
    from sandbox import Limits, Program
    from sandbox.{kind} import open_pool
    pool = open_pool(Limits(), 1)
    sleeper = Program(source="import os, time\\nos.fork()\\ntime.sleep(1e6)\\n")
    with pool.start(sleeper, Limits(wall_seconds=1e6)):
        channel = pool._slots[0].cell()._channel
        if pool.name == "docker":
            print(channel._api.inspect_container(channel._id)["State"]["Pid"], flush=True)
        else:
            launcher = channel._process.pid
            print(launcher, open(f"/proc/{{launcher}}/task/{{launcher}}/children").read(), flush=True)
        time.sleep(1e6)
    """
    open_pool(kind, 1, require).close()
    harness = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert harness.stdout
        pids = [int(word) for word in harness.stdout.readline().split()]
        assert pids
        assert all(map(is_running, pids))
    finally:
        harness.kill()
        harness.communicate()
    assert wait_until_ended(pids, 10) == []
