"""Extraction loss: would a sample that does not pass have passed, had another standard rule made its program?

Each rule of `harness.extraction.RULES` is tried on the completion of every sample that does not pass. Programs that
differ from the one that was judged, and from one another, are judged as any program is. What becomes of them is kept
apart from the run's verdicts and counts in no score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from harness.answers import answer
from harness.extraction import RULES
from harness.judging import Work, judge_all
from harness.known import KnownVerdicts
from harness.records import ExtractionLoss, Outcome, Sample, Task, TextTests, Verdict

Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerdict:
    """What became of the program that these other rules, and no further one, make of a sample's completion."""

    task_id: str
    sample_index: int
    rules: tuple[str, ...]
    outcome: Outcome


@dataclass(slots=True)
class Losses:
    """Counts what other rules would have saved; holds a number for each sample that they would."""

    saved: Counter[Key]
    by_rule: Counter[str]
    not_judged: int = 0

    def add(self, verdict: AuditVerdict) -> None:
        """Count one verdict."""
        if verdict.outcome is Outcome.PASSED:
            self.saved[verdict.task_id, verdict.sample_index] += 1
            self.by_rule.update(verdict.rules)
        self.not_judged += verdict.outcome is Outcome.NOT_JUDGED

    def loss(self) -> ExtractionLoss:
        """Return the counts; a rule that would have saved nothing is named as well."""
        counts = {rule: self.by_rule[rule] for rule in RULES}
        return ExtractionLoss(samples=len(self.saved), by_rule=counts, not_judged=self.not_judged)


def others(task: Task, sample: Sample) -> dict[str, tuple[str, ...]]:
    """Return the programs that other rules make of a completion, each with its rules, if not the one that was judged.

    Blanks at the end make no other program. Nothing for a task whose answer is text.
    """
    if isinstance(task.tests, TextTests):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name, rule in RULES.items():
        program = rule.extract(task, answer(sample)).rstrip()
        if name != sample.extraction and program != sample.program.rstrip():
            found[program] = (*found.get(program, ()), name)
    return found


def audit(
    failed: Iterable[Sample],
    tasks: Mapping[str, Task],
    known: KnownVerdicts,
    stored: Iterable[AuditVerdict],
    work: Callable[[Callable[[Verdict], None]], Work],
    keep: Callable[[AuditVerdict], None],
) -> ExtractionLoss:
    """Judge what other rules make of the samples that `failed`, but for what is `stored`, and return the loss.

    `work` says how to judge, given what to do with a verdict; each that is no failure of the machine is handed to
    `keep`. Raises what judging raises.
    """
    losses = Losses(saved=Counter(), by_rule=Counter())
    done = set()
    for verdict in stored:
        done.add((verdict.task_id, verdict.sample_index, verdict.rules))
        losses.add(verdict)
    under_way: dict[int, AuditVerdict] = {}

    def variants() -> Iterator[Sample]:
        number = 0
        for sample in failed:
            for program, rules in others(tasks[sample.task_id], sample).items():
                if (sample.task_id, sample.sample_index, rules) in done:
                    continue
                under_way[number] = AuditVerdict(
                    task_id=sample.task_id,
                    sample_index=sample.sample_index,
                    rules=rules,
                    outcome=Outcome.NOT_JUDGED,
                )
                # Several programs of one sample are several samples to the judge.
                yield replace(sample, program=program, sample_index=number)
                number += 1

    def settle(verdict: Verdict) -> None:
        found = replace(under_way.pop(verdict.sample_index), outcome=verdict.outcome)
        losses.add(found)
        if found.outcome is not Outcome.NOT_JUDGED:
            keep(found)

    judge_all(variants(), work(settle), known)
    return losses.loss()
