"""The ladder: our own benchmark, functions to complete in four tiers from one operation to nested loops.

The tasks are generated (`generator`) and shipped as a file beside this one. `generator.ladder_train` makes others to
train on; `contamination` finds training tasks that give test tasks away.
"""

from __future__ import annotations

from harness.benchmarks import data
from harness.benchmarks.ladder.rungs import SEED, SHIPPED, VERSION, rung_from
from harness.records import Benchmark


def load() -> Benchmark:
    """Return the tasks of the shipped file. Raises `DataMissing` or `SamplesError` when that is damaged."""
    file = data.read(SHIPPED)
    tasks = tuple(rung_from(record).to_task() for record in data.records_of(file))
    return Benchmark(
        name="ladder", tasks=tasks, digest=file.sha256, source=f"generated, seed {SEED}, version {VERSION}"
    )
