"""Families of benchmarks: those that share the form of their prompts."""

from __future__ import annotations

HUMANEVAL = "humaneval"
MBPP = "mbpp"
MBPP_SANITIZED = "mbpp-sanitized"
MBPP_PLUS = "mbpp+"
GSM8K = "gsm8k"
ALL_OF_MBPP = (MBPP, MBPP_SANITIZED, MBPP_PLUS)


def family_of(benchmark_name: str) -> str:
    """Return the family of a benchmark: each of MBPP's its own, those whose answers are text, HumanEval's for all else.

    GSM8K is one family in all its splits. A file of one's own counts as HumanEval: its tasks are functions to complete.
    """
    if benchmark_name.startswith("tinypy-") or benchmark_name in ALL_OF_MBPP:
        return benchmark_name
    return GSM8K if benchmark_name in ("gsm8k", "gsm8k-dev", "gsm8k-train") else HUMANEVAL
