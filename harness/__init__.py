"""Evaluate code models: sandboxed, unforgeable pass@k on HumanEval, MBPP and their + versions."""

from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, MeasurementInvalid, MissingDependency, ModelUnavailable, UsageError
from harness.records import Benchmark, Estimate, Outcome, Report, RunConfig, Sample, Task, Verdict

if TYPE_CHECKING:
    from harness.benchmarks import load_benchmark
    from harness.benchmarks.ladder.contamination import Leak, find_leaks
    from harness.benchmarks.ladder.generator import ladder_train
    from harness.compare import Comparison, compare_runs
    from harness.difficulty import Difficulty, measure
    from harness.evaluation import EvalConfig, evaluate
    from harness.paired import Difference
    from harness.progress import BarProgress, NoProgress, PlainProgress, Progress, progress_for
    from harness.runs import Run, find_runs, load_run
    from harness.sources import Decoding, ModelOptions
    from harness.tinypy import Example as TinyPyExample
    from harness.tinypy import Level as TinyPyLevel
    from harness.tinypy import Recipe as TinyPyRecipe
    from harness.tinypy import training_examples as tinypy_examples

__all__ = [
    "BarProgress",
    "Benchmark",
    "Comparison",
    "Decoding",
    "Difference",
    "Difficulty",
    "Estimate",
    "EvalConfig",
    "HarnessError",
    "Leak",
    "MeasurementInvalid",
    "MissingDependency",
    "ModelOptions",
    "ModelUnavailable",
    "NoProgress",
    "Outcome",
    "PlainProgress",
    "Progress",
    "Report",
    "Run",
    "RunConfig",
    "Sample",
    "Task",
    "TinyPyExample",
    "TinyPyLevel",
    "TinyPyRecipe",
    "UsageError",
    "Verdict",
    "compare_runs",
    "evaluate",
    "find_leaks",
    "find_runs",
    "ladder_train",
    "load_benchmark",
    "load_run",
    "measure",
    "progress_for",
    "tinypy_examples",
]

# Loaded when first asked for, so that `import harness` stays quick: the module, and the name there if it is another.
_LATER = {
    "BarProgress": "harness.progress",
    "Comparison": "harness.compare",
    "Decoding": "harness.sources",
    "Difference": "harness.paired",
    "Difficulty": "harness.difficulty",
    "EvalConfig": "harness.evaluation",
    "Leak": "harness.benchmarks.ladder.contamination",
    "ModelOptions": "harness.sources",
    "NoProgress": "harness.progress",
    "PlainProgress": "harness.progress",
    "Progress": "harness.progress",
    "Run": "harness.runs",
    "TinyPyExample": "harness.tinypy:Example",
    "TinyPyLevel": "harness.tinypy:Level",
    "TinyPyRecipe": "harness.tinypy:Recipe",
    "compare_runs": "harness.compare",
    "evaluate": "harness.evaluation",
    "find_leaks": "harness.benchmarks.ladder.contamination",
    "find_runs": "harness.runs",
    "ladder_train": "harness.benchmarks.ladder.generator",
    "load_benchmark": "harness.benchmarks",
    "load_run": "harness.runs",
    "measure": "harness.difficulty",
    "progress_for": "harness.progress",
    "tinypy_examples": "harness.tinypy:training_examples",
}


def __getattr__(name: str) -> Any:
    """Return a public name that lives in a module not yet loaded."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, there = _LATER[name].partition(":")
    value = getattr(import_module(module), there or name)
    globals()[name] = value
    return value
