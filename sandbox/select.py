"""Choose a cell by name. The engines' packages are imported only when their cell is asked for."""

from __future__ import annotations

import logging

from sandbox.contract import Limits, SandboxUnavailable
from sandbox.pool import Pool

NAMES = ("auto", "docker", "local")
_log = logging.getLogger(__name__)


def open_sandbox(name: str, limits: Limits, workers: int, image: str = "auto", runtime: str | None = None) -> Pool:
    """Return a pool of cells: "docker", "local", or "auto" (docker if an engine answers, else local with a warning).

    `image` and `runtime` concern Docker only. Raises SandboxUnavailable, with the fix, when that kind cannot be had.
    """
    if name not in NAMES:
        raise ValueError(f"no sandbox {name!r}: {', '.join(NAMES)}")
    if name in ("auto", "docker"):
        from sandbox import docker

        try:
            return docker.open_pool(limits, workers, image, runtime)
        except SandboxUnavailable as error:
            if name == "docker":
                raise
            reason = str(error).split(". ")[0]
    from sandbox import local

    pool = local.open_pool(limits, workers)
    if name == "auto":
        _log.warning("using the local cell: %s", reason)
    return pool
