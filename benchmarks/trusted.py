"""What the reference programs of a + benchmark need by themselves: every call, in one warm process, nothing around it.

`python -m benchmarks.trusted TASKS` (humaneval+, mbpp+) calls each reference on all inputs of its task and prints the
CPU seconds. References are trusted; nothing is compared.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from typing import Any

from harness.benchmarks import load_benchmark
from harness.records import CallTests


def spent(tasks: str) -> tuple[float, int]:
    """Return the CPU seconds of all calls, loading the programs included, and how many calls there are."""
    benchmark = load_benchmark(tasks)
    calls = 0
    start = time.process_time()
    for task in benchmark.tasks:
        if not isinstance(task.tests, CallTests):
            raise SystemExit(f"{tasks} is not judged by calls")
        namespace: dict[str, Any] = {"__name__": "solution"}
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(task.reference, "<reference>", "exec"), namespace)  # noqa: S102  (trusted: see above)
            function = namespace[task.tests.entry_point]
            for arguments in (*task.tests.base_inputs, *task.tests.plus_inputs):
                function(*arguments)
                calls += 1
    return time.process_time() - start, calls


def main() -> None:
    """Print the CPU seconds of one benchmark's references."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tasks")
    seconds, calls = spent(parser.parse_args().tasks)
    print(f"{seconds:.3f} s of CPU time for {calls} calls")


if __name__ == "__main__":
    main()
