"""What cells have on the machine at this moment, seen from outside of them: what a program left would be in it."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """`processes` are those of all cells beyond their guests; containers and networks are 0 for local cells.

    `containers` are those of this process beyond one for each cell.
    """

    processes: int
    containers: int
    networks: int


def traces_of(*pools: Pool) -> Traces:
    """Return what the cells of these pools have on the machine. Raises SandboxError when the engine does not say."""
    cells = [(pool.name, count) for pool in pools for count in pool.processes()]
    containers = networks = 0
    if any(pool.name == "docker" for pool in pools):
        from sandbox import docker

        containers, networks = docker.resources()
        containers -= sum(name == "docker" for name, _ in cells)
    return Traces(processes=sum(max(0, count - 1) for _, count in cells), containers=containers, networks=networks)
