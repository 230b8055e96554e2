"""A regression gate for CI: is the new run worse than its baseline, is it not, or can these tasks not tell?

A drop counts as shown when the hypothesis "it is no larger than allowed" is refused at alpha, all benchmarks and tiers
corrected together; it counts as excluded when it lies outside of the interval. The four answers are one value, and
the exit code and every printed form of the verdict come from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from harness import metrics
from harness.compare import Comparison, common_halves, compare
from harness.errors import UsageError
from harness.evidence import shown
from harness.half import Half, half_name
from harness.paired import Difference, holm, p_beyond
from harness.records import Estimate
from harness.runs import Baseline, baseline_of, by_benchmark


class GateOutcome(StrEnum):
    """What the gate found."""

    PASSED = "passed"  # a drop beyond the allowed one is excluded, or no task got worse
    INCONCLUSIVE = "inconclusive"  # such a drop is neither shown nor excluded
    REGRESSED = "regressed"  # a drop beyond the allowed one is shown
    NOT_VALID = "not valid"  # something was not judged


_EXIT_CODES = {
    GateOutcome.PASSED: 0,
    GateOutcome.INCONCLUSIVE: 0,
    GateOutcome.REGRESSED: 1,
    GateOutcome.NOT_VALID: 3,
}
EXIT_INCONCLUSIVE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """When a drop is a regression. Drops are in 0..1; `minimum` maps "pass@K" to a least value.

    With `half`, only the tasks of that half count, in everything but whether the runs are whole.
    """

    max_drop: float = 0.02
    tier_max_drop: float | None = None
    alpha: float = 0.05
    minimum: dict[str, float] = field(default_factory=dict)
    strict: bool = False
    half: Half | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.max_drop <= 1 and 0 <= (self.tier_max_drop or 0) <= 1):
            raise UsageError("a drop is given in points from 0 to 100, e.g. --max-drop 2")
        if not 0 < self.alpha < 1:
            raise UsageError(f"--alpha {self.alpha}: between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFinding:
    """The gate's finding on one benchmark (or one tier of it, or one minimum).

    `lost` and `gained` are the tasks whose pass rate fell and rose, `tasks_left` those that a sequential gate did not
    need.
    """

    subject: str
    outcome: GateOutcome
    reason: str
    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    comparison: Comparison | None = None
    tasks_left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """All findings, and what follows from them."""

    findings: tuple[GateFinding, ...]
    rules: GateRules

    @property
    def outcome(self) -> GateOutcome:
        """The worst finding: not valid, then regressed, then inconclusive."""
        found = {finding.outcome for finding in self.findings}
        order = (GateOutcome.NOT_VALID, GateOutcome.REGRESSED, GateOutcome.INCONCLUSIVE)
        return next((outcome for outcome in order if outcome in found), GateOutcome.PASSED)

    @property
    def exit_code(self) -> int:
        """0 passed, 1 regressed, 3 not valid; inconclusive is 0, or 4 under the strict rule."""
        if self.outcome is GateOutcome.INCONCLUSIVE and self.rules.strict:
            return EXIT_INCONCLUSIVE
        return _EXIT_CODES[self.outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One comparison that may show a regression, before the correction for asking several."""

    subject: str
    difference: Difference
    p_beyond: float
    max_drop: float
    lost: tuple[str, ...]
    gained: tuple[str, ...]
    comparison: Comparison | None = None


def gate(runs: Sequence[Baseline], baselines: Sequence[Baseline], rules: GateRules) -> GateResult:
    """Hold runs against baselines, benchmark by benchmark.

    The p-values of all questions asked are corrected together (Holm). Raises UsageError when a run has no baseline of
    its benchmark, they cannot be compared, or the rules ask for what the runs do not have.
    """
    by_name = by_benchmark(baselines)
    findings: list[GateFinding] = []
    questions: list[_Question] = []
    for run in runs:
        baseline = baseline_of(run.benchmark, by_name)
        reason = why_not_valid(run, baseline, frozenset(run.counts))
        if reason:
            findings.append(GateFinding(subject=run.benchmark, outcome=GateOutcome.NOT_VALID, reason=reason))
            continue
        if rules.half:
            sides = common_halves(baseline, run)
            baseline, run = baseline.of_half(rules.half, sides), run.of_half(rules.half, sides)
        questions += _questions(baseline, run, rules)
        findings += _minimums(run, rules)
    adjusted = holm([question.p_beyond for question in questions])
    findings += [_answer(question, p, rules) for question, p in zip(questions, adjusted, strict=True)]
    return GateResult(findings=tuple(findings), rules=rules)


