"""Can this machine run programs behind the wall, and time them fairly? One finding per question, one fix each."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.contract import Execution, Limits, Program, SandboxError, Status

if TYPE_CHECKING:
    from sandbox.pool import Pool

OLDEST_PYTHON = (3, 11)
MACHINES = ("x86_64", "aarch64")
MEMORY_WANTED = 2 << 30
DISK_WANTED = 1 << 30
CORE_SHARE_WANTED = 0.8
_SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")
_ENGINE_SECONDS = 4
_CHECK_SECONDS = 10
_SPIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to one question about this machine; `fix` says what to do about it where it is not `ok`."""

    name: str
    ok: bool
    detail: str
    fix: str


def examine() -> tuple[Finding, ...]:
    """Return every finding, within 15 seconds; "docker" and "local" say whether that kind of cell can be had.

    Starts a cell of each kind that there is; packs this machine's Python on the first call.
    """
    checks: list[tuple[str, Callable[[], list[Finding]]]] = [("docker", _docker), ("local", _local)]
    answers: dict[str, list[Finding]] = {}

    def answer(name: str, check: Callable[[], list[Finding]]) -> None:
        try:
            answers[name] = check()
        except Exception as error:  # whatever goes wrong in an examination is a finding of it
            reason = f"{type(error).__name__}: {error}"
            answers[name] = [Finding(name=name, ok=False, detail=reason, fix="Please report this.")]

    load = _load()  # before our own cells add to it
    end = time.monotonic() + _CHECK_SECONDS
    threads = [threading.Thread(target=answer, args=check, daemon=True) for check in checks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = f"no answer within {_CHECK_SECONDS} s"
    cells = [
        finding
        for name, _ in checks
        for finding in answers.get(name, [Finding(name=name, ok=False, detail=late, fix="Try again when it is idle.")])
    ]
    return (_python(), _machine(), *cells, load, _memory(), _disk(), _clock())


def _python() -> Finding:
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Finding(
        name="python",
        ok=sys.version_info >= OLDEST_PYTHON,
        detail=sys.version.split()[0],
        fix=f"Make the environment with Python {oldest} or newer.",
    )


def _machine() -> Finding:
    system = os.uname()
    return Finding(
        name="machine",
        ok=system.sysname == "Linux" and system.machine in MACHINES,
        detail=f"{system.sysname} {system.release} on {system.machine}",
        fix="Programs run on Linux on x86-64 or arm64; elsewhere use a virtual machine with it.",
    )


def _docker() -> list[Finding]:
    """Whether an engine answers, limits memory and processes, and has or can make the image."""
    import docker.errors
    import requests.exceptions

    try:
        client = docker.from_env(timeout=_ENGINE_SECONDS)
        version, info = str(client.version()["Version"]), client.info()
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        fix = "Start the Docker engine and let this user use it (`docker version` must answer), or use local cells."
        return [Finding(name="docker", ok=False, detail=f"no engine answers: {str(error)[:200]}", fix=fix)]
    try:
        findings = [Finding(name="docker", ok=True, detail=f"engine {version}", fix=""), _engine_limits(info)]
        return [*findings, _image(client)]
    finally:
        client.close()


def _engine_limits(info: dict[str, Any]) -> Finding:
    swap = _meminfo().get("SwapTotal", 0)
    needed = {"memory": info.get("MemoryLimit"), "processes": info.get("PidsLimit")}
    if swap:
        needed["swap"] = info.get("SwapLimit")
    missing = [name for name, there in needed.items() if not there]
    return Finding(
        name="docker limits",
        ok=not missing,
        detail=f"not limited: {', '.join(missing)}" if missing else f"{', '.join(needed)} are limited",
        fix="Switch the kernel's control groups on: boot with `cgroup_enable=memory swapaccount=1`.",
    )


def _image(client: Any) -> Finding:
    from sandbox import docker as cells
    from sandbox.images.engine import image_tags

    present = [tag for tag in image_tags().values() if client.images.list(tag)]
    if present:
        return _ran("docker image", lambda limits: cells.open_pool(limits, 1, present[0]), present[0])
    return Finding(
        name="docker image",
        ok=shutil.which("ldd") is not None,
        detail="not there yet; it is built on first use, from this machine's own Python if no registry answers",
        fix="Install `ldd` (Debian: libc-bin), or pull an image that has the guest.",
    )


def _local() -> list[Finding]:
    """Whether a cell of namespaces really runs a program."""
    from sandbox import local

    return [_ran("local", lambda limits: local.open_pool(limits, 1), "namespaces")]


def _ran(name: str, open_pool: Callable[[Limits], Pool], what: str) -> Finding:
    """Start a cell and run a tiny program in it."""
    limits = Limits(cpu_seconds=1.0, wall_seconds=3.0)
    program = Program(source="def f():\n    return 6 * 7\n", plan=b'[["call",{"n":"f"},[],{}]]', operations=1)
    start = time.monotonic()
    try:
        pool = open_pool(limits)
        try:
            with pool.start(program, limits) as session:
                reply, execution = session.reply(1), session.end()
        finally:
            pool.close()
    except SandboxError as error:
        reason, _, fix = str(error).partition(". ")
        return Finding(name=name, ok=False, detail=reason, fix=fix or "Run `harness doctor` again, and report it.")
    return _judge(name, what, reply, execution, time.monotonic() - start)


def _judge(name: str, what: str, reply: bytes | None, execution: Execution, seconds: float) -> Finding:
    is_right = reply == b'["v",42]' and execution.status is Status.FINISHED
    return Finding(
        name=name,
        ok=is_right,
        detail=f"{what}: a program was {'answered' if is_right else f'lost ({execution.detail})'} in {seconds:.1f} s",
        fix="Run `harness doctor` again, and report it.",
    )


def _load() -> Finding:
    """Whether a program gets a core for itself: time limits are fair only then."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wall, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < _SPIN_SECONDS:
        pass
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    load = os.getloadavg()[0]
    return Finding(
        name="load",
        ok=load <= cores and share >= CORE_SHARE_WANTED,
        detail=f"load {load:.1f} on {cores} cores; a busy program gets {share:.0%} of one",
        fix="Wait for other work to end, or use fewer --workers: on a busy machine wall-clock limits hit the innocent.",
    )


def _meminfo() -> dict[str, int]:
    """Return /proc/meminfo in bytes; empty where there is none."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}


def _memory() -> Finding:
    free = _meminfo().get("MemAvailable", 0)
    return Finding(
        name="memory",
        ok=free >= MEMORY_WANTED,
        detail=f"{free / (1 << 30):.1f} GiB available",
        fix=f"Free memory up to {MEMORY_WANTED >> 30} GiB: a program may use 1 GiB, and each worker runs one.",
    )


def _disk() -> Finding:
    from sandbox.images import build

    folder = build.cache_folder()
    there = next((path for path in (folder, *folder.parents) if path.is_dir()), Path("/"))
    free = shutil.disk_usage(there).free
    is_writable = os.access(there, os.W_OK)
    return Finding(
        name="disk",
        ok=free >= DISK_WANTED and is_writable,
        detail=f"{free / (1 << 30):.1f} GiB free in {folder}" + ("" if is_writable else ", which may not be written"),
        fix=f"Free {DISK_WANTED >> 30} GiB there, or set HARNESS_CACHE to another folder.",
    )


def _clock() -> Finding:
    path = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    try:
        source = path.read_text(encoding="ascii").strip()
    except OSError:
        source = "unknown"
    tick = time.clock_getres(time.CLOCK_PROCESS_CPUTIME_ID) if hasattr(time, "clock_getres") else 1.0
    return Finding(
        name="clock",
        ok=source not in _SLOW_CLOCKS and tick <= 0.001,
        detail=f"source {source}, CPU time counted in steps of {tick:.0e} s",
        fix="Choose a fast clock source, e.g. boot with `clocksource=tsc`.",
    )
