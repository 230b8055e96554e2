"""Evaluate code models: sandboxed, unforgeable pass@k on HumanEval, MBPP and their + versions."""

from typing import TYPE_CHECKING, Any

from harness.errors import (
    HarnessError,
    MeasurementInvalid,
    MissingDependency,
    ModelUnavailable,
    StoreMismatch,
    UsageError,
)
from harness.records import (
    Benchmark,
    CallTests,
    CheckTests,
    Estimate,
    NumberTests,
    Outcome,
    Report,
    RunConfig,
    Sample,
    StopReason,
    Task,
    Verdict,
)

if TYPE_CHECKING:
    from harness.answers import answers_to
    from harness.benchmarks import load_benchmark
    from harness.benchmarks.gsm8k import load_train as gsm8k_train
    from harness.benchmarks.ladder.contamination import Leak, find_leaks
    from harness.benchmarks.ladder.generator import ladder_families, ladder_train
    from harness.benchmarks.ladder.generator import train_rungs as ladder_rungs
    from harness.benchmarks.ladder.mutants import Mutant, mutants
    from harness.benchmarks.ladder.rungs import Rung
    from harness.benchmarks.mbpp import load_train as mbpp_train
    from harness.benchmarks.shots import protocols_with_shots, read_shots
    from harness.benchmarks.words.generator import words_train
    from harness.calling import FunctionCalls, Returned, call_functions
    from harness.compare import Comparison, TierComparison, compare_runs
    from harness.compare import compare as compare_baselines
    from harness.difficulty import Difficulty, measure
    from harness.evaluation import EvalConfig, evaluate
    from harness.gate import GateOutcome, GateResult, GateRules
    from harness.gate import gate as gate_baselines
    from harness.half import Half, halves
    from harness.measured_tiers import Rating, tiers_from_ratings, tiers_from_runs
    from harness.model_options import ModelOptions, see_that_it_is_installed
    from harness.models.checkpoint import digest_of, find_checkpoint
    from harness.models.loading import load_weights
    from harness.models.seam import Completion, GenerationSettings, Model, Prompt
    from harness.options import backend_options, chosen_backend, sandbox_option, workers_option
    from harness.paired import Difference
    from harness.probes import Candidate
    from harness.progress import BarProgress, NoProgress, PlainProgress, Progress, progress_for
    from harness.protocols import rules_for
    from harness.retrieval.held_out import HELD_OUT_PACKAGES
    from harness.retrieval.programs import WordlessFunction, wordless_functions
    from harness.retrieval.records import Document
    from harness.retrieval.seam import Retriever
    from harness.retrieval.source import chosen_exit, open_retriever
    from harness.runs import Baseline, Run, find_runs, load_run
    from harness.scores import HalfScore, TierKind, TierScore, TierSource, WeakKind, WeakRule
    from harness.sources import Decoding, open_model, prompts_at_once
    from harness.statement import Shot
    from harness.store import write_whole
    from harness.tier_files import read_ratings, read_tiers, write_tiers
    from harness.tiers import TaskTier, Tiers, static_tiers
    from harness.tinypy import Example as TinyPyExample
    from harness.tinypy import Level as TinyPyLevel
    from harness.tinypy import Recipe as TinyPyRecipe
    from harness.tinypy import training_examples as tinypy_examples
    from harness.tinypy.javascript import javascript_of as tinypy_javascript

__all__ = [
    "HELD_OUT_PACKAGES",
    "BarProgress",
    "Baseline",
    "Benchmark",
    "CallTests",
    "Candidate",
    "CheckTests",
    "Comparison",
    "Completion",
    "Decoding",
    "Difference",
    "Difficulty",
    "Document",
    "Estimate",
    "EvalConfig",
    "FunctionCalls",
    "GateOutcome",
    "GateResult",
    "GateRules",
    "GenerationSettings",
    "Half",
    "HalfScore",
    "HarnessError",
    "Leak",
    "MeasurementInvalid",
    "MissingDependency",
    "Model",
    "ModelOptions",
    "ModelUnavailable",
    "Mutant",
    "NoProgress",
    "NumberTests",
    "Outcome",
    "PlainProgress",
    "Progress",
    "Prompt",
    "Rating",
    "Report",
    "Retriever",
    "Returned",
    "Run",
    "RunConfig",
    "Rung",
    "Sample",
    "Shot",
    "Solver",
    "Solvers",
    "StopReason",
    "StoreMismatch",
    "Task",
    "TaskTier",
    "TierComparison",
    "TierKind",
    "TierScore",
    "TierSource",
    "Tiers",
    "TinyPyExample",
    "TinyPyLevel",
    "TinyPyRecipe",
    "Unanswered",
    "UsageError",
    "Verdict",
    "WeakKind",
    "WeakRule",
    "WordlessFunction",
    "answers_to",
    "backend_options",
    "call_functions",
    "chosen_backend",
    "chosen_exit",
    "compare_baselines",
    "compare_runs",
    "digest_of",
    "evaluate",
    "find_checkpoint",
    "find_leaks",
    "find_runs",
    "find_solvers",
    "gate_baselines",
    "gsm8k_train",
    "halves",
    "ladder_families",
    "ladder_rungs",
    "ladder_train",
    "load_benchmark",
    "load_run",
    "load_weights",
    "mbpp_train",
    "measure",
    "mutants",
    "open_model",
    "open_retriever",
    "progress_for",
    "prompts_at_once",
    "protocols_with_shots",
    "read_ratings",
    "read_shots",
    "read_tiers",
    "rules_for",
    "sandbox_option",
    "see_that_it_is_installed",
    "static_tiers",
    "tiers_from_ratings",
    "tiers_from_runs",
    "tinypy_examples",
    "tinypy_javascript",
    "wordless_functions",
    "words_train",
    "workers_option",
    "write_leaderboard",
    "write_tiers",
    "write_whole",
]

