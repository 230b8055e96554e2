"""Families of benchmarks: those that share the form of their prompts."""

from __future__ import annotations

from harness.records import Benchmark, CheckTests, NumberTests

HUMANEVAL = "humaneval"
MBPP = "mbpp"
MBPP_SANITIZED = "mbpp-sanitized"
MBPP_PLUS = "mbpp+"
GSM8K = "gsm8k"
ALL_OF_MBPP = (MBPP, MBPP_SANITIZED, MBPP_PLUS)


def family_of(benchmark: Benchmark | str) -> str:
    """Return the family of a benchmark, or of the published one of that name.

    Each of MBPP's is its own, as are those whose answers are text. Whatever asks for a number is GSM8K's, by any name.
    A file of one's own in MBPP's format, whose tasks have a statement, is MBPP's; all else is HumanEval's, functions to
    complete.
    """
    name = benchmark if isinstance(benchmark, str) else benchmark.name
    if name.startswith("tinypy-") or name in ALL_OF_MBPP:
        return name
    task = None if isinstance(benchmark, str) else next(iter(benchmark.tasks), None)
    if task is None:
        return GSM8K if name in ("gsm8k", "gsm8k-dev", "gsm8k-train", "words", "words-dev") else HUMANEVAL
    if isinstance(task.tests, NumberTests):
        return GSM8K
    return MBPP if task.statement is not None and isinstance(task.tests, CheckTests) else HUMANEVAL
