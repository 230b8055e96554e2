"""Cell 1: a locked-down container per worker, through the Docker SDK.

No network, read-only root, no capabilities but the three with which the guest switches a program to another user and
kills it, no new privileges, a system-call allow-list, limits on processes and memory (swap included), no shared
memory, one small tmpfs. Nothing of the host is mounted and the environment is ours. The container ends and is
removed when its standard input closes, so a killed harness leaves none behind.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import platform
import secrets
import socket
import struct
import tarfile
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions

from sandbox.cell import WRITE_SECONDS
from sandbox.contract import Limits, SandboxError, SandboxUnavailable
from sandbox.guest.syscalls import ALLOWED, TO_START
from sandbox.images import build
from sandbox.pool import Pool

REPOSITORY = "harness-sandbox"
LABEL = "harness.cell"  # the process that it belongs to
HOST_LABEL = "harness.host"
GUEST_MEMORY = 64 << 20
_CHUNK = 1 << 16  # more than that is mapped and unmapped for every read
_ANSWER_SECONDS, _IMAGE_SECONDS, _CELL_SECONDS = 10, 60, 20  # one that hangs must not hang us
# A user for each cell: the kernel counts processes per user. Neighbouring process ids begin 0.618 of the range apart.
_USERS, _USER_RANGE = itertools.count(os.getpid() * 24_721), 40_000
_WRITE_TIMEOUT = struct.pack("ll", WRITE_SECONDS, 0)
_NO_MOUNT = "ro,nosuid,nodev,noexec,mode=555,size=4096"
_ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
_FIX = (
    "Start the Docker engine (Debian: `apt-get install docker.io`, then `dockerd &`), check that this user may use "
    "it (`docker version`), or choose `--sandbox local`."
)


def connect() -> Any:
    """Return a client of the engine that the environment names. Raises SandboxUnavailable when none answers."""
    try:
        client = docker.from_env(timeout=_ANSWER_SECONDS)
        client.ping()
    except _ERRORS as error:
        raise SandboxUnavailable(f"no Docker engine answers: {error}. {_FIX}") from error
    client.api.timeout = _IMAGE_SECONDS
    return client


def open_pool(limits: Limits, workers: int, image: str = "auto", runtime: str | None = None) -> Pool:
    """Return a pool of container cells. Raises SandboxUnavailable without an engine or image.

    `image` is "auto", "registry", "host" (this machine's own Python) or the name of an image that has the guest.
    `runtime` is handed to Docker, e.g. "runsc".
    """
    client = connect()
    _remove_leftovers(client)
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
    with contextlib.suppress(*_ERRORS):
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


def ensure_image(client: Any, image: str = "auto") -> Any:
    """Return the engine's image of that kind, built first if it is not there. Raises SandboxUnavailable."""
    ways: dict[str, tuple[str, Callable[[Any, str], None]]] = {
        "registry": (f"{REPOSITORY}:registry-{build.guest_key(_dockerfile())}", _build_from_registry),
        "host": (f"{REPOSITORY}:host-{build.host_key()}", _import_host),
    }
    chosen = list(ways.values()) if image == "auto" else [ways[image]] if image in ways else []
    try:
        for tag in [tag for tag, _ in chosen] or [image]:
            try:
                return client.images.get(tag)
            except docker.errors.ImageNotFound:
                continue
        reasons = [] if chosen else [f"{image!r} is not there; `docker pull` it, or use auto, registry or host"]
        for tag, make in chosen:
            try:
                make(client, tag)
                return client.images.get(tag)
            except (docker.errors.DockerException, SandboxUnavailable) as error:
                reasons.append(str(error))
    except _ERRORS as error:
        raise SandboxUnavailable(f"the Docker engine stopped answering: {error}. {_FIX}") from error
    raise SandboxUnavailable("no sandbox image: " + "; ".join(reasons))


def _dockerfile() -> str:
    return Path(build.__file__).with_name("Dockerfile").read_text()


def _build_from_registry(client: Any, tag: str) -> None:
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, content in {"Dockerfile": _dockerfile().encode(), **build.guest_files()}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True)


