"""Program + tests -> sandbox -> Verdict. The candidate never judges itself.

The program runs in a cell and answers calls with plain data. What is compared with what, and whether that is a pass,
is decided here, in another process on the other side of the wall. A pass needs every assertion of the benchmark to
have held on values that came back; no exit code, printed text or silence can stand in for one.

Three failures are kept apart: the program's becomes an outcome, the machine's is retried and then `not_judged` (a
lost cell) or raised (no engine any more), and a broken benchmark is raised as UsageError.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from typing import Any

from harness.benchmarks.oracles import agrees
from harness.errors import UsageError
from harness.evidence import call_text, clean, shown
from harness.expected import Expected, ExpectedValues
from harness.records import CallTests, CheckTests, Evidence, Outcome, Sample, StopReason, Task, Verdict
from harness.remote import Conversation, Diverged, ProgramEnded, Tampered, Unsendable
from harness.suite import Scores, Suite
from sandbox import CellLost, CodecError, Decoder, Execution, Limits, Program, Sandbox, SandboxClosed, SandboxError, Session, Status, loads

ATTEMPTS = 3
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)
_KEPT_SUITES = 8
_log = logging.getLogger(__name__)

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
class Finding:
    """What the tests found, before it is known what the program used."""

    outcome: Outcome | None  # None: the program ended without an answer, so its end decides
    tests_run: int
    tests_expected: int
    evidence: Evidence
    base_passed: bool | None = None


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

    def judge(self, task: Task, sample: Sample) -> Verdict:
        """Return the verdict on one sample. Raises SandboxError when the machine can run nothing any more."""
        for attempt in range(ATTEMPTS):
            try:
                finding, execution = self._examine_patiently(task, sample)
            except CellLost as error:
                if self._given_up.is_set():
                    raise
                _log.warning("%s[%d]: %s (attempt %d)", task.task_id, sample.sample_index, error, attempt + 1)
                reason = str(error)
                continue
            return _verdict(sample, _settled(finding, execution, self._limits, sample), execution)
        evidence = Evidence(reason=clean(f"the machine failed {ATTEMPTS} times: {reason}"))
        finding = Finding(Outcome.NOT_JUDGED, 0, 0, evidence)
        return _verdict(sample, finding, _NOTHING)

    def _examine_patiently(self, task: Task, sample: Sample) -> tuple[Finding, Execution]:
        """Examine, waiting a while for a machine that cannot make a cell at the moment (an engine restarting)."""
        for pause in PAUSES_SECONDS:
            try:
                return self._examine(task, sample)
            except (CellLost, SandboxClosed):
                raise
            except SandboxError as error:
                _log.warning("%s; trying again in %g s", error, pause)
                self._given_up.wait(pause)
        return self._examine(task, sample)

    def stop(self) -> None:
        """Wait for nothing any more; for the time when the run is given up."""
        self._given_up.set()

    def _examine(self, task: Task, sample: Sample) -> tuple[Finding, Execution]:
        if isinstance(task.tests, CallTests):
            return self._examine_calls(task, task.tests, sample)
        suite = self._suite(task, task.tests)
        try:
            return self._examine_checks(suite, sample, interactive=False)
        except Diverged:
            return self._examine_checks(suite, sample, interactive=True)

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

    def _examine_checks(self, suite: Suite, sample: Sample, interactive: bool) -> tuple[Finding, Execution]:
        """Run a benchmark's own assertions against the program."""
        program = Program(
            source=sample.program,
            plan=b"[]" if interactive else suite.plan.text,
            operations=0 if interactive else len(suite.plan.texts),
            interactive=interactive,
        )
        with self._sandbox.start(program, self._limits) as session:
            conversation = Conversation(session, suite.plan, interactive)
            scores = Scores(lenient=False)
            outcome, evidence = _run_suite(suite, conversation, scores)
            execution = session.end()
            if not interactive and session.reply(program.operations + 1) is not None:
                outcome, evidence = Outcome.TAMPERED, Evidence(reason="more replies than calls")
        return Finding(outcome, scores.begun, max(suite.expected, scores.begun), evidence), execution

    def _examine_calls(self, task: Task, tests: CallTests, sample: Sample) -> tuple[Finding, Execution]:
        """Call the program on every input and compare with the reference's values."""
        expected = self._expected.of(task)
        total = len(expected.lines)
        program = Program(source=sample.program, plan=expected.plan, operations=total)
        with self._sandbox.start(program, self._call_limits(expected)) as session:
            held, outcome, evidence = _compare_all(session, task, tests, expected)
            execution = session.end()
            if session.reply(total + 1) is not None:
                outcome, evidence = Outcome.TAMPERED, Evidence(reason="more replies than calls")
        run = held if outcome is Outcome.PASSED else min(held + 1, total)
        return Finding(outcome, run, total, evidence, held >= len(tests.base_inputs)), execution

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


def _run_suite(suite: Suite, conversation: Conversation, scores: Scores) -> tuple[Outcome | None, Evidence]:
    """Run the tests to their end or first failure; the outcome is None when the program ended without an answer."""
    try:
        loading = _loading_failure(conversation.load())
        if loading is not None:
            return loading
        suite.run(conversation, scores)
    except ProgramEnded:
        return None, Evidence(call=call_text(conversation.last))
    except Tampered as error:
        return Outcome.TAMPERED, Evidence(reason=clean(str(error)), call=call_text(conversation.last))
    except Unsendable as error:
        return _unsendable(str(error)), Evidence(reason=clean(str(error)), call=call_text(conversation.last))
    except Exception as error:  # whatever the benchmark's tests raise over the value that they got
        return _failure(error, conversation, scores)
    if scores.begun == 0:
        raise UsageError("the tests made no assertion, so nothing could be proved")
    return Outcome.PASSED, Evidence()


