"""What a benchmark's file says of a task in words, for protocols that make prompts of their own of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A solved task that a prompt shows: what is asked, the tests, and the published code, byte for byte."""

    description: str
    tests: tuple[str, ...]
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A task as it is published: what is asked, and all of its tests as they are shown to a model.

    `shots` are the file's own examples, or those that a user gives; empty where there are none, or where they are among
    the tasks themselves.
    """

    description: str
    tests: tuple[str, ...]
    shots: tuple[Shot, ...] = ()
