"""Lessons from judged answers: which answers make one, and what of an answer is learnt."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from distill.lessons import Lesson, answer_in, is_unicode
from distill.selection import AnswersConfig, Selection
from distill.spurious import is_spurious
from distill.texts import tree_of
from harness import NumberTests, Run, Sample, StopReason, Task, rules_for

_NOT_PROMPTED = frozenset({"samples", "canonical"})  # protocols of runs in which no model was asked anything


class LeftOut(StrEnum):
    """Why an answer that would be learnt makes no lesson, as counts say it."""

    PROMPT = "left_out_as_another_prompt"  # the program that was judged does not begin as the student's would
    UNICODE = "left_out_as_no_unicode"
    SPURIOUS = "left_out_as_spurious"


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """Which answers are learnt, behind which prompt: that of `protocol` (None: the one that the run was asked by)."""

    right_only: bool = True
    answers: AnswersConfig = field(default_factory=AnswersConfig)
    protocol: str | None = None


def lessons_of(run: Run, how: Learning | None = None) -> Iterator[Lesson]:
    """Yield a lesson for each distinct answer that was not cut off: the right ones, or all that say something.

    What is learnt is the program that was judged, and nothing that stood around it. What was not judged makes no lesson
    of a right answer; see `left_out_of` for others that make none.
    """
    return (one for one in _learnt(run, how or Learning()) if isinstance(one, Lesson))


def left_out_of(run: Run, how: Learning | None = None) -> dict[str, int]:
    """Return how many answers that `lessons_of` would yield make no lesson, by the reason."""
    return dict(Counter(one.value for one in _learnt(run, how or Learning()) if isinstance(one, LeftOut)))


def _learnt(run: Run, how: Learning) -> Iterator[Lesson | LeftOut]:
    benchmark = run.benchmark()
    tasks = {task.task_id: task for task in benchmark.tasks}
    own = "default" if run.config.protocol in _NOT_PROMPTED else run.config.protocol
    rules = rules_for(how.protocol or own, benchmark)
    right = {(verdict.task_id, verdict.sample_index) for verdict in run.verdicts() if verdict.passed}
    seen: set[tuple[str, str]] = set()
    taught: set[str] = set()
    for sample in run.samples():
        passed = (sample.task_id, sample.sample_index) in right
        task = tasks[sample.task_id]
        if not (passed or not how.right_only) or _is_cut_off(sample, task, passed, how) or sample.task_id in taught:
            continue
        prompt = rules.prompt(task)
        if not isinstance(prompt, str):  # what a chat model is asked is not what the student continues
            prompt = task.prompt
        answer = answer_behind(sample.program, prompt)
        said = sample.completion if answer is None else answer
        if (sample.task_id, said.rstrip()) in seen or not (passed or said.strip()):
            continue
        seen.add((sample.task_id, said.rstrip()))
        if answer is None or not is_unicode(prompt + answer):
            yield LeftOut.PROMPT if answer is None else LeftOut.UNICODE
            continue
        if how.answers.drop_spurious and passed and _asks_a_number(task) and is_spurious(task.prompt, sample.program):
            yield LeftOut.SPURIOUS
            continue
        if how.answers.selection is Selection.FIRST:
            taught.add(sample.task_id)
        yield Lesson(
            task_id=sample.task_id,
            sample_index=sample.sample_index,
            run=run.folder.name,
            split=task.split,
            tier=task.tier or "",
            source=run.config.model,
            prompt=prompt,
            completion=answer,
            passed=passed,
        )


def _asks_a_number(task: Task) -> bool:
    return isinstance(task.tests, NumberTests)


def _is_cut_off(sample: Sample, task: Task, passed: bool, how: Learning) -> bool:
    """Say whether an answer was cut off, and is not to be learnt for that.

    A program that has left the right number has come to its answer, whatever was cut off behind that.
    """
    if sample.stop_reason is not StopReason.LENGTH or how.answers.cut_off:
        return False
    return not (passed and _asks_a_number(task))


def answer_behind(program: str, prompt: str) -> str | None:
    """Return what a student would write behind its prompt for a program, None where the program begins otherwise.

    A prompt that is no code but a comment or a docstring can stand before any program, whatever the teacher was asked.
    """
    answer = answer_in(program, prompt)
    if answer is None and program.strip() and _is_no_code(prompt):
        return program
    return answer


def _is_no_code(prompt: str) -> bool:
    tree = tree_of(prompt)
    return tree is not None and all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in tree.body
    )
