"""Families of benchmarks: those that share the form of their prompts."""

from __future__ import annotations

HUMANEVAL = "humaneval"
MBPP = "mbpp"
MBPP_SANITIZED = "mbpp-sanitized"
MBPP_PLUS = "mbpp+"
ALL_OF_MBPP = (MBPP, MBPP_SANITIZED, MBPP_PLUS)


def family_of(benchmark_name: str) -> str:
    """Return the family of a benchmark: each of MBPP's its own, those whose answers are text, HumanEval's for all else.

    A file of one's own counts as HumanEval: its tasks are functions to complete.
    """
    if benchmark_name.startswith("tinypy-") or benchmark_name in ALL_OF_MBPP:
        return benchmark_name
    return HUMANEVAL
