"""The gate for runs that stop once the paired test is decided: the same four answers, from evidence that may be
looked at after every task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.compare import compare
from harness.errors import UsageError
from harness.gate import GateFinding, GateOutcome, GateResult, GateRules, why_not_valid
from harness.paired import holm
from harness.runs import Baseline, Run, baseline_of, by_benchmark
from harness.sequential import PairedBets, random_order


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """The tasks of a run until the test was decided, or all of them."""

    run: Run
    baseline: Baseline
    own: Baseline
    bets: PairedBets
    tasks: tuple[str, ...]
    planned: int


def gate_sequentially(runs: Sequence[Run], baselines: Sequence[Baseline], rules: GateRules) -> GateResult:
    """Hold whole runs, and such as stopped early, against baselines.

    A drop beyond the allowed one is shown where its p-value, valid at any time and corrected for the number of runs
    (Holm), is at most alpha; it is excluded at alpha/2 at any time, or by the interval of a whole run. Raises
    UsageError as `harness.gate.gate` does, and for rules that only a whole run can answer.
    """
    see_rules_fit(rules)
    by_name = by_benchmark(baselines)
    findings: list[GateFinding] = []
    walks: list[_Walk] = []
    for run in runs:
        own, baseline = run.baseline(), baseline_of(run.config.benchmark, by_name)
        tasks = frozenset(run.config.task_ids) if own.stopped_early else frozenset(own.counts)
        reason = why_not_valid(own, baseline, tasks) or _why_not_random(run)
        if reason:
            findings.append(GateFinding(subject=own.benchmark, outcome=GateOutcome.NOT_VALID, reason=reason))
        else:
            walks.append(_walk(run, own, baseline, rules, len(runs)))
    adjusted = holm([walk.bets.beyond.p_value for walk in walks])
    findings += [_answer(walk, p, rules) for walk, p in zip(walks, adjusted, strict=True)]
    return GateResult(findings=tuple(findings), rules=rules)


def see_rules_fit(rules: GateRules) -> None:
    """Raise UsageError for rules that a run which stops early cannot answer."""
    if rules.minimum or rules.tier_max_drop is not None:
        raise UsageError("--min and --tier-max-drop need a whole run: leave them or --sequential out")
    if rules.half:
        raise UsageError("--sequential asks tasks of both halves: leave it or --half out")


def _why_not_random(run: Run) -> str:
    """Return why the tasks that a run has reached say nothing about the others; empty if they do, or it is whole."""
    if run.config.sequential or not run.report.stopped_early:
        return ""
    return "a time limit has ended the run, and its tasks were in no random order: evaluate it again to go on"


def _walk(run: Run, own: Baseline, baseline: Baseline, rules: GateRules, benchmarks: int) -> _Walk:
    """Settle the bets, task by task, until they decide."""
    before, after = baseline.rates(), own.rates()
    order = random_order(run.config.dataset_digest, run.config.task_ids)
    there = [task for task in order if task in after]
    if own.stopped_early:
        del there[-1:]  # its samples may not all be there
    bets, seen = PairedBets(rules.max_drop), []
    for task in there:
        if task in before:
            seen.append(task)
            bets.see(after[task] - before[task])
            if bets.is_decided(rules.alpha, benchmarks):
                break
    planned = sum(task in before for task in order)
    return _Walk(run=run, baseline=baseline, own=own, bets=bets, tasks=tuple(seen), planned=planned)


def _answer(walk: _Walk, p: float, rules: GateRules) -> GateFinding:
    whole = compare(walk.baseline, walk.own, rules.alpha)
    change = walk.bets.total / max(1, walk.bets.tasks)
    left = walk.planned - len(walk.tasks)
    after = f"after {len(walk.tasks)} of {walk.planned} tasks, the other {left} not needed"
    said = f"{100 * change:+.1f} points " + (after if left else f"in {walk.planned} tasks")
    allowed = f"a drop beyond the {100 * rules.max_drop:g} allowed"
    before, now = walk.baseline.rates(), walk.own.rates()
    lost = tuple(task for task in walk.tasks if now[task] < before[task])
    if p <= rules.alpha:
        outcome, reason = GateOutcome.REGRESSED, f"{said}: {allowed} is shown (p = {p:.2g}, at any time)"
    elif walk.bets.within.p_value <= rules.alpha / 2:
        outcome, reason = GateOutcome.PASSED, f"{said}: {allowed} is excluded"
    elif walk.own.stopped_early:
        outcome = GateOutcome.NOT_VALID
        reason = f"{said}: not decided, and the run stopped by another rule ({walk.run.config.sequential})"
    elif not lost:
        outcome, reason = GateOutcome.PASSED, f"{said}; no task got worse"
    elif whole.difference.low >= -rules.max_drop:
        outcome, reason = GateOutcome.PASSED, f"{said}: {allowed} is excluded"
    else:
        outcome, reason = GateOutcome.INCONCLUSIVE, f"{said}: {allowed} is neither shown nor excluded"
    return GateFinding(
        subject=walk.own.benchmark,
        outcome=outcome,
        reason=reason,
        lost=lost,
        gained=tuple(task for task in walk.tasks if now[task] > before[task]),
        comparison=None if walk.own.stopped_early else whole,
        tasks_left=left,
    )
