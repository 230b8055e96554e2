"""Run untrusted programs behind a wall, and say how they ended. Knows nothing of tasks, models or scores."""

from sandbox.contract import (
    CellLost,
    Execution,
    Limits,
    Program,
    Sandbox,
    SandboxError,
    SandboxUnavailable,
    Session,
    Status,
)

__all__ = [
    "CellLost",
    "Execution",
    "Limits",
    "Program",
    "Sandbox",
    "SandboxError",
    "SandboxUnavailable",
    "Session",
    "Status",
]
