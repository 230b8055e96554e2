"""Run a program and look at the number that it leaves: the way in which GSM8K's answers are judged.

The number is the value of a global variable when the program has come to its end. Nothing is called, so there is no
call that could be made again; and one number is no table of answers, so no program counts as hardcoded.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from harness.evidence import clean, shown
from harness.findings import Finding, loading_failure, parsed, value_of
from harness.numeric import is_exact, is_near, number_of
from harness.records import Evidence, NumberTests, Outcome, Task
from harness.remote import MAX_VALUE_TEXT
from sandbox import Decoder, Execution, Limits, Program, Sandbox, Session, dumps


def examine_number(sandbox: Sandbox, limits: Limits, task: Task, source: str) -> tuple[Finding, Execution]:
    """Run a program to its end and return what becomes of its number. Raises SandboxError where the machine fails."""
    assert isinstance(task.tests, NumberTests)
    program = Program(source=source, plan=_plan(task.entry_point), operations=1)
    with sandbox.start(program, limits) as session:
        outcome, evidence, is_the_very = _found(session, task.tests)
        finding = Finding(outcome, int(outcome is not None), 1, evidence, exact_passed=is_the_very)
        execution = session.end()
        if session.reply(program.operations + 1) is not None:
            finding = replace(finding, outcome=Outcome.TAMPERED, evidence=Evidence(reason="more replies than calls"))
    return finding, execution


@lru_cache(maxsize=8)
def _plan(variable: str) -> bytes:
    """Return the plan that reads a global variable; the same object for all tasks, so that a cell is sent it once."""
    return dumps([["value", {"n": variable}, [], {}]]).encode()


def _found(session: Session, tests: NumberTests) -> tuple[Outcome | None, Evidence, bool]:
    """Return the outcome, and whether it is a pass with the very number."""
    loaded = session.reply(0)
    if loaded is not None and (loading := loading_failure(parsed(loaded))) is not None:
        return *loading, False
    line = session.reply(1)
    if line is None:
        return None, Evidence(), False
    if len(line) > MAX_VALUE_TEXT:
        return Outcome.FAILED, Evidence(reason=f"a value much larger than a number ({len(line)} bytes)"), False
    value, problem = value_of(line, Decoder())
    if problem is not None:
        return *problem, False
    number = number_of(value)
    if number is not None and is_near(number, tests.expected):
        return Outcome.PASSED, Evidence(), is_exact(number, tests.expected)
    reason = clean(f"no number, but {type(value).__name__}" if number is None else "another number")
    return Outcome.FAILED, Evidence(reason=reason, expected=str(tests.expected), actual=shown(value)), False
