"""A quick test for many tasks at once: which of them a function may solve, from the first calls of their tests.

One program of the sandbox is asked the first calls of the tests of every task with the right number of arguments, and
the tests are run on the trusted side over what came back, up to where the answers end. Who passes is not said here:
those that get through are judged by `harness.judge`. What passes a task's tests is turned away in two cases only: it
takes more than 0.2 s of CPU time for one of the first calls, or it answers differently for having been called before
(a counter in a global), since one process serves all tasks.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.calling import replies_of
from harness.errors import UsageError
from harness.expected import Expected
from harness.findings import compare_all, run_suite
from harness.records import CallTests, CheckTests, Outcome, Task
from harness.rehearsal import encode_operation
from harness.remote import Conversation, Diverged
from harness.suite import Scores, Suite
from harness.syntax import parse_source
from harness.watchdog import TestsTooSlow, Watchdog
from sandbox import CellLost, Execution, Limits, Program, Sandbox, Status, dumps

CALLS = 3  # of each task; a predicate's answers agree by chance once in eight
ALIAS = "__asked__"
CALL_CPU_SECONDS = 0.2
MAX_DEATHS = 30  # of the process that is asked; a function that ends it more often is not asked on
_REFERENCE_CPU_SECONDS = 30.0
_TESTS_CPU_SECONDS = 20.0
_KEPT_CHARACTERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A function at the top of a program that anybody wrote, with the fewest and most arguments that it takes."""

    name: str
    program: str
    function: str
    fewest: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortlist:
    """The ids of the tasks that a candidate may solve, and of those that it ended too often to be asked about.

    `slow` counts the tasks that it did not answer in time, which are not among the possible ones. `reason` says why
    there are unknown ones, and `machine_failed` whose doing that is.
    """

    asked: int
    possible: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    slow: int = 0
    reason: str = ""
    machine_failed: bool = False


class Target:
    """One task with the first calls of its tests. `lengths` are the numbers of arguments of all of them."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.suite: Suite | None = None
        self.expected: Expected | None = None
        self.is_plain = False  # its tests catch no exception
        self._refused: set[bytes] = set()  # first answers that the tests find wrong: many functions give the same ones
        self._calls = self._planned(task)
        self.lengths = {len(arguments) + len(keywords) for _, _, arguments, keywords in self._calls}
        self.operations = self.all_operations()[:CALLS]

    def _planned(self, task: Task) -> list[list[Any]]:
        """Return the calls that its tests make of the entry point, up to the first that depends on an answer."""
        if isinstance(task.tests, CallTests):
            inputs = (*task.tests.base_inputs, *task.tests.plus_inputs)
            return [encode_operation("call", {}, list(arguments), {}) for arguments in inputs]
        if not isinstance(task.tests, CheckTests):
            return []
        try:
            self.suite = Suite(task.tests)
        except (SyntaxError, ValueError) as error:
            raise UsageError(f"{task.task_id}: its tests do not compile: {error}") from error
        nodes = ast.walk(parse_source(task.tests.source))
        self.is_plain = not any(isinstance(node, ast.Try | ast.With | ast.AsyncWith) for node in nodes)
        calls = []
        for operation, depends in zip(self.suite.plan.operations, self.suite.plan.has_references, strict=True):
            if depends or operation[0] != "call" or operation[1] != {"n": task.entry_point}:
                break
            calls.append(operation)
        return calls

    def all_operations(self) -> list[str]:
        """Return the calls, addressed to whoever is asked."""
        return [dumps([verb, {"n": ALIAS}, arguments, keywords]) for verb, _, arguments, keywords in self._calls]

    def fits(self, candidate: Candidate) -> bool:
        """Whether the candidate takes as many arguments as the tests give."""
        return bool(self.lengths) and candidate.fewest <= min(self.lengths) and max(self.lengths) <= candidate.most

    def may_pass(self, lines: list[bytes], watchdog: Watchdog) -> bool:
        """Whether the tests find nothing wrong with these replies to their first calls."""
        if self.is_plain and lines and (lines[0].startswith(b'["e"') or lines[0] in self._refused):
            return False
        may = self._may_pass(lines, watchdog)
        if self.is_plain and not may and len(lines[0]) < _KEPT_CHARACTERS and not self._may_pass(lines[:1], watchdog):
            self._refused.add(lines[0])
        return may

    def _may_pass(self, lines: list[bytes], watchdog: Watchdog) -> bool:
        heard = _Heard([b'["ok"]', *lines])
        if isinstance(self.task.tests, CallTests):
            if self.expected is None:
                return True
            _, outcome, _ = compare_all(heard, self.task.tests, self.expected)
            return outcome in (None, Outcome.PASSED)
        if self.suite is None:
            return False
        try:
            with watchdog.watching():
                outcome, _ = run_suite(
                    self.suite, Conversation(heard, self.suite.plan, interactive=False), Scores(lenient=False)
                )
        except Diverged:
            return True
        except TestsTooSlow:
            return False
        return outcome in (None, Outcome.PASSED)


class _Heard:
    """Replies that have come already, where a session would be; see `sandbox.Session`."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def reply(self, index: int) -> bytes | None:
        return self._lines[index] if index < len(self._lines) else None

    def send(self, operation: bytes) -> None:
        raise AssertionError("its conversation is not interactive, so nothing is sent")

    def end(self) -> Execution:
        raise AssertionError("its conversation is not interactive, so nothing is ended")


