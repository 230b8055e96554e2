"""What the reference programs of a + benchmark need by themselves: every call, in warm processes, nothing around it.

`python -m benchmarks.trusted TASKS [--workers 2]` (humaneval+, mbpp+) calls each reference on all inputs of its task
and prints the seconds that it takes on so many cores, and the CPU seconds. Calls are dealt out a few at a time, so that
all cores are busy to the end. References are trusted; nothing is compared.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from harness.benchmarks import load_benchmark
from harness.records import CallTests, Task

AT_ONCE = 16  # calls: the longest take a tenth of a second


def function_of(task: Task) -> Callable[..., Any]:
    """Load a reference."""
    namespace: dict[str, Any] = {"__name__": "solution"}
    exec(compile(task.reference, "<reference>", "exec"), namespace)  # noqa: S102  (trusted: see above)
    function: Callable[..., Any] = namespace[task.entry_point]
    return function


def work(tasks: list[tuple[Task, CallTests]], following: Synchronized[int], spent: Synchronized[float]) -> None:
    """Make calls until there are none left."""
    parts = [
        (number, start)
        for number, (_, tests) in enumerate(tasks)
        for start in range(0, len(tests.base_inputs) + len(tests.plus_inputs), AT_ONCE)
    ]
    begin, loaded = time.process_time(), -1
    with contextlib.redirect_stdout(io.StringIO()):
        while True:
            with following.get_lock():
                place = following.value
                following.value += 1
            if place >= len(parts):
                break
            number, start = parts[place]
            task, tests = tasks[number]
            if number != loaded:
                function, inputs, loaded = function_of(task), (*tests.base_inputs, *tests.plus_inputs), number
            for arguments in inputs[start : start + AT_ONCE]:
                function(*arguments)
    with spent.get_lock():
        spent.value += time.process_time() - begin


def measured(tasks: str, workers: int) -> tuple[float, float, int]:
    """Return the seconds of all calls on so many cores, their CPU seconds, and how many there are."""
    found = [(task, task.tests) for task in load_benchmark(tasks).tasks if isinstance(task.tests, CallTests)]
    if not found:
        raise SystemExit(f"{tasks} is not judged by calls")
    context = multiprocessing.get_context("fork")  # the inputs are there already
    following, spent = context.Value("i", 0), context.Value("d", 0.0)
    start = time.perf_counter()
    processes = [context.Process(target=work, args=(found, following, spent)) for _ in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    seconds = time.perf_counter() - start
    calls = sum(len(tests.base_inputs) + len(tests.plus_inputs) for _, tests in found)
    return seconds, spent.value, calls


def main() -> None:
    """Print what one benchmark's references take."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tasks")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    seconds, spent, calls = measured(options.tasks, options.workers)
    print(f"{seconds:.3f} s, {spent:.3f} s of CPU time, for {calls} calls by {options.workers} processes")


if __name__ == "__main__":
    main()
