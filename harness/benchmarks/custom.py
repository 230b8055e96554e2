"""A benchmark of one's own: a .jsonl or .jsonl.gz file in HumanEval's, EvalPlus's or MBPP's task format, or of numbers.

Every line is checked before anything runs, and every error names file and line. A file holds one format: with
`base_input` it is EvalPlus's, with `test_list` MBPP's, with `answer` questions whose answers are numbers, otherwise
HumanEval's. The file is the user's own: its prompts and tests run on the trusted side, as those of the published
benchmarks do. A line may give its task's `tier`, its `split`, and the solved `shots` that few-shot prompts show.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import keyword
import re
import warnings
from collections.abc import Container
from fractions import Fraction
from pathlib import Path

from harness.benchmarks import data, evalplus, gsm8k, humaneval, mbpp
from harness.benchmarks.mbpp import bound_names, free_names, top_level_names
from harness.errors import SamplesError
from harness.records import Benchmark, CallTests, CheckTests, NumberTests, Task
from harness.statement import Shot, Statement

MAX_ID_CHARACTERS = 200
_NUMBER = re.compile(r"-?[0-9]{1,100}(?:\.[0-9]{1,100}|/0*[1-9][0-9]{0,99})?")


def load(path: Path, reserved: Container[str] = ()) -> Benchmark:
    """Return the tasks of the file, named after it; a name in `reserved` gets the prefix `custom-`.

    Raises `DataMissing` when the file cannot be read, `SamplesError` naming the first line that does not fit.
    """
    file = data.read(path)
    tasks: list[Task] = []
    seen: set[str] = set()
    for record in data.records_of(file):
        task = _task(record)
        if task.task_id in seen:
            raise record.error(f"the task_id {data.shown(task.task_id)} stands on an earlier line, too")
        if tasks and _format_of(task) != _format_of(tasks[0]):
            raise record.error(
                "the lines before are in another format: all with 'base_input', 'test_list' or 'answer', or none"
            )
        seen.add(task.task_id)
        tasks.append(task)
    if not tasks:
        raise SamplesError(f"{data.shown_path(path)}: holds no tasks")
    return Benchmark(name=name_of(path, reserved), tasks=tuple(tasks), digest=file.sha256, source=str(path))


def name_of(path: Path, reserved: Container[str]) -> str:
    """Return what to call a benchmark that is a file or folder; a name in `reserved` gets the prefix `custom-`."""
    stem = re.sub(r"[^\w.+-]", "-", path.name.removesuffix(".gz").removesuffix(".jsonl"), flags=re.ASCII)
    stem = stem.lstrip(".-") or "tasks"  # the name becomes a folder
    return f"custom-{stem}" if stem in reserved else stem


def _format_of(task: Task) -> tuple[object, bool]:
    return type(task.tests), task.statement is not None


def _task(record: data.JsonRecord) -> Task:
    if "answer" in record.fields or "test_list" in record.fields:
        task = _question(record) if "answer" in record.fields else mbpp.task_from(record, "text", _shots(record, False))
        return _labelled(record, task)
    task_id, entry_point = record.text("task_id"), record.text("entry_point")
    if problem := _id_problem(task_id):
        raise record.error(f"the task_id {data.shown(task_id)} {problem}")
    if not entry_point.isidentifier() or keyword.iskeyword(entry_point):
        raise record.error(f"'entry_point' {data.shown(entry_point)} is not a Python name")
    if "base_input" not in record.fields and "test" not in record.fields:
        raise record.error(
            "needs 'test' (HumanEval's format), 'base_input' (EvalPlus's), 'test_list' (MBPP's) or 'answer' (a number)"
        )
    task = evalplus.task_from(record) if "base_input" in record.fields else humaneval.task_from(record)
    task = _labelled(record, task)
    if task.reference:
        if problem := _compile_problem(task.reference):
            raise record.error(f"prompt + canonical_solution {problem}")
        if entry_point not in bound_names(task.reference):
            raise record.error(f"prompt + canonical_solution does not define {entry_point!r}")
    if isinstance(task.tests, CheckTests):
        return dataclasses.replace(task, tests=_checked(record, task))
    if not record.text("canonical_solution").strip():
        raise record.error("'canonical_solution' is empty, but expected values come from it")
    if isinstance(task.tests, CallTests) and not task.tests.base_inputs and not task.tests.plus_inputs:
        raise record.error("'base_input' and 'plus_input' are empty: nothing would be tested")
    return task


def _labelled(record: data.JsonRecord, task: Task) -> Task:
    """Return a task with what its line says about it beside the format."""
    task = dataclasses.replace(task, tier=_label(record, "tier"), split=_label(record, "split") or "test")
    if task.split not in ("train", "test"):
        raise record.error(f"'split' {data.shown(task.split)} is neither 'train' nor 'test'")
    return task


def _question(record: data.JsonRecord) -> Task:
    """Return the task of a question with a number for an answer; its prompt is the question as a comment, unless given.

    A solution is what follows the prompt, and leaves its number in `answer`.
    """
    task_id, question = record.text("task_id"), record.text("question")
    if problem := _id_problem(task_id):
        raise record.error(f"the task_id {data.shown(task_id)} {problem}")
    if not question.strip():
        raise record.error("'question' is blank")
    prompt = record.text("prompt") if "prompt" in record.fields else gsm8k.commented(question)
    solution = record.text("canonical_solution") if "canonical_solution" in record.fields else ""
    reference = prompt + solution if solution.strip() else ""
    if problem := _compile_problem(reference):
        raise record.error(f"prompt + canonical_solution {problem}")
    if reference and gsm8k.VARIABLE not in bound_names(reference):
        raise record.error(f"prompt + canonical_solution leaves nothing in {gsm8k.VARIABLE!r}")
    return Task(
        task_id=task_id,
        prompt=prompt,
        entry_point=gsm8k.VARIABLE,
        reference=reference,
        tests=NumberTests(expected=_answer(record)),
        statement=Statement(description=question, tests=(), shots=_shots(record, True)),
    )


def _answer(record: data.JsonRecord) -> Fraction:
    """Return a number that is given as a text, or as a whole number of JSON's: others are rounded in reading."""
    value = record.fields["answer"]
    if isinstance(value, int) and not isinstance(value, bool):
        return Fraction(value)
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise record.error('\'answer\' must be a whole number, or a text like "72", "-0.5" or "2/3"')
    return Fraction(value)


