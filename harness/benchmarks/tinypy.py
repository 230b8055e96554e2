"""TinyPy: say what a tiny program prints (`tinypy-execution`), or write its next line (`tinypy-completion`).

Source: "Curriculum Learning for Small Code Language Models" (arXiv 2407.10194), and the authors' evaluation code. The
programs are ours (`harness.tinypy`). Where ours differs: a program whose right answer would not fit into the
characters that a model may write is no task, since no model could pass it, and neither is one that prints nothing;
for completion each program gives one line, so that tasks are independent, where the authors take all lines but the
first. Token accuracy has the authors' texts and positions: every character behind the first of the whole example, up
to the blank line that ends it.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.benchmarks import data
from harness.records import Benchmark, Task, TextRule, TextTests
from harness.tiers import PAPER_THRESHOLDS
from harness.tinypy.corpus import MARK, Example, key_of
from harness.tinypy.testset import PATH, answer_characters, from_lines


def load_execution() -> Benchmark:
    """Return a task per test program: the program is the prompt, what it prints the answer."""
    return _load("tinypy-execution", _execution_task)


def load_completion() -> Benchmark:
    """Return a task per test program: the lines before one of its lines are the prompt, that line the answer."""
    return _load("tinypy-completion", _completion_task, scores_tokens=True)


def _load(name: str, task_of: Callable[[Example, str], Task], scores_tokens: bool = False) -> Benchmark:
    file = data.read(PATH)
    counts: dict[str, int] = {}
    tasks = []
    for example in from_lines(file.content):
        number = counts[example.level] = counts.get(example.level, -1) + 1
        tasks.append(task_of(example, f"{example.level}/{number}"))
    return Benchmark(
        name=name,
        tasks=tuple(tasks),
        digest=file.sha256,
        source=str(file.path),
        tier_thresholds=PAPER_THRESHOLDS,
        scores_tokens=scores_tokens,
    )


def _execution_task(example: Example, place: str) -> Task:
    return Task(
        task_id=f"TinyPyExecution/{place}",
        prompt=f"{example.program}\n{MARK}",
        entry_point="",
        reference=example.text,
        tests=TextTests(
            expected=example.answer.strip(),
            rule=TextRule.NUMBERS,
            characters=answer_characters(example.program),
        ),
    )


def _completion_task(example: Example, place: str) -> Task:
    """Return a task for one line, chosen by the program's hash; the mark and the output are lines as well."""
    lines = example.text.rstrip("\n").split("\n")
    chosen = 1 + key_of(example.program) % (len(lines) - 1)
    return Task(
        task_id=f"TinyPyCompletion/{place}",
        prompt="\n".join(lines[:chosen]) + "\n",
        entry_point="",
        reference=example.text,
        tests=TextTests(expected=lines[chosen], rule=TextRule.CHARACTERS, characters=len(lines[chosen])),
    )
