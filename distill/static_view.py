"""The static view of programs: whether they parse, are complete and ran, and what Pylint says of them.

Pylint and the parser see programs in a process of their own (`pylint_worker`), which costs about a second to start:
many programs go through one. A program that ends that process, by its nesting, its memory or its time, has no
messages; the others go on in a new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from distill.pylint_worker import DISABLED as DISABLED
from harness import MeasurementInvalid, MissingDependency, Outcome, Sample, StopReason, Verdict

CATEGORIES = ("fatal", "error", "warning", "refactor", "convention")
MAX_CHARACTERS = 100_000  # a longer text is no program that anybody wrote, and Pylint's time grows with it
_WORKER = Path(__file__).with_name("pylint_worker.py")
_START_SECONDS = 600.0  # a second of work, which a machine full of training may not get to for minutes
_FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)
_LOADED = frozenset({Outcome.PASSED, Outcome.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What parser and Pylint say of a program. `parses` is None when nobody could tell, `reason` says why.

    `messages` counts by category and is None where Pylint did not see the program; `symbols` counts by message.
    """

    parses: bool | None
    messages: dict[str, int] | None = None
    symbols: dict[str, int] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticView:
    """The static view of a sample: `Look`'s fields, and what is known of how the text and the program ended.

    `complete`: the model ended by itself and closed its code fence; None where the samples file does not say.
    `runs`: the program could be loaded; None where nothing was run.
    """

    parses: bool | None
    complete: bool | None
    runs: bool | None
    messages: dict[str, int] | None
    symbols: dict[str, int]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookLimits:
    """What one program may cost. `wall_seconds` stands behind `cpu_seconds`, for a machine that is busy."""

    cpu_seconds: int = 10
    wall_seconds: float = 600.0
    memory_bytes: int = 2 << 30


def static_view(sample: Sample, verdict: Verdict | None, look: Look, stop: Sequence[str] = ()) -> StaticView:
    """Return the static view of a sample; `stop` are the strings at which the run cut completions."""
    return StaticView(
        parses=look.parses,
        complete=is_complete(sample, stop),
        runs=could_run(verdict),
        messages=look.messages,
        symbols=look.symbols,
        reason=look.reason,
    )


def is_complete(sample: Sample, stop: Sequence[str] = ()) -> bool | None:
    """Return whether the model ended by itself with its code fence closed; None where nothing says so.

    A stop string may have taken the closing fence away: then an open one is no sign.
    """
    if sample.stop_reason is StopReason.LENGTH:
        return False
    fences = sum(1 for _ in _FENCE.finditer(sample.completion))
    if fences % 2 and not any("```" in one for one in stop):
        return False
    return True if fences or sample.stop_reason is not StopReason.FILE else None


def could_run(verdict: Verdict | None) -> bool | None:
    """Return whether the program was loaded, by its verdict: whatever failed in a call came behind that."""
    if verdict is None or verdict.outcome is Outcome.NOT_JUDGED or verdict.wall_seconds == 0:
        return None
    return verdict.outcome in _LOADED or verdict.evidence.call is not None


def look_at(programs: Sequence[str], lint: bool = True, limits: LookLimits | None = None) -> list[Look]:
    """Return what parser and, if wanted, Pylint say of each program. Programs are hostile; none is run.

    Raises MissingDependency without Pylint, MeasurementInvalid when the process that looks does not start.
    """
    if lint:
        pylint_version()
    limits = limits or LookLimits()
    looks: dict[str, Look] = {}
    with tempfile.TemporaryDirectory(prefix="distill-static-") as name:
        folder = Path(name)
        (folder / "programs").mkdir()
        pending = []
        for place, program in enumerate(programs):
            file = f"s{place:06}.py"
            refused = _refused(program)
            if refused is None:
                (folder / "programs" / file).write_bytes(program.encode())
                pending.append(file)
            else:
                looks[file] = refused
        while pending:
            seen = _one_process(folder, pending, lint, limits)
            looks.update(seen)
            pending = [file for file in pending if file not in seen]
    return [looks[file] for file in sorted(looks)]


def pylint_version() -> str:
    """Return the version of Pylint. Raises MissingDependency where it is not installed."""
    try:
        return version("pylint")
    except PackageNotFoundError as error:
        raise MissingDependency(
            "the static view needs Pylint: pip install 'code-harness[distill]', or leave its messages out (lint: false)"
        ) from error


def _refused(program: str) -> Look | None:
    """Return the look at a program that goes to no process."""
    if len(program) > MAX_CHARACTERS:
        return Look(parses=None, reason=f"longer than {MAX_CHARACTERS} characters")
    try:
        program.encode()
    except UnicodeEncodeError:
        return Look(parses=False, reason="not valid Unicode")
    return None


def _one_process(folder: Path, files: Sequence[str], lint: bool, limits: LookLimits) -> dict[str, Look]:
    """Return the looks until the process ends, the program that ended it among them: at least one."""
    (folder / "names").write_text("".join(f"{file}\n" for file in files))
    options = [str(folder / "programs"), str(limits.memory_bytes), str(limits.cpu_seconds), "lint" if lint else "parse"]
    environment = {"PYLINTHOME": str(folder / "home"), "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    looks: dict[str, Look] = {}
    kind, current = "", ""
    with (
        (folder / "names").open("rb") as names,
        (folder / "errors").open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-I", "-W", "ignore", str(_WORKER), *options],
            stdin=names,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=environment,
        ) as process,
    ):
        try:
            for line in _lines(process, limits.wall_seconds):
                kind, current, *rest = json.loads(line)
                if kind == "done":
                    looks[current] = _look(*rest)
        finally:
            process.kill()
    if kind in ("at", "linting"):
        reason = f"looking at it ended the process: {_end(process.returncode)}"
        looks[current] = Look(parses=True if kind == "linting" else None, reason=reason)
    if not looks:
        said = (folder / "errors").read_bytes()[-500:].decode("utf-8", "replace").strip()
        raise MeasurementInvalid(f"the process that parses and lints programs does not start: {said}")
    return looks


def _lines(process: subprocess.Popen[bytes], wall_seconds: float) -> Iterator[bytes]:
    """Yield whole lines until the process ends or is silent for too long, and is killed."""
    assert process.stdout is not None
    buffer = b""
    deadline = time.monotonic() + _START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(process.stdout.fileno(), 1 << 16)
            if not chunk:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(wall_seconds)  # it says itself how it ended
                return
            *lines, buffer = (buffer + chunk).split(b"\n")
            yield from lines
            deadline = time.monotonic() + wall_seconds


def _look(parses: bool, reason: str, found: dict[str, dict[str, int]] | None) -> Look:
    if found is None:
        return Look(parses=parses, reason=reason)
    symbols = {symbol: count for category in found.values() for symbol, count in category.items()}
    messages = {category: sum(found.get(category, {}).values()) for category in CATEGORIES}
    return Look(parses=parses, messages=messages, symbols=dict(sorted(symbols.items())), reason=reason)


def _end(returncode: int) -> str:
    return signal.Signals(-returncode).name if returncode < 0 else f"exit code {returncode}"
