"""A regression gate for CI: is the new run worse than its baseline, is it not, or can these tasks not tell?

The four answers are one value, and the exit code and every printed form of the verdict come from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness import metrics
from harness.compare import Comparison, compare
from harness.errors import UsageError
from harness.paired import holm
from harness.records import Estimate
from harness.runs import Baseline


class GateOutcome(StrEnum):
    """What the gate found."""

    PASSED = "passed"  # a drop beyond the allowed one is excluded, or no task got worse
    INCONCLUSIVE = "inconclusive"  # no regression is shown, and none is excluded
    REGRESSED = "regressed"  # a drop is shown, and it is beyond the allowed one
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
    """When a drop is a regression. `max_drop` is in 0..1; `minimum` maps a metric such as "pass@1" to a least value."""

    max_drop: float = 0.02
    tier_max_drop: float | None = None
    alpha: float = 0.05
    minimum: dict[str, float] = field(default_factory=dict)
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFinding:
    """The gate's finding on one benchmark (or one tier of it, or one minimum)."""

    subject: str
    outcome: GateOutcome
    reason: str
    comparison: Comparison | None = None


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
    value: float
    low: float
    p_worse: float
    any_lost: bool
    max_drop: float
    comparison: Comparison | None


def gate(
    runs: list[Baseline],
    baselines: list[Baseline],
    rules: GateRules,
    tiers: dict[str, dict[str, str]] | None = None,
) -> GateResult:
    """Hold runs against baselines, benchmark by benchmark. `tiers` maps benchmarks to their tasks' tiers.

    The p-values of all questions asked are corrected together (Holm). Raises UsageError when a run has no baseline of
    its benchmark, or they cannot be compared.
    """
    by_name = {baseline.benchmark: baseline for baseline in baselines}
    findings: list[GateFinding] = []
    questions: list[_Question] = []
    for run in runs:
        if run.benchmark not in by_name:
            raise UsageError(f"no baseline for {run.benchmark}: there are {', '.join(sorted(by_name))}")
        baseline = by_name[run.benchmark]
        found = _validity(run, baseline)
        if found is not None:
            findings.append(found)
            continue
        comparison = compare(baseline, run, rules.alpha, tiers=(tiers or {}).get(run.benchmark))
        questions += _questions(comparison, rules)
        findings += _minimums(run, rules)
    adjusted = holm([question.p_worse for question in questions])
    findings += [_answer(question, p, rules) for question, p in zip(questions, adjusted, strict=True)]
    return GateResult(findings=tuple(findings), rules=rules)


def _validity(run: Baseline, baseline: Baseline) -> GateFinding | None:
    """Return why a run cannot be held against its baseline at all, if so."""
    reason = ""
    if run.not_judged:
        reason = f"{run.not_judged} samples were not judged; run the evaluation again to judge them"
    elif baseline.not_judged:
        reason = f"{baseline.not_judged} samples of the baseline were not judged"
    elif missing := {*baseline.counts} - {*run.counts}:
        reason = f"{len(missing)} tasks of the baseline are not in the run, e.g. {min(missing)}"
    return GateFinding(subject=run.benchmark, outcome=GateOutcome.NOT_VALID, reason=reason) if reason else None


def _questions(comparison: Comparison, rules: GateRules) -> list[_Question]:
    questions = [
        _Question(
            subject=comparison.benchmark,
            value=comparison.difference.value,
            low=comparison.difference.low,
            p_worse=comparison.difference.p_worse,
            any_lost=bool(comparison.lost),
            max_drop=rules.max_drop,
            comparison=comparison,
        )
    ]
    if rules.tier_max_drop is None:
        return questions
    for tier in comparison.tiers:
        questions.append(
            _Question(
                subject=f"{comparison.benchmark}, tier {tier.tier}",
                value=tier.difference.value,
                low=tier.difference.low,
                p_worse=tier.difference.p_worse,
                any_lost=tier.difference.low < 0 and tier.difference.p_worse < 1,
                max_drop=rules.tier_max_drop,
                comparison=None,
            )
        )
    return questions


def _answer(question: _Question, p_worse: float, rules: GateRules) -> GateFinding:
    change, allowed = f"{100 * question.value:+.1f} points", f"{100 * question.max_drop:g} allowed"
    if p_worse <= rules.alpha and -question.value > question.max_drop:
        outcome, reason = GateOutcome.REGRESSED, f"{change}, {allowed}; p = {p_worse:.2g}"
    elif not question.any_lost:
        outcome, reason = GateOutcome.PASSED, f"{change}; no task got worse"
    elif question.low >= -question.max_drop:
        outcome, reason = GateOutcome.PASSED, f"{change}; a drop beyond the {allowed} is excluded"
    elif p_worse <= rules.alpha:
        outcome, reason = GateOutcome.PASSED, f"{change}: a drop is shown, within the {allowed}"
    else:
        outcome = GateOutcome.INCONCLUSIVE
        reason = f"{change}; no drop is shown, and one of up to {-100 * question.low:.1f} is not excluded"
    return GateFinding(subject=question.subject, outcome=outcome, reason=reason, comparison=question.comparison)


def _minimums(run: Baseline, rules: GateRules) -> list[GateFinding]:
    """Return a finding for each required least value; the estimate itself decides, not its interval."""
    scores: dict[str, Estimate] = {f"pass@{k}": one for k, one in metrics.pass_at_ks(run.counts).items()}
    findings = []
    for name, least in rules.minimum.items():
        if name not in scores:
            raise UsageError(f"--min {name}: {run.benchmark} has {', '.join(scores) or 'no score'}")
        value = scores[name].value
        outcome = GateOutcome.PASSED if value >= least else GateOutcome.REGRESSED
        subject = f"{run.benchmark}, {name} at least {least:.1%}"
        findings.append(GateFinding(subject=subject, outcome=outcome, reason=f"it is {value:.1%}"))
    return findings
