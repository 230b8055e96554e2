"""What only the local cell has: a launcher, machines that allow none, and users that cannot be switched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import Limits, Program, SandboxUnavailable, Status, loads, local
from sandbox.pool import Pool

ROOT = Path(__file__).resolve().parents[2]
LIMITS = Limits(cpu_seconds=2.0, wall_seconds=6.0)
ANSWER = Program(source="def f():\n    return 42\n", plan=b'[["call",{"n":"f"},[],{}]]', operations=1)
START_ONE = """
import sys
from sandbox import Limits, Program, SandboxError, local
try:
    pool = local.open_pool(Limits(), 1)
    with pool.start(Program(source=""), Limits()) as session:
        print(session.reply(0), end=" ")
    pool.close()
except SandboxError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def pool(require: Any) -> Iterator[Pool]:
    try:
        pool = local.open_pool(LIMITS, 1)
    except SandboxUnavailable as error:
        require(False, f"local cells: {error}")
        raise
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture
def one_user_pool(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    """A pool as a harness without privileges has it."""
    monkeypatch.setattr(local, "_host_ids", lambda: None)
    made = local.open_pool(LIMITS, 1)
    try:
        yield made
    finally:
        made.close()


def value(pool: Pool, source: str) -> Any:
    program = Program(source=source, plan=b'[["call",{"n":"attack"},[],{}]]', operations=1)
    with pool.start(program, LIMITS) as session:
        reply = session.reply(1)
        assert reply is not None, session.end()
        return loads(reply)


def answer(pool: Pool) -> Status:
    with pool.start(ANSWER, LIMITS) as session:
        assert session.reply(1) == b'["v",42]'
        return session.end().status


def is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def elsewhere(*wrapper: str, **environment: str) -> str:
    """Start a cell from another process, wrapped in a command; return what it said."""
    command = [*wrapper, sys.executable, "-c", START_ONE]
    ran = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_what_is_not_promised_is_said(pool: Pool) -> None:
    assert pool.name == "local"
    assert pool.image_digest.startswith("sha256:")
    assert any("memory" in line for line in pool.not_promised)
    assert all(line and "\n" not in line for line in pool.not_promised)


def test_without_a_second_user_it_is_said_and_programs_are_answered(one_user_pool: Pool, pool: Pool) -> None:
    assert set(pool.not_promised) <= set(one_user_pool.not_promised)
    assert any("own user" in line for line in one_user_pool.not_promised)
    assert answer(one_user_pool) is Status.FINISHED


@pytest.mark.slow
@pytest.mark.parametrize(
    "attack",
    [
        "os.chmod('/work', 0)",
        "[os.kill(1, number) for number in range(1, 65)]",
        "resource.prlimit(1, resource.RLIMIT_CPU, (1, 1))",
        "resource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3))",
        "os.setpriority(os.PRIO_USER, 0, 19)",
        "open('/proc/1/mem', 'rb')",
        "os.listdir('/proc/1/fd')",
        "os.write(os.open('/proc/1/comm', os.O_WRONLY), b'x')",
    ],
)
def test_without_a_second_user_the_guest_holds(one_user_pool: Pool, attack: str) -> None:
    source = f"import os, resource\ndef attack():\n    before = os.listdir('/work')\n    {attack}\n    return before\n"
    was = one_user_pool._slots[0].cell()
    value(one_user_pool, source)
    assert value(
        one_user_pool, "import os\ndef attack():\n    return [os.listdir('/work'), os.getpriority(0, 1)]\n"
    ) == [
        "v",
        [[], os.getpriority(os.PRIO_PROCESS, 0)],
    ]
    assert one_user_pool._slots[0].cell() is was


def test_without_a_second_user_there_are_no_powers(one_user_pool: Pool) -> None:
    source = """
def attack():
    status = [open(f"/proc/{pid}/status").read() for pid in ("self", 1)]
    return [int(text.split(name)[1].split()[0], 16) for text in status for name in ("CapPrm:", "CapEff:", "CapBnd:")]
"""
    assert value(one_user_pool, source) == ["v", [0] * 6]


def test_a_lost_launcher_takes_the_cell_with_it(pool: Pool) -> None:
    assert answer(pool) is Status.FINISHED
    channel: Any = pool._slots[0].cell()._channel
    launcher = channel._process.pid
    (guest,) = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    os.kill(launcher, signal.SIGKILL)
    end = time.monotonic() + 5
    while is_running(guest) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_running(guest)
    assert answer(pool) is Status.FINISHED


def test_a_closed_pool_leaves_no_descriptors(pool: Pool) -> None:
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        other = local.open_pool(LIMITS, 2)
        assert answer(other) is Status.FINISHED
        other.close()
        other.close()
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.slow
def test_a_strict_umask_does_not_close_the_cell_to_its_programs(pool: Pool, tmp_path: Path) -> None:
    shell = ["sh", "-c", 'umask 077; exec "$@"', "sh"]
    assert elsewhere(*shell, HARNESS_CACHE=str(tmp_path / "cache")) == "b'[\"ok\"]' "


def test_no_user_namespaces_is_unavailable_with_the_setting_to_change(pool: Pool, require: Any) -> None:
    require(shutil.which("unshare"), "unshare (Debian: util-linux)")
    off = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    said = elsewhere("unshare", "--user", "--map-root-user", "sh", "-c", off, "sh")
    assert said.startswith("SandboxUnavailable this machine allows no local cells: launch: new namespaces: ")
    assert "sysctl -w user.max_user_namespaces=" in said


def test_masked_processes_are_unavailable_with_a_fix(pool: Pool, require: Any) -> None:
    require(shutil.which("unshare"), "unshare (Debian: util-linux)")
    mask = 'mount -t tmpfs none /proc/tty && exec "$@"'
    said = elsewhere("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mask, "sh")
    assert said.startswith("SandboxUnavailable this machine allows no local cells: launch: mount proc")
    assert said.count("\n") == 1


def test_no_room_for_the_root_is_unavailable_with_a_fix(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = elsewhere(HARNESS_CACHE=str(tmp_path / "file" / "cache"))
    assert said.startswith("SandboxUnavailable")
    assert "HARNESS_CACHE" in said