def _shots(record: data.JsonRecord, computed: bool) -> tuple[Shot, ...]:
    """Return the solved tasks that a line has its prompt show: of questions with numbers, or of MBPP's format."""
    given = record.fields.get("shots", [])
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise record.error("'shots' must be a list of objects")
    shots = [data.JsonRecord(place=f"{record.place}, shots", fields=one) for one in given]
    return tuple(gsm8k.shot_of(one) if computed else mbpp.shot_of(one) for one in shots)


def _label(record: data.JsonRecord, name: str) -> str | None:
    """Return what a line says about its task beside the format; None without or with an empty text."""
    return record.text(name) or None if name in record.fields else None


def _id_problem(task_id: str) -> str:
    """Return what is wrong with an id, which ends up in messages, tables and file names."""
    if not 1 <= len(task_id) <= MAX_ID_CHARACTERS:
        return f"must have 1 to {MAX_ID_CHARACTERS} characters"
    if not task_id.isprintable() or "\\" in task_id:
        return "holds control characters or backslashes"
    if any(part in ("", ".", "..") or part != part.strip() for part in task_id.split("/")):
        return "looks like a path: write it as in HumanEval/0"
    return ""


def _checked(record: data.JsonRecord, task: Task) -> CheckTests:
    """Return HumanEval tests that define `check`, assert something and know every name that they use."""
    test, entry_point = record.text("test"), task.entry_point
    if problem := _compile_problem(test):
        raise record.error(f"'test' {problem}")
    with warnings.catch_warnings(action="ignore"):
        nodes = list(ast.walk(ast.parse(test)))
    if entry_point == "check" or "check" not in bound_names(test):
        raise record.error("'test' must define check(candidate), and 'entry_point' must have another name")
    if not any(isinstance(node, ast.Assert) for node in nodes):
        raise record.error("'test' asserts nothing, so everything would pass")
    unfinished = (task.prompt, f"{task.prompt.rstrip()}\n    pass\n", "")
    helpers = next(program for program in unfinished if not _compile_problem(program))
    unknown = free_names(test) - bound_names(helpers) - {*dir(builtins), entry_point}
    solution_only = unknown & (top_level_names(task.reference)[0] if task.reference else frozenset())
    if unknown - solution_only and "import *" not in helpers + test:
        name = min(unknown - solution_only)
        raise record.error(f"'test' uses {name!r}, which neither 'prompt' nor 'test' defines")
    remote_names = (entry_point, *sorted(solution_only))
    return CheckTests(source=f"{test}\ncheck({entry_point})\n", helpers=helpers, remote_names=remote_names)


def _compile_problem(program: str) -> str:
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(program, "<task>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"does not compile: {error.msg} (its line {error.lineno})"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"does not compile: {data.shown(error)}"
    return ""
