"""Program + tests -> sandbox -> Verdict. The candidate never judges itself.

The program runs in a cell and answers calls with plain data. What is compared with what, and whether that is a pass,
is decided here, in another process on the other side of the wall. A pass needs every assertion of the benchmark to
have held on values that came back; no exit code, printed text or silence can stand in for one.

Three failures are kept apart: the program's becomes an outcome, the machine's is retried and then `not_judged` (a
lost cell) or raised (no engine any more), and a broken benchmark is raised as UsageError.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from harness.answers import says_no_number, shortcoming
from harness.computed import examine_number
from harness.errors import UsageError
from harness.evidence import clean
from harness.expected import Expected, ExpectedValues
from harness.findings import Finding, ValueNeeded, compare_all, run_again, run_suite
from harness.hardcoded import Hardcoded
from harness.records import CallTests, CheckTests, Evidence, NumberTests, Outcome, Sample, Task, TextTests, Verdict
from harness.remote import Conversation, Diverged
from harness.retrieval.answers import examine_ranking
from harness.retrieval.records import PairTests, RankTests
from harness.suite import Scores, Suite
from harness.texts import compare_text
from harness.watchdog import TestsTooSlow, Watchdog
from sandbox import (
    CellLost,
    Execution,
    Limits,
    Program,
    Sandbox,
    SandboxClosed,
    SandboxError,
    Status,
)

ATTEMPTS = 3
BYSTANDING_ATTEMPTS = 100
TESTS_CPU_SECONDS = 20.0
PATIENCE_SECONDS = 15.0  # with an engine that is gone: as long as one takes that is restarted
_PAUSES_SECONDS = (0.5, 4.0)  # the first, and the longest
_KEPT_SUITES = 8
_log = logging.getLogger(__name__)
_Examine = Callable[[str, bool], tuple[Finding, Execution]]  # a source; whether its first call is made again

_ENDED = {
    Status.EXITED: Outcome.CRASHED,
    Status.KILLED: Outcome.CRASHED,
    Status.FINISHED: Outcome.CRASHED,
    Status.STOPPED: Outcome.CRASHED,
    Status.TIMED_OUT: Outcome.TIMEOUT,
    Status.OUT_OF_MEMORY: Outcome.OUT_OF_MEMORY,
    Status.OUTPUT_LIMIT: Outcome.OUTPUT_LIMIT,
}


@dataclass(frozen=True, slots=True)
class EvalPlusRule:
    """EvalPlus's time rule, in CPU seconds: per call max(`least`, `factor` x the reference's), and their sum capped."""

    least: float = 4.0
    factor: float = 4.0
    most: float = 60.0


class Judge:
    """Judges the samples of one benchmark run. Safe to use from several threads."""

    def __init__(self, sandbox: Sandbox, limits: Limits, rule: EvalPlusRule | None = None) -> None:
        self._sandbox = sandbox
        self._limits = limits
        self._rule = rule or EvalPlusRule()
        self._expected = ExpectedValues(sandbox, limits.memory_bytes)
        self._suites: dict[str, Suite] = {}
        self._lock = threading.Lock()
        self._given_up = threading.Event()
        self._watchdog = Watchdog(TESTS_CPU_SECONDS)
        self._is_hardcoded = Hardcoded(self._expected.answers)

    def judge(self, task: Task, sample: Sample) -> Verdict:
        """Return the verdict on one sample. Raises SandboxError when the machine can run nothing any more."""
        losses = bystanding = 0
        while losses < ATTEMPTS and bystanding < BYSTANDING_ATTEMPTS:
            try:
                finding, execution = self._examine_patiently(task, sample)
            except CellLost as error:
                if self._given_up.is_set():
                    raise
                # A program that had not begun had no part in the loss of its cell: another one's doing.
                losses, bystanding = losses + error.begun, bystanding + (not error.begun)
                _log.log(logging.WARNING if error.begun else logging.INFO, "%s: %s", sample_name(sample), error)
                reason = str(error)
                continue
            verdict = _verdict(sample, _settled(finding, execution, self._limits, sample), execution)
            return replace(verdict, hardcoded=verdict.passed and self._is_hardcoded(task, sample.program))
        evidence = Evidence(reason=clean(f"the machine failed {losses + bystanding} times: {reason}"))
        finding = Finding(Outcome.NOT_JUDGED, 0, 0, evidence)
        return _verdict(sample, finding, _NOTHING)

    def _examine_patiently(self, task: Task, sample: Sample) -> tuple[Finding, Execution]:
        """Examine, waiting a while for a machine that cannot make a cell at the moment (an engine restarting)."""
        pause, end = _PAUSES_SECONDS[0], math.inf
        while True:
            try:
                return self._examine(task, sample)
            except (CellLost, SandboxClosed):
                raise
            except SandboxError as error:
                now = time.monotonic()
                end = min(end, now + PATIENCE_SECONDS)
                if now >= end or self._given_up.is_set():
                    raise
                _log.warning("%s; trying again in %g s", error, pause)
                self._given_up.wait(pause)
                pause = min(2 * pause, _PAUSES_SECONDS[1])

    def seconds(self, task: Task) -> float:
        """Return the CPU time of a task's reference where an earlier run has found it, else 0."""
        return self._expected.seconds(task) if isinstance(task.tests, CallTests) else 0.0

    def stop(self) -> None:
        """Wait for nothing any more; for the time when the run is given up."""
        self._given_up.set()

    def _examine(self, task: Task, sample: Sample) -> tuple[Finding, Execution]:
        if isinstance(task.tests, TextTests):
            return compare_text(task, task.tests, sample), _NOTHING
        if isinstance(task.tests, (RankTests, PairTests)):
            return examine_ranking(task.tests, sample), _NOTHING
        if isinstance(task.tests, CallTests):
            return self._examine_calls(task, task.tests, sample)
        if isinstance(task.tests, NumberTests):
            return examine_number(self._sandbox, self._limits, task, sample.program)
        suite = self._suite(task, task.tests)
        try:
            return self._with_first_again(task, sample, partial(self._examine_checks, suite, False))
        except Diverged:
            return self._with_first_again(task, sample, partial(self._examine_checks, suite, True))

    def _with_first_again(self, task: Task, sample: Sample, examine: _Examine) -> tuple[Finding, Execution]:
        """Examine a program with its first call made again behind all others: it must be answered as well as before.

        That does not count where the reference itself does otherwise (it keeps a state, or draws lots), and time not
        where the program needs half of its own without it.
        """
        finding, execution = examine(sample.program, True)
        if not finding.again:
            return finding, execution
        without = examine(sample.program, False)
        used, limit = without[1].cpu_seconds, self._limits.cpu_seconds
        if execution.is_wall_cut:
            used, limit = without[1].wall_seconds, self._limits.wall_seconds
        if execution.status is Status.TIMED_OUT and used > limit / 2:
            return without
        reference, _ = examine(task.reference, True)
        return (finding, execution) if reference.outcome is Outcome.PASSED else without

    def _suite(self, task: Task, tests: CheckTests) -> Suite:
        with self._lock:
            suite = self._suites.get(task.task_id)
            if suite is None:
                try:
                    suite = Suite(tests)
                except (SyntaxError, ValueError) as error:
                    raise UsageError(f"{task.task_id}: its tests do not compile: {error}") from error
                self._suites[task.task_id] = suite
                while len(self._suites) > _KEPT_SUITES:
                    del self._suites[next(iter(self._suites))]
            return suite

    def _examine_checks(self, suite: Suite, interactive: bool, source: str, again: bool) -> tuple[Finding, Execution]:
        """Run a benchmark's own assertions against the program."""
        plan = suite.plan
        program = Program(
            source=source,
            plan=b"[]" if interactive else plan.text_again if again else plan.text,
            operations=0 if interactive else len(plan.texts) + (again and plan.is_repeatable),
            interactive=interactive,
        )
        is_first_left = False
        with self._sandbox.start(program, self._limits) as session:
            conversation = Conversation(session, suite.plan, interactive)
            scores = Scores(lenient=False)
            try:
                with self._watchdog.watching():
                    outcome, evidence = run_suite(suite, conversation, scores)
                    if outcome is Outcome.PASSED and again and conversation.is_repeatable:
                        outcome, evidence = run_again(suite, conversation)
                        is_first_left = outcome is not Outcome.PASSED
            except TestsTooSlow:
                outcome, evidence = Outcome.TIMEOUT, Evidence(reason="the tests came to no end over its values")
            execution = session.end()
            if not interactive and session.reply(program.operations + 1) is not None:
                outcome, evidence = Outcome.TAMPERED, Evidence(reason="more replies than calls")
        expected = max(suite.expected, scores.begun)
        return Finding(outcome, scores.begun, expected, evidence, again=is_first_left), execution

    def _examine_calls(self, task: Task, tests: CallTests, sample: Sample) -> tuple[Finding, Execution]:
        """Call the program on every input and compare with the reference's values.

        Long values come as digests at first. Special rules look at values, as does the tolerance where digests differ.
        """
        if not tests.oracle:
            with contextlib.suppress(ValueNeeded):
                return self._with_first_again(task, sample, partial(self._compare_calls, task, tests, False))
        return self._with_first_again(task, sample, partial(self._compare_calls, task, tests, True))

    def _compare_calls(
        self, task: Task, tests: CallTests, whole: bool, source: str, again: bool
    ) -> tuple[Finding, Execution]:
        expected = self._expected.of(task, whole)
        total = len(expected.lines)
        plan = expected.plan_again if again else expected.plan
        program = Program(source=source, plan=plan, operations=total + (again and total > 0))
        with self._sandbox.start(program, self._call_limits(expected)) as session:
            held, outcome, evidence = compare_all(session, tests, expected, whole, again)
            execution = session.end()
            if session.reply(program.operations + 1) is not None:
                outcome, evidence = Outcome.TAMPERED, Evidence(reason="more replies than calls")
        run = held if outcome is Outcome.PASSED else min(held + 1, total)
        is_first_left = outcome is not Outcome.PASSED and held == total
        base_passed = held >= len(tests.base_inputs) and not is_first_left
        return Finding(outcome, run, total, evidence, base_passed, again=is_first_left), execution

    def _call_limits(self, expected: Expected) -> Limits:
        rule = self._rule
        each = [max(rule.least, rule.factor * seconds) for seconds in expected.seconds]
        cpu = min(rule.most, sum(each)) + 1.0
        # A reference that needs most of that by itself may be slower on another day.
        cpu = max(cpu, rule.factor * sum(expected.seconds))
        return replace(
            self._limits,
            cpu_seconds=cpu,
            wall_seconds=2 * cpu + self._limits.wall_seconds,
            call_cpu_seconds=max(each, default=rule.least),
            reply_bytes=self._limits.reply_bytes + 2 * sum(map(len, expected.lines)),
        )


