"""Evaluate code models: sandboxed, unforgeable pass@k on HumanEval, MBPP and their + versions."""

from typing import TYPE_CHECKING, Any

from harness.records import Benchmark, Estimate, Outcome, Report, RunConfig, Sample, Task, Verdict

if TYPE_CHECKING:
    from harness.compare import Comparison, compare_runs
    from harness.paired import Difference
    from harness.runs import Run, find_runs, load_run

__all__ = [
    "Benchmark",
    "Comparison",
    "Difference",
    "Estimate",
    "Outcome",
    "Report",
    "Run",
    "RunConfig",
    "Sample",
    "Task",
    "Verdict",
    "compare_runs",
    "find_runs",
    "load_run",
]

# Loaded when first asked for, so that `import harness` stays quick.
_LATER = {
    "Comparison": "harness.compare",
    "compare_runs": "harness.compare",
    "Difference": "harness.paired",
    "Run": "harness.runs",
    "find_runs": "harness.runs",
    "load_run": "harness.runs",
}


def __getattr__(name: str) -> Any:
    """Return a public name that lives in a module not yet loaded."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value
