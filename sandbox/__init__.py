"""Run untrusted programs behind a wall, and say how they ended. Knows nothing of tasks, models or scores."""

from sandbox.contract import (
    CellLost,
    Execution,
    Limits,
    Program,
    Sandbox,
    SandboxClosed,
    SandboxError,
    SandboxUnavailable,
    Session,
    Status,
    replies,
)
from sandbox.doctor import Finding, examine
from sandbox.guest.codec import CodecError, Encoder, Opaque, dumps
from sandbox.guest.decoding import Decoder, loads
from sandbox.hostile import HostileProgram, hostile_program, hostile_programs
from sandbox.select import NAMES, open_sandbox
from sandbox.traces import Traces, traces_of

__all__ = [
    "NAMES",
    "CellLost",
    "CodecError",
    "Decoder",
    "Encoder",
    "Execution",
    "Finding",
    "HostileProgram",
    "Limits",
    "Opaque",
    "Program",
    "Sandbox",
    "SandboxClosed",
    "SandboxError",
    "SandboxUnavailable",
    "Session",
    "Status",
    "Traces",
    "dumps",
    "examine",
    "hostile_program",
    "hostile_programs",
    "loads",
    "open_sandbox",
    "replies",
    "traces_of",
]
