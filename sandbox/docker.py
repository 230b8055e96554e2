"""Cell 1: a locked-down container per worker, through the Docker SDK.

No network, read-only root, no capabilities but the three with which the guest switches a program to another user and
kills it, no new privileges, a system-call allow-list, limits on processes and memory (swap included), no shared
memory, one small tmpfs. The environment is ours, and of the host nothing is mounted but, to be read, an empty folder:
at the guest's start it holds two named pipes, which spare each program's bytes the way through the engine. Where the
guest does not find them (the engine is elsewhere), it uses the engine's streams. The container ends and is removed when
what it reads from closes, so a killed harness leaves none behind.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import platform
import secrets
import sys
import threading
from pathlib import Path
from typing import Any

import docker
import docker.errors

from sandbox.attached import EngineStream, first_words
from sandbox.contract import Limits, SandboxError, SandboxUnavailable
from sandbox.guest.frames import PIPE_NAMES, PIPES
from sandbox.guest.syscalls import ALLOWED, TO_START
from sandbox.images import build
from sandbox.images.engine import ERRORS, FIX, ensure_image
from sandbox.pipes import NamedPipes, Pipes, remove_abandoned
from sandbox.pool import Pool

LABEL = "harness.cell"  # the process that it belongs to
HOST_LABEL = "harness.host"
GUEST_MEMORY = 64 << 20
_ANSWER_SECONDS, _IMAGE_SECONDS, _CELL_SECONDS = 10, 60, 20  # one that hangs must not hang us
# A user for each cell: the kernel counts processes per user. Neighbouring process ids begin 0.618 of the range apart.
_USERS, _USER_RANGE = itertools.count(os.getpid() * 24_721), 40_000
_ON_THIS_MACHINE = "http+docker://localhost"  # what the Docker SDK makes of a socket of Unix
_NO_MOUNT = "ro,nosuid,nodev,noexec,mode=555,size=4096"


def connect() -> Any:
    """Return a client of the engine that the environment names. Raises SandboxUnavailable when none answers."""
    try:
        client = docker.from_env(timeout=_ANSWER_SECONDS)
        client.ping()
    except ERRORS as error:
        raise SandboxUnavailable(f"no Docker engine answers: {error}. {FIX}") from error
    client.api.timeout = _IMAGE_SECONDS
    return client


def open_pool(limits: Limits, workers: int, image: str = "auto", runtime: str | None = None) -> Pool:
    """Return a pool of container cells. Raises SandboxUnavailable without an engine or image.

    `image` is "auto", "registry", "host" (this machine's own Python) or the name of an image that has the guest.
    `runtime` is handed to Docker, e.g. "runsc".
    """
    client = connect()
    _remove_leftovers(client)
    remove_abandoned()
    found = ensure_image(client, image)
    client.api.timeout = _CELL_SECONDS
    return Pool(
        name="docker",
        image_digest=str(found.id),
        open_channel=lambda: Container(client, str(found.id), limits, runtime),
        workers=workers,
    )


def _remove_leftovers(client: Any) -> None:
    """Remove cells that a harness here had made and not started when it was killed: nothing else ends those."""
    with contextlib.suppress(*ERRORS):
        labels = [LABEL, f"{HOST_LABEL}={_host()}"]
        for made in client.api.containers(all=True, filters={"status": "created", "label": labels}):
            try:
                os.kill(int(made["Labels"][LABEL]), 0)
            except ProcessLookupError:
                client.api.remove_container(made["Id"], force=True)


def resources() -> tuple[int, int]:
    """Return how many containers of this process, and how many networks, the engine has."""
    with contextlib.closing(connect()) as client:
        containers = client.api.containers(all=True, filters={"label": f"{LABEL}={os.getpid()}"})
        return len(containers), len(client.api.networks())


def _host() -> str:
    """Return what tells the processes here from those of another machine, or container, with the same engine."""
    try:
        return f"{platform.node()}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return platform.node()


def seccomp_profile() -> str:
    """Return the engine's system-call profile: the guest's own allow-list, refused calls answer EPERM."""
    rules: list[dict[str, Any]] = [{"names": sorted({*ALLOWED, *TO_START} - {"clone"}), "action": "SCMP_ACT_ALLOW"}]
    namespaces = {"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    rules.append({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [namespaces]})
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38})
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules})


def _named_pipes(engine: str) -> NamedPipes | None:
    """Return pipes for a guest of an engine on this machine, or None where there cannot be any."""
    if engine != _ON_THIS_MACHINE or sys.platform != "linux":
        return None
    try:
        return NamedPipes()
    except OSError:
        return None


class Container:
    """One cell's container and the way to its guest; see `sandbox.pool.Channel`."""

    def __init__(self, client: Any, image: str, limits: Limits, runtime: str | None) -> None:
        self._api = client.api
        self._stream: EngineStream | None = None
        self._pipes: Pipes | None = None
        self._named = _named_pipes(self._api.base_url)
        self._ended = False
        self._removing = threading.Lock()
        self._name = f"harness-{secrets.token_hex(8)}"  # known before it is made, so that it can be removed then, too
        try:
            self._id = self._created(image, limits, runtime)
            streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            self._stream = EngineStream(self._api.attach_socket(self._id, params=streams))
            self._api.start(self._id)
        except BaseException as error:  # an interrupt as well: what was made by then is to go
            self.kill()
            self._close()
            if not isinstance(error, ERRORS):
                raise
            gone = isinstance(error, docker.errors.ImageNotFound)
            fix = "Run the same command again to have the image made again." if gone else FIX
            raise SandboxError(f"the Docker engine could not start a cell: {error}. {fix}") from error

    def _created(self, image: str, limits: Limits, runtime: str | None) -> str:
        try:
            return self._create(image, limits, runtime)
        except docker.errors.APIError as error:
            if self._named is None or str(self._named.folder) not in str(error):
                raise
        self._named.remove()  # the engine has other folders than we have: one of us is in a container
        self._named = None
        return self._create(image, limits, runtime)

    def _create(self, image: str, limits: Limits, runtime: str | None) -> str:
        mounts, environment = [], dict(build.ENVIRONMENT)
        if self._named is not None:
            mounts.append(docker.types.Mount(PIPES, str(self._named.folder), type="bind", read_only=True))
            environment[PIPE_NAMES] = " ".join(self._named.names)
        memory = limits.memory_bytes + GUEST_MEMORY
        options = self._api.create_host_config(
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            cap_add=["SETUID", "SETGID", "KILL"],
            security_opt=["no-new-privileges", f"seccomp={seccomp_profile()}"],
            pids_limit=limits.processes + 8,
            mem_limit=memory,
            memswap_limit=memory,
            ipc_mode="none",
            tmpfs={
                build.WORK: f"rw,nosuid,nodev,noexec,mode=1777,size={limits.disk_bytes},nr_inodes=4096",
                "/dev/mqueue": _NO_MOUNT,  # over the engine's own, where a program could leave something for the next
            },
            mounts=mounts,
            log_config={"Type": "none", "Config": {}},
            ulimits=[{"name": "core", "soft": 0, "hard": 0}],
            auto_remove=True,
            runtime=runtime,
        )
        user = build.USER_ID + next(_USERS) % _USER_RANGE
        config = json.dumps({"uid": user, "work": build.WORK})
        created = self._api.create_container(
            image,
            [*build.COMMAND, config],
            name=self._name,
            user="0:0",
            hostname="cell",
            working_dir="/",
            environment=environment,
            stdin_open=True,
            labels={LABEL: str(os.getpid()), HOST_LABEL: _host()},
            stop_signal="SIGKILL",  # an engine that is stopped or restarted need not wait for it
            host_config=options,
            use_config_proxy=False,
        )
        return str(created["Id"])

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        if self._named is not None:
            self._named.remove()

    def write(self, data: bytes) -> None:
        ends = self._pipes or self._stream
        if ends is None:
            raise OSError("closed")
        ends.write(data)

    def read(self) -> bytes:
        if self._named is not None and self._stream is not None:
            first = first_words(self._named, self._stream)
            self._named, self._pipes = None, first.pipes
            if self._ended and self._pipes is not None:  # whoever ended it did not know of them
                self._pipes.close()
            return first.said
        ends = self._pipes or self._stream
        return b"" if ends is None else ends.read()

    def kill(self) -> None:
        self._ended = True
        for ends in (self._pipes, self._stream):
            if ends is not None:
                ends.wake()
        # It may be removing itself already, or the engine is gone or hangs: then it ends with what it reads from.
        with self._removing, contextlib.suppress(*ERRORS):
            name, self._name = self._name, ""
            if name:
                place = f"{self._api.base_url}/v{self._api.api_version}/containers/{name}"
                self._api.delete(place, params={"force": "1"}, timeout=_ANSWER_SECONDS)
        if self._pipes is not None:
            self._pipes.close()

    def processes(self) -> int:
        try:
            return len(self._api.top(self._id, ps_args="-eo pid")["Processes"])
        except docker.errors.APIError:
            return 0  # it has ended

    def diagnosis(self) -> str:
        return "" if self._stream is None else self._stream.diagnosis()
