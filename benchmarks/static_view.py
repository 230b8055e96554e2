"""How fast the static view is: programs a second on one core, over the solutions of HumanEval and of MBPP's test tasks.

    python -m benchmarks.static_view

Counts the CPU time of the process that looks (its start included), so that other work on the machine changes little.
"""

from __future__ import annotations

import resource
import time

from distill.static_view import look_at, pylint_version
from harness import load_benchmark


def main() -> None:
    """Print programs a second, by CPU time and by the clock."""
    programs = [task.reference for name in ("humaneval", "mbpp") for task in load_benchmark(name).tasks]
    started, before = time.perf_counter(), _cpu_seconds()
    looks = look_at(programs)
    cpu, wall = _cpu_seconds() - before, time.perf_counter() - started
    messages = sum(sum(look.messages.values()) for look in looks if look.messages)
    print(f"pylint {pylint_version()}: {len(programs)} programs, {messages} messages")
    print(f"{len(programs) / cpu:.0f} programs a second of CPU time, {len(programs) / wall:.0f} by the clock")


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
