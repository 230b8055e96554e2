"""Faulty sides of lessons: wrong answers that were judged, the student's own first or changed right ones.

A fault answers the same question as its lesson, came to an end, and failed by the harness's verdict; what was not
judged is none. Changed answers differ from the right one in one place and in nothing else, layout included: only an
answer that stands as Python's `ast.unparse` writes it is changed, so that a model cannot tell the sides by their looks.
"""

from __future__ import annotations

import ast
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import msgspec

from distill.lessons import Fault, FaultSource, Lesson, answer_in, is_unicode, repeats_head
from harness import Outcome, Run, Sample, StopReason, mutants, write_whole

_MAX_CHARACTERS, _MOST_CHANGES = 4_000, 400  # of a program that is changed: each change costs a parse, or 10 ms
_INDENT = "    "
_SHOWN = frozenset({"removed statement", "dropped branch"})  # they leave `pass` and `if True`, which nobody writes


class FaultsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where faulty sides come from: the first of `sources` that has one for a lesson. None: lessons are right sides.

    `student` samples `n_samples` answers to each question at `temperature`; `mutation` makes up to `mutants` wrong
    programs of a right answer; `teacher` is asked for one, for the questions that are still without.
    """

    sources: tuple[FaultSource, ...] = ()
    n_samples: int = 1
    temperature: float = 0.8
    mutants: int = 3

    def __post_init__(self) -> None:
        if self.n_samples < 1 or self.mutants < 1 or self.temperature < 0:
            raise ValueError("n_samples and mutants are at least 1, temperature at least 0")
        if self.n_samples > 1 and not self.temperature:
            raise ValueError("several greedy samples are all the same: give a temperature above 0")
        if len(set(self.sources)) < len(self.sources):
            raise ValueError("each source of faults is named once")


def with_faults(lessons: Iterable[Lesson], run: Run, source: FaultSource) -> list[Lesson]:
    """Return the lessons, right ones without a fault with the first one that the run has for their question.

    As of answers, what is learnt of a fault is the program that was judged, behind the lesson's prompt. One that
    repeats the function's head, which no right side does, is passed over: a model would tell the sides by that.
    """
    functions = {task.task_id: task.entry_point for task in run.tasks()}
    failed = {
        (one.task_id, one.sample_index): one.outcome
        for one in run.verdicts()
        if one.outcome not in (Outcome.PASSED, Outcome.NOT_JUDGED)
    }
    found: dict[str, list[Sample]] = {}
    for sample in run.samples():
        if (sample.task_id, sample.sample_index) in failed and sample.stop_reason is not StopReason.LENGTH:
            found.setdefault(sample.task_id, []).append(sample)

    def fault_for(lesson: Lesson) -> Fault | None:
        for sample in found.get(lesson.task_id, ()):
            completion = answer_in(sample.program, lesson.prompt)
            if completion is None or repeats_head(lesson.prompt, completion, functions[lesson.task_id]):
                continue
            if completion != lesson.completion and is_unicode(completion):
                return Fault(
                    source=source,
                    run=run.folder.name,
                    sample_index=sample.sample_index,
                    outcome=failed[sample.task_id, sample.sample_index],
                    completion=completion,
                )
        return None

    return [
        lesson if lesson.fault is not None or not lesson.passed else replace(lesson, fault=fault_for(lesson))
        for lesson in lessons
    ]


def write_mutants(lessons: Iterable[Lesson], path: Path, most: int, seed: int) -> int:
    """Write programs with up to `most` changed answers to each question as a samples file; return how many there are.

    Which ones is random, by `seed` and question. A question's first right answer is changed.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for lesson in lessons:
        if lesson.task_id in rows or not lesson.passed:
            continue
        changed = mutated(lesson.prompt, lesson.completion)
        drawn = random.Random(f"{seed} {lesson.task_id}").sample(changed, min(most, len(changed)))
        rows[lesson.task_id] = [{"task_id": lesson.task_id, "solution": lesson.prompt + one} for one in drawn]
    lines = [json.dumps(row) + "\n" for some in rows.values() for row in some]
    write_whole(path, "".join(lines))
    return len(lines)


def mutated(prompt: str, completion: str) -> list[str]:
    """Return an answer changed in one place, each time another; none for what is no body of a function.

    `prompt` ends within a function, behind its docstring, and `completion` is the rest of it.
    """
    if len(prompt) + len(completion) > _MAX_CHARACTERS:
        return []
    body = completion.rstrip()
    try:
        right = _split(ast.parse(prompt + completion))
        if right is None or right.body != body:
            return []
        changes = islice(mutants(prompt + completion), _MOST_CHANGES)
        found = [_split(change.tree) for change in changes if change.kind not in _SHOWN]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    bodies = dict.fromkeys(one.body for one in found if one is not None and one.head == right.head)
    return [changed + completion[len(body) :] for changed in bodies if changed != body]


@dataclass(frozen=True, slots=True)
class _Split:
    """A program as `ast.unparse` writes it: up to its last function's docstring, and the rest of that function."""

    head: str
    body: str


def _split(tree: ast.Module) -> _Split | None:
    """Split a program; None unless it ends in a function with a docstring and something behind it."""
    function = tree.body[-1] if tree.body else None
    if not isinstance(function, ast.FunctionDef) or ast.get_docstring(function) is None or len(function.body) < 2:
        return None
    rest = ast.unparse(ast.Module(body=function.body[1:], type_ignores=[]))
    function.body = function.body[:1]
    return _Split(head=ast.unparse(tree), body="\n".join(_INDENT + line for line in rest.splitlines()))