# Loaded when first asked for, so that `import harness` stays quick: the module, and the name there if it is another.
_LATER = {
    "HELD_OUT_PACKAGES": "harness.retrieval.held_out",
    "BarProgress": "harness.progress",
    "Baseline": "harness.runs",
    "Candidate": "harness.probes",
    "Comparison": "harness.compare",
    "Completion": "harness.models.seam",
    "Decoding": "harness.sources",
    "Difference": "harness.paired",
    "Difficulty": "harness.difficulty",
    "Document": "harness.retrieval.records",
    "EvalConfig": "harness.evaluation",
    "FunctionCalls": "harness.calling",
    "GateOutcome": "harness.gate",
    "GateResult": "harness.gate",
    "GateRules": "harness.gate",
    "GenerationSettings": "harness.models.seam",
    "Half": "harness.half",
    "HalfScore": "harness.scores",
    "Leak": "harness.benchmarks.ladder.contamination",
    "Model": "harness.models.seam",
    "ModelOptions": "harness.model_options",
    "Mutant": "harness.benchmarks.ladder.mutants",
    "NoProgress": "harness.progress",
    "PlainProgress": "harness.progress",
    "Progress": "harness.progress",
    "Prompt": "harness.models.seam",
    "Rating": "harness.measured_tiers",
    "Retriever": "harness.retrieval.seam",
    "Returned": "harness.calling",
    "Run": "harness.runs",
    "Rung": "harness.benchmarks.ladder.rungs",
    "Shot": "harness.statement",
    "Solver": "harness.solvers",
    "Solvers": "harness.solvers",
    "TaskTier": "harness.tiers",
    "TierComparison": "harness.compare",
    "TierKind": "harness.scores",
    "TierScore": "harness.scores",
    "TierSource": "harness.scores",
    "Tiers": "harness.tiers",
    "TinyPyExample": "harness.tinypy:Example",
    "TinyPyLevel": "harness.tinypy:Level",
    "TinyPyRecipe": "harness.tinypy:Recipe",
    "Unanswered": "harness.solvers",
    "WeakKind": "harness.scores",
    "WeakRule": "harness.scores",
    "WordlessFunction": "harness.retrieval.programs",
    "answers_to": "harness.answers",
    "backend_options": "harness.options",
    "call_functions": "harness.calling",
    "chosen_backend": "harness.options",
    "chosen_exit": "harness.retrieval.source",
    "compare_baselines": "harness.compare:compare",
    "compare_runs": "harness.compare",
    "digest_of": "harness.models.checkpoint",
    "evaluate": "harness.evaluation",
    "find_checkpoint": "harness.models.checkpoint",
    "find_leaks": "harness.benchmarks.ladder.contamination",
    "find_runs": "harness.runs",
    "find_solvers": "harness.solvers",
    "gate_baselines": "harness.gate:gate",
    "gsm8k_train": "harness.benchmarks.gsm8k:load_train",
    "halves": "harness.half",
    "ladder_families": "harness.benchmarks.ladder.generator",
    "ladder_rungs": "harness.benchmarks.ladder.generator:train_rungs",
    "ladder_train": "harness.benchmarks.ladder.generator",
    "load_benchmark": "harness.benchmarks",
    "load_run": "harness.runs",
    "load_weights": "harness.models.loading",
    "mbpp_train": "harness.benchmarks.mbpp:load_train",
    "measure": "harness.difficulty",
    "mutants": "harness.benchmarks.ladder.mutants",
    "open_model": "harness.sources",
    "open_retriever": "harness.retrieval.source",
    "progress_for": "harness.progress",
    "prompts_at_once": "harness.sources",
    "protocols_with_shots": "harness.benchmarks.shots",
    "read_ratings": "harness.tier_files",
    "read_shots": "harness.benchmarks.shots",
    "read_tiers": "harness.tier_files",
    "rules_for": "harness.protocols",
    "sandbox_option": "harness.options",
    "see_that_it_is_installed": "harness.model_options",
    "static_tiers": "harness.tiers",
    "tiers_from_ratings": "harness.measured_tiers",
    "tiers_from_runs": "harness.measured_tiers",
    "tinypy_examples": "harness.tinypy:training_examples",
    "tinypy_javascript": "harness.tinypy.javascript:javascript_of",
    "wordless_functions": "harness.retrieval.programs",
    "words_train": "harness.benchmarks.words.generator",
    "workers_option": "harness.options",
    "write_leaderboard": "harness.pages",
    "write_tiers": "harness.tier_files",
    "write_whole": "harness.store",
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