def sample_name(sample: Sample) -> str:
    """Return how messages name a sample."""
    return f"{sample.task_id}[{sample.sample_index}]"


def _settled(finding: Finding, execution: Execution, limits: Limits, sample: Sample) -> Finding:
    """Let the program's end decide where the tests could not, and give names to what is not plainly wrong."""
    outcome, evidence = finding.outcome, finding.evidence
    wall_cut = execution.is_wall_cut and outcome in (None, Outcome.PASSED)
    if outcome is None:
        outcome = _ENDED[execution.status]
        reason = execution.detail
        if outcome is Outcome.CRASHED:
            reason = f"the process ended before it had answered: {execution.detail}"
        evidence = replace(evidence, reason=reason)
    elif outcome is Outcome.PASSED and execution.status is Status.TIMED_OUT:
        outcome, evidence = Outcome.TIMEOUT, Evidence(reason=execution.detail)
    elif outcome is Outcome.OUT_OF_MEMORY and execution.peak_memory_bytes < limits.memory_bytes // 2:
        outcome = Outcome.ERROR  # it says MemoryError, but the counters do not
    if outcome not in (Outcome.PASSED, Outcome.NOT_JUDGED) and not says_no_number(outcome, sample):
        outcome = shortcoming(sample) or outcome
    return replace(finding, outcome=outcome, evidence=evidence, wall_cut=wall_cut)


_NOTHING = Execution(
    status=Status.STOPPED, detail="", cpu_seconds=0.0, wall_seconds=0.0, peak_memory_bytes=0, output=b""
)


def _verdict(sample: Sample, finding: Finding, execution: Execution) -> Verdict:
    outcome = finding.outcome or Outcome.CRASHED
    evidence = finding.evidence
    if execution.output and outcome is not Outcome.PASSED:
        evidence = replace(evidence, output=clean(execution.output.decode("utf-8", "replace")))
    return Verdict(
        task_id=sample.task_id,
        sample_index=sample.sample_index,
        outcome=outcome,
        passed=outcome is Outcome.PASSED,
        tests_run=finding.tests_run,
        tests_expected=finding.tests_expected,
        evidence=evidence,
        cpu_seconds=round(execution.cpu_seconds, 6),
        wall_seconds=round(execution.wall_seconds, 6),
        peak_memory_bytes=execution.peak_memory_bytes,
        base_passed=finding.base_passed,
        wall_cut=finding.wall_cut,
        exact_passed=finding.exact_passed and outcome is Outcome.PASSED,
        exits=finding.exits,
    )
