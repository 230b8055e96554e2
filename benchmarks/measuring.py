"""Run a command and say what it took: wall time, CPU time of the machine, memory of its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
SCRIPTS = Path(sys.executable).parent
_SAMPLED_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one command: seconds of wall time, CPU seconds of the machine, peak bytes, standard output.

    `peak_bytes` is of the command's largest process. `together_bytes` is the most that it, all its descendants, and
    all processes in cells that were made meanwhile had at once, where a shared page counts in parts (proportional set
    size, sampled).
    """

    wall_seconds: float
    machine_cpu_seconds: float
    peak_bytes: int
    together_bytes: int
    output: str

    def __str__(self) -> str:
        """Wall seconds, CPU seconds of the machine, peak of the largest process in MiB."""
        return f"{self.wall_seconds:.1f}, {self.machine_cpu_seconds:.1f}, {self.peak_bytes / (1 << 20):.0f}"


def measure(command: list[str], env: Mapping[str, str] | None = None, together: bool = False) -> Measured:
    """Run a command to its end. `together` also adds up its processes' memory, which costs CPU time.

    Raises SystemExit with the command's output if it fails.
    """
    neighbours = _in_cells() if together else set()
    before, start = machine_cpu(), time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(env or {})},
    )
    peaks = [0, 0]
    sampler = threading.Thread(target=_sample, args=(process, peaks, together, neighbours), daemon=True)
    sampler.start()
    output, _ = process.communicate()
    wall = time.monotonic() - start
    sampler.join()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output[-3000:]}")
    return Measured(wall, machine_cpu() - before, peaks[0], peaks[1], output)


def _sample(process: subprocess.Popen[str], peaks: list[int], together: bool, neighbours: set[int]) -> None:
    """Follow the command's memory until it ends."""
    while process.poll() is None:
        family = {*_family(process.pid), *_in_cells()} - neighbours if together else {process.pid}
        peaks[0] = max([peaks[0], *(_field(pid, "status", "VmHWM:") for pid in family)])
        if together:
            peaks[1] = max(peaks[1], sum(_field(pid, "smaps_rollup", "Pss:") for pid in family))
        time.sleep(_SAMPLED_SECONDS)


def _family(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += map(int, path.read_text().split())
            except OSError:
                continue
    return found


def _in_cells() -> set[int]:
    """Return the guests of all cells on this machine and their programs: containers are the engine's children."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"\0sandbox.guest\0" in path.read_bytes():
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def _field(pid: int, file: str, name: str) -> int:
    """Return a field in bytes of a process's memory; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


def machine_cpu() -> float:
    """CPU seconds that the whole machine has used."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / TICKS


def family_cpu(pid: int) -> float:
    """CPU seconds that a process and all its descendants, those that have ended included, have used."""
    used = 0
    for one in _family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        used += sum(map(int, fields[11:15]))
    return used / TICKS


def harness(*arguments: str) -> list[str]:
    """Return the command line of ours."""
    return [str(SCRIPTS / "harness"), *arguments]