class Prober:
    """Asks candidates in the cells of one sandbox. Safe to use from several threads."""

    def __init__(self, sandbox: Sandbox, memory_bytes: int) -> None:
        self._sandbox = sandbox
        self._watchdog = Watchdog(_TESTS_CPU_SECONDS)
        self._limits = Limits(
            cpu_seconds=60.0, wall_seconds=120.0, call_cpu_seconds=CALL_CPU_SECONDS, memory_bytes=memory_bytes
        )
        self._reference_limits = Limits(
            cpu_seconds=_REFERENCE_CPU_SECONDS, wall_seconds=120.0, memory_bytes=memory_bytes
        )

    def learn(self, target: Target) -> None:
        """Have a task's own solution answer its first calls, where the tests compare with what that returns."""
        task = target.task
        if isinstance(task.tests, CallTests):
            source = asked(task.reference, task.entry_point)
            lines, _ = self._run(source, _plan((target,)), len(target.operations), self._reference_limits)
            if lines[:1] == [b'["ok"]'] and len(lines) == 1 + len(target.operations):
                target.expected = Expected(plan=b"", lines=tuple(lines[1:]), seconds=())

    def about(self, targets: Sequence[Target]) -> Callable[[Candidate], Shortlist]:
        """Return what asks a candidate about those of the targets that fit it."""
        plans: dict[tuple[int, int], tuple[tuple[Target, ...], bytes]] = {}

        def ask(candidate: Candidate) -> Shortlist:
            key = (candidate.fewest, candidate.most)
            if key not in plans:  # the same object for all candidates that take as many arguments
                fitting = tuple(target for target in targets if target.fits(candidate))
                plans.setdefault(key, (fitting, _plan(fitting)))
            try:
                return self._ask(candidate, *plans[key])
            except CellLost as error:
                reason = f"the machine failed: {error}"
                unknown = tuple(one.task.task_id for one in plans[key][0])
                return Shortlist(asked=0, unknown=unknown, reason=reason, machine_failed=True)

        return ask

    def _ask(self, candidate: Candidate, targets: tuple[Target, ...], plan: bytes) -> Shortlist:
        source = asked(candidate.program, candidate.function)
        possible: list[str] = []
        slow = deaths = 0
        left = targets
        while left and deaths < MAX_DEATHS:
            lines, status = self._run(source, plan, sum(len(target.operations) for target in left), self._limits)
            if not lines or lines[0] != b'["ok"]':
                return Shortlist(asked=0)  # it cannot be loaded, so it passes nothing
            answered = 0
            place = 1
            for target in left:
                heard = lines[place : place + len(target.operations)]
                place += len(target.operations)
                if len(heard) < len(target.operations):
                    break
                answered += 1
                if target.may_pass(heard, self._watchdog):
                    possible.append(target.task.task_id)
            # The call that ended the process was of the first task that is not answered: it does not pass that one.
            if answered < len(left):
                slow += status is Status.TIMED_OUT
                deaths += 1
            left = left[answered + 1 :]
            plan = _plan(left)
        unknown = tuple(target.task.task_id for target in left)
        return Shortlist(
            asked=len(targets) - len(unknown),
            possible=tuple(possible),
            unknown=unknown,
            slow=slow,
            reason=f"it ended its process {deaths} times" if unknown else "",
        )

    def values(self, candidate: Candidate, target: Target) -> list[bytes]:
        """Return what the candidate answers to all calls of a task's tests that can be told beforehand."""
        calls = target.all_operations()
        plan = f"[{','.join(calls)}]".encode()
        lines, _ = self._run(asked(candidate.program, candidate.function), plan, len(calls), self._reference_limits)
        return lines[1:]

    def _run(self, source: str, plan: bytes, operations: int, limits: Limits) -> tuple[list[bytes], Status]:
        """Return the replies, that to loading first, and how the program ended."""
        return replies_of(self._sandbox, Program(source=source, plan=plan, operations=operations), limits)


def asked(program: str, function: str, name: str = ALIAS) -> str:
    """Return the program with its function under the name by which it is asked."""
    return program if function == name else f"{program}\n\n{name} = {function}\n"


def _plan(targets: tuple[Target, ...]) -> bytes:
    return f"[{','.join(text for target in targets for text in target.operations)}]".encode()
