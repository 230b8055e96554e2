"""Samples and verdicts made up for a test, of two tasks that run programs and one whose answers are text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.records import CheckTests, Evidence, Outcome, Sample, StopReason, Task, TextRule, TextTests, Verdict

TASKS = {
    name: Task(task_id=name, prompt="", entry_point="f", reference="", tests=CheckTests(source="", remote_names=()))
    for name in ("A", "B")
}
TASKS["text"] = replace(TASKS["A"], task_id="text", tests=TextTests(expected="1", rule=TextRule.NUMBERS, characters=20))


def sample(program: str, index: int, task: str = "A", **changes: Any) -> Sample:
    """Return a program as a sample, with some fields of one's own."""
    plain = Sample(task_id=task, sample_index=index, completion=program, program=program, stop_reason=StopReason.FILE)
    return replace(plain, **changes)


def verdict(one: Sample, outcome: Outcome, **changes: Any) -> Verdict:
    """Return the verdict on a sample, whose reason is its program."""
    plain = Verdict(
        task_id=one.task_id,
        sample_index=one.sample_index,
        outcome=outcome,
        passed=outcome is Outcome.PASSED,
        tests_run=1,
        tests_expected=1,
        evidence=Evidence(reason=one.program),
        cpu_seconds=0.1,
        wall_seconds=0.2,
        peak_memory_bytes=1,
    )
    return replace(plain, **changes)
