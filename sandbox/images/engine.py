"""The image of Docker cells on an engine: built from a registry's, or packed from this machine's own Python."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from pathlib import Path
from typing import Any

import docker.errors
import requests.exceptions

from sandbox.contract import SandboxUnavailable
from sandbox.images import build

REPOSITORY = "harness-sandbox"
ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
FIX = (
    "Start the Docker engine (Debian: `apt-get install docker.io`, then `dockerd &`), check that this user may use "
    "it (`docker version`), or choose `--sandbox local`."
)


def image_tags() -> dict[str, str]:
    """Return what the images are called on an engine, by the two ways to make one, the better one first."""
    registry = build.guest_key(_dockerfile())
    return {"registry": f"{REPOSITORY}:registry-{registry}", "host": f"{REPOSITORY}:host-{build.host_key()}"}


def ensure_image(client: Any, image: str = "auto") -> Any:
    """Return the engine's image of that kind, built first if it is not there. Raises SandboxUnavailable."""
    ways = {"registry": _build_from_registry, "host": _import_host}
    chosen = [(tag, ways[way]) for way, tag in image_tags().items() if image in ("auto", way)]
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
    except ERRORS as error:
        raise SandboxUnavailable(f"the Docker engine stopped answering: {error}. {FIX}") from error
    raise SandboxUnavailable("no sandbox image: " + "; ".join(reasons))


def _dockerfile() -> str:
    return Path(build.__file__).with_name("Dockerfile").read_text(encoding="utf-8")


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
