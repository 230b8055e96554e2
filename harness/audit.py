"""Extraction loss: would a sample that does not pass have passed, had another standard rule made its program?

Each rule of `harness.extraction.RULES` is tried on the completion of every sample that does not pass. Programs that
differ from the one that was judged, and from one another, are judged as any program is. What becomes of them is kept
apart from the run's verdicts and counts in no score.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from harness.answers import answer
from harness.extraction import RULES
from harness.records import COMPARED, ExtractionLoss, Outcome, Sample, Task, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerdict:
    """What became of the program that these other rules, and no further one, make of a sample's completion."""

    task_id: str
    sample_index: int
    rules: tuple[str, ...]
    outcome: Outcome


def others(task: Task, sample: Sample) -> dict[str, tuple[str, ...]]:
    """Return the programs that other rules make of a completion, each with its rules, if not the one that was judged.

    Blanks at the end make no other program. Nothing for a task whose answer is text.
    """
    if isinstance(task.tests, COMPARED):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name, rule in RULES.items():
        program = rule.extract(task, answer(sample)).rstrip()
        if name != sample.extraction and program != sample.program.rstrip():
            found[program] = (*found.get(program, ()), name)
    return found


def is_on_another_program(verdict: Verdict) -> bool:
    """Whether a verdict is on a program that an audit has made: the numbers of such samples are below zero."""
    return verdict.sample_index < 0


class Audit:
    """What becomes of the samples that do not pass by other rules.

    Several programs of one sample are several samples to the judge. Holds a number for each sample that was begun.
    """

    def __init__(
        self, tasks: Mapping[str, Task], stored: Iterable[AuditVerdict], keep: Callable[[AuditVerdict], None]
    ) -> None:
        """Take up what an earlier call has stored. `keep` is given each verdict that is no failure of the machine."""
        self._tasks = tasks
        self._keep = keep
        self._begun: dict[str, set[int]] = {}
        self._done: set[tuple[str, int, tuple[str, ...]]] = set()
        self._under_way: dict[int, AuditVerdict] = {}
        self._numbers = itertools.count(-1, -1)
        self._saved: set[tuple[str, int]] = set()
        self._by_rule: Counter[str] = Counter()
        self._not_judged = 0
        for verdict in stored:
            self._done.add((verdict.task_id, verdict.sample_index, verdict.rules))
            self._count(verdict)

    def begin(self, sample: Sample) -> list[Sample]:
        """Return what is to be judged of a sample that has not passed: its programs by other rules, if not done yet."""
        begun = self._begun.setdefault(sample.task_id, set())
        if sample.sample_index in begun:
            return []
        begun.add(sample.sample_index)
        found = []
        for program, rules in others(self._tasks[sample.task_id], sample).items():
            if (sample.task_id, sample.sample_index, rules) not in self._done:
                number = next(self._numbers)
                self._under_way[number] = AuditVerdict(
                    task_id=sample.task_id,
                    sample_index=sample.sample_index,
                    rules=rules,
                    outcome=Outcome.NOT_JUDGED,
                )
                found.append(replace(sample, program=program, sample_index=number))
        return found

    def settle(self, verdict: Verdict) -> None:
        """Take the verdict on such a program."""
        found = replace(self._under_way.pop(verdict.sample_index), outcome=verdict.outcome)
        self._count(found)
        if found.outcome is not Outcome.NOT_JUDGED:
            self._keep(found)

    def _count(self, verdict: AuditVerdict) -> None:
        if verdict.outcome is Outcome.PASSED:
            self._saved.add((verdict.task_id, verdict.sample_index))
            self._by_rule.update(verdict.rules)
        self._not_judged += verdict.outcome is Outcome.NOT_JUDGED

    def loss(self) -> ExtractionLoss:
        """Return the counts until now; a rule that would have saved nothing is named as well."""
        counts = {rule: self._by_rule[rule] for rule in RULES}
        return ExtractionLoss(samples=len(self._saved), by_rule=counts, not_judged=self._not_judged)
