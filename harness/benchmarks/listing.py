"""What `harness tasks` says of a benchmark.

One that is made each time rather than read takes seconds to count. What was counted is kept in the cache, beside a
digest of all that the benchmark is made of: its files, this Python, and our own code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.appending import write_whole
from harness.benchmarks import load_benchmark, retrieval
from harness.benchmarks.data import cache_folder
from harness.errors import DataMissing, UsageError
from harness.lines import from_json, to_json

MADE: Mapping[str, Callable[[], str]] = {retrieval.NAME: retrieval.made_of}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A benchmark as it is on this machine: how many tasks, and their digest; or the `problem` that it has here."""

    name: str
    tasks: int | None = None
    digest: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was found of a benchmark that was made of what has this digest."""

    made_of: str
    found: Listed


def listed(name: str) -> Listed:
    """Return what there is to say of the named benchmark here."""
    try:
        return _kept(name, MADE[name]()) if name in MADE else _counted(name)
    except UsageError as error:
        return Listed(name=name, problem=str(error))


def _counted(name: str) -> Listed:
    benchmark = load_benchmark(name)
    return Listed(name=name, tasks=len(benchmark.tasks), digest=benchmark.digest)


def _kept(name: str, made_of: str) -> Listed:
    """Return what the cache has of a benchmark made of this, or count it and keep that where it can be kept."""
    try:
        path = kept_in(name)
        kept = from_json(Kept, path.read_bytes())
        if (kept.made_of, kept.found.name) == (made_of, name):
            return kept.found
    except (DataMissing, OSError, ValueError):
        pass  # no cache, nothing in it yet, or a damaged file: counted again
    found = _counted(name)
    try:
        path = kept_in(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, to_json(Kept(made_of=made_of, found=found)))
    except (DataMissing, OSError) as error:
        _log.info("what was counted of %s cannot be kept: %s", name, error)
    return found


def kept_in(name: str) -> Path:
    """Return the cache's file on a benchmark. Raises DataMissing where there is no folder for a cache."""
    return cache_folder() / "listed" / f"{name}.json"
