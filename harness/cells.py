"""Open what a benchmark is judged in: the sandbox, or nothing where no test runs a program."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from harness.records import Benchmark
from sandbox import Limits, Program, Sandbox, SandboxClosed, Session, open_sandbox

_log = logging.getLogger(__name__)


class NoCells:
    """Stands where a sandbox would, for benchmarks that run no program; see `sandbox.Sandbox`."""

    name = "none"
    image_digest = ""
    not_promised: tuple[str, ...] = ()
    capacity = 1  # comparing texts is no work to share

    def start(self, program: Program, limits: Limits) -> AbstractContextManager[Session]:
        """Raise SandboxClosed: whoever starts a program here has a benchmark that says it has none."""
        raise SandboxClosed("this benchmark runs no programs, so there is no sandbox")

    def warm(self) -> None:
        """There is nothing to make."""

    def close(self) -> None:
        """Nothing is open."""


def open_cells(
    benchmark: Benchmark, name: str, limits: Limits, workers: int, image: str = "auto", runtime: str | None = None
) -> Sandbox:
    """Return what `open_program_cells` does, or a stand-in if the benchmark runs no programs."""
    return open_program_cells(name, limits, workers, image, runtime) if benchmark.runs_programs else NoCells()


def open_program_cells(
    name: str, limits: Limits, workers: int, image: str = "auto", runtime: str | None = None
) -> Sandbox:
    """Return the named sandbox (see `sandbox.open_sandbox`), and say as a warning what it does not promise."""
    sandbox = open_sandbox(name, limits, workers, image, runtime)
    for promise in sandbox.not_promised:
        _log.warning("not promised by the %s sandbox: %s", sandbox.name, promise)
    return sandbox