def _import_host(client: Any, tag: str) -> None:
    repository, _, name = tag.partition(":")
    root = build.host_root()
    reading, writing = os.pipe()

    def pack() -> None:
        with os.fdopen(writing, "wb") as sink, tarfile.open(fileobj=sink, mode="w|") as archive:
            archive.add(root, arcname=".", filter=_as_root)

    packer = threading.Thread(target=pack, name="packer")  # the archive streams: it is never whole in memory
    packer.start()
    with os.fdopen(reading, "rb") as source:
        client.api.import_image_from_data(source, repository=repository, tag=name)
    packer.join()


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def seccomp_profile() -> str:
    """Return the engine's system-call profile: the guest's own allow-list, refused calls answer EPERM."""
    rules: list[dict[str, Any]] = [{"names": sorted({*ALLOWED, *TO_START} - {"clone"}), "action": "SCMP_ACT_ALLOW"}]
    namespaces = {"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    rules.append({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [namespaces]})
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38})
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules})


class Container:
    """One cell's container and the stream to its guest; see `sandbox.pool.Channel`."""

    def __init__(self, client: Any, image: str, limits: Limits, runtime: str | None) -> None:
        self._api = client.api
        self._said: deque[bytes] = deque(maxlen=20)
        self._pending = bytearray()
        self._socket: socket.socket | None = None
        self._removing = threading.Lock()
        self._name = f"harness-{secrets.token_hex(8)}"  # known before it is made, so that it can be removed then, too
        try:
            self._id = self._create(image, limits, runtime)
            stream = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            self._holder = self._api.attach_socket(self._id, params=stream)
            self._socket = getattr(self._holder, "_sock", self._holder)
            self._socket.settimeout(None)
            if isinstance(self._socket, socket.socket):  # an engine reached by ssh has a stream of another kind
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _WRITE_TIMEOUT)
            self._api.start(self._id)
        except BaseException as error:  # an interrupt as well: what was made by then is to go
            self.kill()
            self._close()
            if not isinstance(error, _ERRORS):
                raise
            gone = isinstance(error, docker.errors.ImageNotFound)
            fix = "Run the same command again to have the image made again." if gone else _FIX
            raise SandboxError(f"the Docker engine could not start a cell: {error}. {fix}") from error

    def _create(self, image: str, limits: Limits, runtime: str | None) -> str:
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
            environment=build.ENVIRONMENT,
            stdin_open=True,
            labels={LABEL: str(os.getpid()), HOST_LABEL: _host()},
            stop_signal="SIGKILL",  # an engine that is stopped or restarted need not wait for it
            host_config=options,
            use_config_proxy=False,
        )
        return str(created["Id"])

    def write(self, data: bytes) -> None:
        sock = self._socket
        if sock is None:
            raise OSError("closed")
        sock.sendall(data)

    def read(self) -> bytes:
        """Return the guest's next bytes; what it writes to standard error is kept for a diagnosis."""
        while (sock := self._socket) is not None:
            if len(self._pending) >= 8:
                size = int.from_bytes(self._pending[4:8], "big")
                if len(self._pending) >= 8 + size:
                    stream, content = self._pending[0], bytes(self._pending[8 : 8 + size])
                    del self._pending[: 8 + size]
                    if stream == 1:
                        return content
                    self._said.append(content)
                    continue
            try:
                chunk = sock.recv(_CHUNK)
            except OSError:
                self._close()
                raise
            if not chunk:
                self._close()
            self._pending += chunk
        return b""

    def kill(self) -> None:
        sock = self._socket
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes the reader, which closes it
        # It may be removing itself already, or the engine is gone or hangs: then it ends with its standard input.
        with self._removing, contextlib.suppress(*_ERRORS):
            name, self._name = self._name, ""
            if name:
                place = f"{self._api.base_url}/v{self._api.api_version}/containers/{name}"
                self._api.delete(place, params={"force": "1"}, timeout=_ANSWER_SECONDS)

    def processes(self) -> int:
        try:
            return len(self._api.top(self._id, ps_args="-eo pid")["Processes"])
        except docker.errors.APIError:
            return 0  # it has ended

    def _close(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            self._holder.close()
            sock.close()

    def diagnosis(self) -> str:
        return b"".join(self._said).decode("utf-8", "replace")[-2000:].strip()
