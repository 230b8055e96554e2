"""Does the seam between programs and their judge hold here and now? Five programs, before anything is scored.

A right program must pass, a wrong one must fail, and three that cheat must get what cheating gets. Where one does not,
the sandbox and the judge of this machine cannot be believed, and no score is better than a false one.
`harness selftest` asks the same of the whole hostile suite.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from harness.errors import MeasurementInvalid
from harness.judge import EvalPlusRule, Judge
from harness.records import Benchmark, CallTests, CheckTests, NumberTests, Outcome, Sample, StopReason, Task, Verdict
from sandbox import Limits, Sandbox, hostile_program

CHECKED = Task(
    task_id="Demo/check",
    prompt="",
    entry_point="add",
    reference="def add(x, y):\n    return x + y\n",
    tests=CheckTests(
        source="""
def check(candidate):
    assert candidate(1, 2) == 3
    assert candidate(2, 3) == 5
    assert abs(candidate(0.5, 0.25) - 0.75) < 1e-6
    assert candidate(-1, 1) == 0
check(add)
""",
        remote_names=("add",),
    ),
)
CALLED = replace(
    CHECKED,
    task_id="Demo/call",
    tests=CallTests(entry_point="add", base_inputs=((1, 2), (2, 3)), plus_inputs=((0.5, 0.25), (-1, 1))),
)
COMPUTED = replace(
    CHECKED,
    task_id="Demo/number",
    entry_point="answer",
    reference=f"{CHECKED.reference}answer = add(1, 2)\n",
    tests=NumberTests(expected=Fraction(3)),
)
TASKS = {"check": CHECKED, "call": CALLED}
WRONG = "def add(x, y):\n    return x - y\n"
CHEATS = ("object equal to everything", "answers for all calls, then leaves", "leaves at import")


def sample_of(task: Task, program: str) -> Sample:
    """Return a program as a sample of a task."""
    return Sample(
        task_id=task.task_id, sample_index=0, completion=program, program=program, stop_reason=StopReason.FILE
    )


def see_that_it_holds(sandbox: Sandbox, memory_bytes: int, benchmark: Benchmark) -> None:
    """Judge the five programs in the way in which the benchmark's tasks are judged.

    Does nothing for one that runs no programs. Raises MeasurementInvalid when one does not get what it must.
    """
    if not benchmark.runs_programs:
        return
    judge = Judge(sandbox, Limits(memory_bytes=memory_bytes), EvalPlusRule())
    task, ending = _task_for(benchmark), ""
    if isinstance(task.tests, NumberTests):
        ending = task.reference.removeprefix(CHECKED.reference)
    wanted = {
        "a right program": (task.reference, {Outcome.PASSED}),
        "a wrong program": (WRONG + ending, {Outcome.FAILED}),
    }
    for name in CHEATS:
        cheat = hostile_program(name)
        allowed = set(cheat.outcomes_of_calls if isinstance(task.tests, CallTests) else cheat.outcomes)
        if isinstance(task.tests, NumberTests):
            allowed.add(Outcome.TAMPERED)  # of what answers four calls, where one value is read
        wanted[f"a program that cheats ({name})"] = (cheat.source_on({}) + ending, set(map(Outcome, allowed)))
    for name, (program, outcomes) in wanted.items():
        verdict = judge.judge(task, sample_of(task, program))
        if verdict.outcome not in outcomes:
            raise MeasurementInvalid(_refusal(name, outcomes, verdict, sandbox))


def _task_for(benchmark: Benchmark) -> Task:
    """Return the task of ours that is judged as the benchmark's are."""
    kinds = {type(task.tests) for task in benchmark.tasks}
    return CALLED if CallTests in kinds else COMPUTED if NumberTests in kinds else CHECKED


def _refusal(name: str, wanted: set[Outcome], verdict: Verdict, sandbox: Sandbox) -> str:
    reason = f" ({verdict.evidence.reason})" if verdict.evidence.reason else ""
    return (
        f"the self-check failed, so nothing is scored: in the {sandbox.name} sandbox {name} is judged "
        f"`{verdict.outcome}`{reason}, not `{'` or `'.join(sorted(wanted))}`. "
        f"See what else does not hold: `harness selftest --sandbox {sandbox.name}`"
    )