def _failure(error: Exception, conversation: Conversation, scores: Scores) -> tuple[Outcome, Evidence]:
    call = call_text(conversation.last)
    if error is conversation.raised:
        text = getattr(error, "candidate_text", "exception")
        outcome = Outcome.OUT_OF_MEMORY if isinstance(error, MemoryError) else Outcome.ERROR
        return outcome, Evidence(reason=clean(text), call=call)
    if not isinstance(error, AssertionError):
        reason = f"the test could not use the value: {type(error).__name__}: {error}"
        return Outcome.FAILED, Evidence(reason=clean(reason), call=call)
    if scores.sides is None:
        return Outcome.FAILED, Evidence(reason=clean(f"not true: {scores.source}"), call=call)
    actual, expected = scores.sides
    return Outcome.FAILED, Evidence(
        reason=clean(f"assert {scores.source}"), call=call, expected=shown(expected), actual=shown(actual)
    )


def _loading_failure(reply: list[Any]) -> tuple[Outcome, Evidence] | None:
    """Return what is wrong if the program could not be loaded."""
    kind, *content = reply
    if kind == "ok":
        return None
    if kind == "s" and len(content) == 2:
        return Outcome.SYNTAX, Evidence(reason=clean(str(content[0])))
    if kind == "e" and len(content) == 4:
        name, _ancestor, message, line = content
        outcome = Outcome.OUT_OF_MEMORY if name == "MemoryError" else Outcome.ERROR
        return outcome, Evidence(reason=clean(f"{name}: {message} (line {line}, while loading)"))
    return Outcome.TAMPERED, Evidence(reason="not a reply to loading")


def _compare_all(
    session: Session, task: Task, tests: CallTests, expected: Expected
) -> tuple[int, Outcome | None, Evidence]:
    """Return how many inputs held before the first that did not, and what became of that one."""
    first = session.reply(0)
    if first is None:
        return 0, None, Evidence()
    loading = _loading_failure(_parsed(first))
    if loading is not None:
        return 0, *loading
    inputs = (*tests.base_inputs, *tests.plus_inputs)
    for index, right in enumerate(expected.lines):
        line = session.reply(index + 1)
        if line == right and b"NaN" not in line and not tests.oracle:
            continue  # equal texts are equal values
        operation = ["call", {"n": tests.entry_point}, list(inputs[index])]
        if line is None:
            return index, None, Evidence(call=call_text(operation, plain=True))
        outcome, evidence = _compare(line, right, tests, inputs[index])
        if outcome is not Outcome.PASSED:
            return index, outcome, replace(evidence, call=call_text(operation, plain=True))
    return len(expected.lines), Outcome.PASSED, Evidence()


def _parsed(line: bytes) -> list[Any]:
    try:
        structure = loads(line)
    except CodecError as error:
        return ["?", str(error)]
    return structure if type(structure) is list and structure else ["?"]


def _compare(
    line: bytes, right: bytes, tests: CallTests, arguments: tuple[Any, ...]
) -> tuple[Outcome, Evidence]:
    """Compare one reply with the reference's."""
    kind, *content = _parsed(line)
    if kind == "e" and len(content) == 4:
        outcome = Outcome.OUT_OF_MEMORY if content[0] == "MemoryError" else Outcome.ERROR
        return outcome, Evidence(reason=clean(f"{content[0]}: {content[2]}"))
    if kind == "x" and len(content) == 1:
        return _unsendable(str(content[0])), Evidence(reason=clean(str(content[0])))
    if kind == "h":
        return Outcome.FAILED, Evidence(reason="a value too large to be sent, and not the right one by its digest")
    if kind != "v" or len(content) != 1:
        return Outcome.TAMPERED, Evidence(reason="not a reply to a call")
    decoder = Decoder()
    try:
        actual = decoder.decode(content[0])
    except CodecError as error:
        return Outcome.TAMPERED, Evidence(reason=clean(str(error)))
    form, wanted = loads(right)
    if form == "h":
        return Outcome.FAILED, Evidence(reason="the right value is much larger", actual=shown(actual))
    wanted = decoder.decode(wanted)
    if agrees(tests, arguments, wanted, actual):
        return Outcome.PASSED, Evidence()
    return Outcome.FAILED, Evidence(reason="wrong value", expected=shown(wanted), actual=shown(actual))


def _unsendable(reason: str) -> Outcome:
    return Outcome.OUTPUT_LIMIT if "large" in reason else Outcome.FAILED


def _settled(finding: Finding, execution: Execution, limits: Limits, sample: Sample) -> Finding:
    """Let the program's end decide where the tests could not, and give names to what is not plainly wrong."""
    outcome, evidence = finding.outcome, finding.evidence
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
    if outcome not in (Outcome.PASSED, Outcome.NOT_JUDGED):
        if not sample.completion.strip():
            outcome = Outcome.NO_CODE
        elif sample.stop_reason is StopReason.LENGTH:
            outcome = Outcome.TRUNCATED
    return replace(finding, outcome=outcome, evidence=evidence)


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
    )
