"""Families of benchmarks: those that share prompts' form and stop strings."""

from __future__ import annotations

HUMANEVAL = "humaneval"
MBPP = "mbpp"
_MBPP_BENCHMARKS = frozenset({"mbpp", "mbpp-sanitized", "mbpp+"})


def family_of(benchmark_name: str) -> str:
    """Return the family of a benchmark: MBPP's own, those whose answers are text, and HumanEval's for all else.

    A file of one's own counts as HumanEval: its tasks are functions to complete.
    """
    if benchmark_name.startswith("tinypy-"):
        return benchmark_name
    return MBPP if benchmark_name in _MBPP_BENCHMARKS else HUMANEVAL
