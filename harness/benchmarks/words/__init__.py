"""Words: our own word problems, which a program solves whose answer is judged as GSM8K's is, for models of any size.

The problems are generated (`generator`) and shipped as files beside this one: 1,000 tests, and 300 others to choose by.
`generator.words_train` makes others to train on.
"""

from __future__ import annotations

from harness.benchmarks import data
from harness.benchmarks.words.generator import shipped
from harness.benchmarks.words.problems import VERSION, problem_from
from harness.records import Benchmark


def load() -> Benchmark:
    """Return the 1,000 tests. Raises `DataMissing` or `SamplesError` when their file is damaged."""
    return _load("words", "test")


def load_dev() -> Benchmark:
    """Return 300 problems that are neither tests nor to train on. Raises as `load` does."""
    return _load("words-dev", "dev")


def _load(name: str, split: str) -> Benchmark:
    file = shipped(split)
    tasks = tuple(problem_from(record).to_task(split) for record in data.records_of(file))
    return Benchmark(name=name, tasks=tasks, digest=file.sha256, source=f"generated, {split} split, version {VERSION}")