def why_not_valid(run: Baseline, baseline: Baseline, tasks: frozenset[str]) -> str:
    """Return why a run that covers `tasks` cannot be held against its baseline at all; empty if it can."""
    if run.not_judged:
        return f"{run.not_judged} samples were not judged; run the evaluation again to judge them"
    if baseline.not_judged:
        return f"{baseline.not_judged} samples of the baseline were not judged"
    missing = [task for task in baseline.counts if task not in tasks]
    if not missing:
        return ""
    early = "; the run was stopped early, and --sequential judges such a one" if run.stopped_early else ""
    return f"{len(missing)} tasks of the baseline are not in the run, e.g. {missing[0]}{early}"


def _questions(baseline: Baseline, run: Baseline, rules: GateRules) -> list[_Question]:
    comparison = compare(baseline, run, rules.alpha, half=rules.half)
    before, after = baseline.rates(), run.rates()

    def question(
        subject: str, tasks: Sequence[str], difference: Difference, max_drop: float, whole: Comparison | None
    ) -> _Question:
        return _Question(
            subject=subject,
            difference=difference,
            p_beyond=p_beyond([before[task] for task in tasks], [after[task] for task in tasks], max_drop),
            max_drop=max_drop,
            lost=tuple(task for task in tasks if after[task] < before[task]),
            gained=tuple(task for task in tasks if after[task] > before[task]),
            comparison=whole,
        )

    tasks = [task for task in before if task in after]
    name = _name(run, rules)
    questions = [question(name, tasks, comparison.difference, rules.max_drop, comparison)]
    if rules.tier_max_drop is None:
        return questions
    if not comparison.tiers:
        raise UsageError(f"--tier-max-drop: the run of {shown(run.benchmark)} knows no tiers of its tasks")
    for tier in comparison.tiers:
        inside = [task for task in tasks if run.tiers.get(task) == tier.tier]
        subject = f"{name}, tier {tier.tier}"
        questions.append(question(subject, inside, tier.difference, rules.tier_max_drop, None))
    return questions


def _name(run: Baseline, rules: GateRules) -> str:
    return f"{run.benchmark}, {half_name(rules.half)} half" if rules.half else run.benchmark


def _answer(question: _Question, p: float, rules: GateRules) -> GateFinding:
    change = question.difference
    said, allowed = f"{100 * change.value:+.1f} points", f"the {100 * question.max_drop:g} allowed"
    if p <= rules.alpha:
        outcome, reason = GateOutcome.REGRESSED, f"{said}: a drop beyond {allowed} is shown (p = {p:.2g})"
    elif not question.lost:
        outcome, reason = GateOutcome.PASSED, f"{said}; no task got worse"
    elif change.low >= -question.max_drop:
        outcome, reason = GateOutcome.PASSED, f"{said}; a drop beyond {allowed} is excluded"
    else:
        found = "a drop is shown, but not" if change.p_worse <= rules.alpha else "not shown"
        outcome = GateOutcome.INCONCLUSIVE
        reason = f"{said}; {found} to be beyond {allowed}, and one of up to {-100 * change.low:.1f} is not excluded"
    return GateFinding(
        subject=question.subject,
        outcome=outcome,
        reason=reason,
        lost=question.lost,
        gained=question.gained,
        comparison=question.comparison,
    )


def _minimums(run: Baseline, rules: GateRules) -> list[GateFinding]:
    """Return a finding for each required least value; the estimate itself decides, not its interval."""
    ks = [int(name.removeprefix("pass@")) for name in rules.minimum]
    scores: dict[str, Estimate] = {f"pass@{k}": one for k, one in metrics.pass_at_ks(run.counts, ks).items()}
    findings = []
    for name, least in rules.minimum.items():
        if name not in scores:
            raise UsageError(f"--min {name}: a task of {shown(run.benchmark)} has fewer samples than that")
        value = scores[name].value
        outcome = GateOutcome.PASSED if value >= least - 1e-12 else GateOutcome.REGRESSED
        subject = f"{_name(run, rules)}, {name} at least {least:.1%}"
        findings.append(GateFinding(subject=subject, outcome=outcome, reason=f"it is {value:.1%}"))
    return findings
