"""The hostile suite against the sandbox and the judge of this machine.

What must be true after every attack is in `selftest_bench`, attacks that are no programs are in `selftest_data`. What
a sandbox says it does not promise is listed, and decides nothing.
"""

from __future__ import annotations

import itertools
import queue
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.progress import NoProgress, Progress
from harness.selftest_bench import Bench, Line, open_benches
from harness.selftest_data import data_attacks
from sandbox import HostileProgram, hostile_programs

BENCHES = 2  # programs that wait leave the cores to others


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What became of every attack, and what is not promised here."""

    sandbox: str
    lines: tuple[Line, ...]
    not_promised: tuple[str, ...]
    seconds: float

    @property
    def held(self) -> bool:
        """Whether every attack was held off that this sandbox promises to hold off."""
        return all(line.held or not line.promised for line in self.lines)


def run_selftest(name: str, progress: Progress | None = None) -> SelfTest:
    """Run the hostile suite in the named sandbox and return what became of every attack.

    Takes a minute or two. Raises SandboxError when the machine can run nothing.
    """
    progress = progress or NoProgress()
    start = time.monotonic()
    programs = hostile_programs()
    with open_benches(name, BENCHES) as benches, progress, tempfile.TemporaryDirectory() as folder:
        cell = benches[0].cell
        attacks = data_attacks(cell, Path(folder))
        progress.start("selftest", len(programs) + len(attacks), 0)
        lines: list[Line] = []
        # Attacks that are no programs change our own environment: they come one by one, and last.
        for line in itertools.chain(at_benches(benches, programs), (attack() for attack in attacks)):
            lines.append(line)
            progress.step(None, 0)
        return SelfTest(
            sandbox=cell.name,
            lines=tuple(lines),
            not_promised=cell.not_promised,
            seconds=round(time.monotonic() - start, 1),
        )


def at_benches(benches: Sequence[Bench], programs: Sequence[HostileProgram]) -> Iterator[Line]:
    """Yield what becomes of each program at the next free bench, in the order of the programs."""
    free: queue.SimpleQueue[Bench] = queue.SimpleQueue()
    for bench in benches:
        free.put(bench)

    def attack(program: HostileProgram) -> Line:
        bench = free.get()
        try:
            return bench.attack(program)
        finally:
            free.put(bench)

    with ThreadPoolExecutor(len(benches)) as executor:
        yield from executor.map(attack, programs)
