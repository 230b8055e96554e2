"""Extraction loss: what other rules would have made of samples that do not pass, judged apart from the scores."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import made_verdicts
import pytest
from made_verdicts import sample, verdict

from harness.audit import Audit, AuditVerdict, is_on_another_program, others
from harness.extraction import RULES
from harness.judging import Work, judge_all
from harness.known import KnownVerdicts
from harness.records import ExtractionLoss, Outcome, Sample, Task, Verdict

PROMPT = "def f(x):\n"
TASKS = {name: replace(task, prompt=PROMPT) for name, task in made_verdicts.TASKS.items()}
PROSE = "It is easy:\n```python\ndef f(x):\n    return x\n```\nThat is all."
RULE = "prompt-and-completion"


def written(completion: str, index: int = 0, task: str = "A") -> Sample:
    """Return a sample whose program is its prompt and all that follows."""
    return sample(PROMPT + completion, index, task, completion=completion, extraction=RULE)


def audited(
    failed: list[Sample],
    outcome: Callable[[str], Outcome],
    stored: tuple[AuditVerdict, ...] = (),
    tasks: dict[str, Task] = TASKS,
) -> tuple[ExtractionLoss, list[AuditVerdict], list[str]]:
    """Audit with a judge that goes by the program's text; also return what was kept, and the programs it was given."""
    kept: list[AuditVerdict] = []
    judged: list[str] = []

    def judge(one: Sample) -> Verdict:
        judged.append(one.program)
        return verdict(one, outcome(one.program))

    def work(keep: Callable[[Verdict], None]) -> Work:
        return Work(judge=judge, keep=keep, give_up=lambda: None, capacity=1)

    found = Audit(tasks, stored, kept.append)
    with closing(KnownVerdicts(tasks, ("test",))) as known:
        judge_all((one for sample in failed for one in found.begin(sample)), work(found.settle), known)
    return found.loss(), kept, judged


def by_text(program: str) -> Outcome:
    return Outcome.PASSED if program.rstrip().endswith("    return x") else Outcome.SYNTAX


def test_a_sample_that_another_rule_would_have_saved_is_counted_once_and_for_each_such_rule() -> None:
    loss, kept, _ = audited([written(PROSE), written("    retrun x", 1)], by_text)
    saving = {name for name, rule in RULES.items() if by_text(rule.extract(TASKS["A"], PROSE)) is Outcome.PASSED}
    assert saving
    assert loss == ExtractionLoss(samples=1, by_rule={name: int(name in saving) for name in RULES})
    assert {rule for one in kept if one.outcome is Outcome.PASSED for rule in one.rules} == saving
    assert {one.sample_index for one in kept if one.outcome is Outcome.PASSED} == {0}


def test_only_other_programs_are_judged_each_once() -> None:
    same = [written(PROSE, index) for index in range(3)]
    _, kept, judged = audited(same, by_text)
    programs = {rule.extract(TASKS["A"], PROSE).rstrip() for name, rule in RULES.items() if name != RULE}
    assert sorted(judged) == sorted(programs - {same[0].program.rstrip()})
    assert len(kept) == 3 * len(judged)  # each sample has a line, found once for all


def test_blanks_behind_a_program_make_no_other_one() -> None:
    whole = PROMPT + "    return 7"
    rules = {name for names in others(TASKS["A"], written("    return 7\n\n")).values() for name in names}
    assert all(RULES[name].extract(TASKS["A"], "    return 7\n\n").rstrip() != whole for name in rules)
    assert RULE not in rules


def test_a_task_whose_answer_is_text_has_no_loss() -> None:
    assert others(TASKS["text"], written(PROSE, task="text")) == {}


def test_what_is_stored_is_counted_and_not_judged_again() -> None:
    first, kept, judged = audited([written(PROSE)], by_text)
    assert judged
    again, more, none = audited([written(PROSE)], by_text, tuple(kept))
    assert (again, more, none) == (first, [], [])
    rest, more, some = audited([written(PROSE)], by_text, tuple(kept[1:]))
    assert (rest, more, len(some)) == (first, kept[:1], 1)


def test_what_the_machine_could_not_judge_is_neither_kept_nor_a_loss() -> None:
    loss, kept, judged = audited([written(PROSE)], lambda _: Outcome.NOT_JUDGED)
    assert (loss.samples, kept, loss.not_judged) == (0, [], len(judged))
    assert not any(loss.by_rule.values())


def test_a_sample_is_begun_once_and_its_programs_are_told_from_those_of_the_run() -> None:
    found = Audit(TASKS, (), lambda _: None)
    programs = found.begin(written(PROSE))
    assert programs
    assert found.begin(written(PROSE)) == []
    assert all(is_on_another_program(verdict(one, Outcome.FAILED)) for one in programs)
    assert not is_on_another_program(verdict(written(PROSE), Outcome.FAILED))
    assert len({one.sample_index for one in [*programs, *found.begin(written(PROSE, 1))]}) == 2 * len(programs)


def test_what_judging_raises_is_raised() -> None:
    seen: list[str] = []

    def fails(program: str) -> Outcome:
        seen.append(program)
        if len(seen) == 2:
            raise RuntimeError("the machine failed")
        return Outcome.SYNTAX

    with pytest.raises(RuntimeError, match="the machine failed"):
        audited([written(PROSE)], fails)
