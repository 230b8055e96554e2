"""Containers: of several harnesses on one engine, and by which way the bytes of their programs go."""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from jobs import wait_until

from sandbox import CellLost, Limits, Program, SandboxError, docker, dumps
from sandbox.attached import EngineStream, first_words
from sandbox.guest.frames import PIPES
from sandbox.pipes import NamedPipes, remove_abandoned
from sandbox.pool import Pool

ROOT = Path(__file__).resolve().parents[2]
NAMES = f"import os\ntry: x = os.listdir({PIPES!r})\nexcept OSError: x = []\n"
READ = dumps([["value", {"n": "x"}, [], {}]]).encode()
FIRST_USERS = """
import os
from unittest import mock
import sandbox.docker as d, importlib
for pid in range(5000, 5010):
    with mock.patch("os.getpid", lambda: pid):
        print(next(importlib.reload(d)._USERS) % d._USER_RANGE)
"""


def test_programs_of_harnesses_beside_each_other_are_different_users() -> None:
    """The kernel counts processes per user: a program that starts too many must not use up another harness's."""
    ran = subprocess.run([sys.executable, "-c", FIRST_USERS], cwd=ROOT, capture_output=True, text=True, check=True)
    users = sorted(map(int, ran.stdout.split()))
    assert len(users) == 10
    assert min(later - earlier for earlier, later in itertools.pairwise([*users, users[0] + 40_000])) > 1000


class Closed(NamedPipes):
    """Pipes that the guest may not open, as where the engine gives its root no rights here."""

    def __init__(self) -> None:
        super().__init__()
        for name in self.names:
            (self.folder / name).chmod(0)


class Elsewhere(NamedPipes):
    """Pipes in a folder that the engine has not, as where the harness is in a container that is lent its socket."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = self.folder.with_suffix(".elsewhere")


def container_of(pool: Pool) -> docker.Container:
    (channel,) = [slot._cell._channel for slot in pool._slots if slot._cell]
    assert isinstance(channel, docker.Container)
    return channel


def goes_by_pipes(pool: Pool) -> bool:
    """Run a program and say whether its bytes went by pipes."""
    try:
        with pool.start(Program(source=NAMES, plan=READ, operations=1), Limits()) as session:
            assert [session.reply(0), session.reply(1)] == [b'["ok"]', b'["v",[]]']
        return container_of(pool)._pipes is not None
    finally:
        pool.close()


@pytest.mark.docker
@pytest.mark.parametrize(("kind", "by_pipes"), [(NamedPipes, True), (Closed, False), (Elsewhere, False)])
def test_a_cell_is_spoken_to_by_pipes_where_it_can_be(
    kind: type[NamedPipes], by_pipes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no program finds their names."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(docker, "NamedPipes", kind)
    assert goes_by_pipes(docker.open_pool(Limits(), 1)) == by_pipes
    assert kind is Elsewhere or not list(tmp_path.iterdir())


@pytest.mark.docker
def test_a_guest_that_takes_nothing_of_its_stream_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "_named_pipes", lambda _: None)
    monkeypatch.setattr("sandbox.attached._WRITE_TIMEOUT", (1).to_bytes(8, sys.byteorder) + bytes(8))
    pool = docker.open_pool(Limits(), 1)
    try:
        with pool.start(Program(source=""), Limits()) as session:
            assert session.reply(0) == b'["ok"]'
        container = container_of(pool)
        container._api.pause(container._id)
        large = Program(source="#" * (16 << 20))
        start = time.monotonic()
        with pytest.raises(CellLost, match="the cell is gone"), pool.start(large, Limits()) as session:
            session.reply(0)
        assert time.monotonic() - start < 10
    finally:
        pool.close()


def test_reading_from_pipes_ends_at_once_when_it_is_to() -> None:
    """Although the other side lives, as that of an engine which hangs."""
    named = NamedPipes()
    guest = os.open(named.folder / named.names[1], os.O_WRONLY)
    reading = os.open(named.folder / named.names[0], os.O_RDONLY | os.O_NONBLOCK)
    os.write(guest, b"hello")
    pipes = named.taken()
    assert pipes.read() == b"hello"
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipes.read()))
    reader.start()
    wait_until(reader.is_alive, "the reader")
    pipes.wake()
    reader.join(5)
    assert got == [b""]
    assert os.read(reading, 1) == b""  # the guest is told
    pipes.close()
    os.close(guest)
    os.close(reading)


@pytest.mark.docker
def test_a_guest_that_ends_before_its_first_words_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has opened the pipes by then, and complains where the engine's stream is."""
    monkeypatch.setattr(docker, "TO_START", tuple(name for name in docker.TO_START if name != "memfd_create"))
    pool = docker.open_pool(Limits(), 1)
    try:
        with pytest.raises(SandboxError, match="memfd_create"), pool.start(Program(source=""), Limits()):
            pass
    finally:
        pool.close()


def test_a_complaint_that_comes_behind_the_end_of_the_pipes_is_waited_for() -> None:
    ours, engines = socket.socketpair()
    stream, named = EngineStream(ours), NamedPipes()
    os.close(os.open(named.folder / named.names[1], os.O_WRONLY))  # the guest came, and went

    def complain() -> None:
        wait_until(lambda: not named.folder.exists(), "the end of the pipes is seen")
        engines.sendall(struct.pack(">BxxxI", 2, 4) + b"oops")
        engines.close()

    engine = threading.Thread(target=complain)
    engine.start()
    first = first_words(named, stream)
    engine.join()
    assert (first.said, stream.diagnosis()) == (b"", "oops")
    assert first.pipes is not None
    first.pipes.close()


def test_folders_of_killed_harnesses_are_removed_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "import os; from sandbox.pipes import NamedPipes; NamedPipes(); os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)})
    (abandoned,) = tmp_path.iterdir()
    assert (killed.returncode, len(list(abandoned.iterdir()))) == (-9, 2)
    used = NamedPipes()
    (tmp_path / "harness-cell-mine").mkdir()
    (tmp_path / "harness-cell-mine" / "file").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "harness-cell-link").symlink_to("other")
    remove_abandoned()
    left = {"harness-cell-mine", "harness-cell-link", "other", used.folder.name}
    assert {path.name for path in tmp_path.iterdir()} == left
    assert {path.name for path in used.folder.iterdir()} == set(used.names)
    used.remove()
    assert not used.folder.exists()


@pytest.mark.parametrize("call", [(os, "open"), (fcntl, "flock")], ids=["before it is opened", "before it is locked"])
def test_a_folder_that_is_taken_for_an_abandoned_one_is_made_again(
    call: tuple[Any, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    real, removed = getattr(*call), []

    def late(*arguments: Any, **named: Any) -> Any:
        if not removed:
            removed.extend(tmp_path.iterdir())
            remove_abandoned()
        return real(*arguments, **named)

    monkeypatch.setattr(*call, late)
    pipes = NamedPipes()
    assert len(removed) == 1
    assert {path.name for path in tmp_path.iterdir()} == {pipes.folder.name} != {removed[0].name}
    assert len(list(pipes.folder.iterdir())) == 2
    pipes.remove()


@pytest.mark.docker
def test_opening_a_sandbox_removes_what_killed_harnesses_have_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "harness-cell-abandoned").mkdir()
    docker.open_pool(Limits(), 1).close()
    assert not list(tmp_path.iterdir())
