"""Evaluate code models: sandboxed, unforgeable pass@k on HumanEval, MBPP and their + versions."""

from harness.records import Benchmark, Estimate, Outcome, Report, RunConfig, Sample, Task, Verdict

__all__ = ["Benchmark", "Estimate", "Outcome", "Report", "RunConfig", "Sample", "Task", "Verdict"]
