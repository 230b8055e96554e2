"""Which tiers a run reports and when it calls one weak, from what was asked for: found before anything runs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UsageError
from harness.evidence import clean, shown
from harness.records import Benchmark
from harness.runs import baseline_of, by_benchmark, load_baselines
from harness.scores import WeakKind, WeakRule
from harness.tier_files import read_tiers
from harness.tiers import Tiers


@dataclass(frozen=True, slots=True, kw_only=True)
class TierPlan:
    """The tiers of a benchmark's tasks (None: the static ones), and the weak rule with its baseline's pass rates.

    `digest` is that of the tiers if a file gave them, else empty.
    """

    tiers: Tiers | None = None
    digest: str = ""
    weak_rule: WeakRule = field(default_factory=WeakRule)
    weak_rates: dict[str, float] = field(default_factory=dict)


def plan_tiers(
    benchmark: Benchmark,
    protocol: str,
    tiers_file: Path | None = None,
    weak_below: float | None = None,
    weak_baseline: Path | None = None,
) -> TierPlan:
    """Return the plan of a run by `protocol`; `weak_baseline` is a run, a folder of runs or a baseline file.

    Raises UsageError for two rules at once, a rate out of range, and a file or baseline that does not fit.
    """
    if weak_below is not None and weak_baseline is not None:
        raise UsageError("a tier is weak by one rule: give --weak-below or --weak-baseline")
    if weak_below is not None and not 0 < weak_below <= 1:
        raise UsageError(f"--weak-below {weak_below:g}: a pass rate above 0, at most 1")
    tiers = read_tiers(tiers_file, benchmark) if tiers_file else None
    digest = tiers.digest() if tiers else ""
    if weak_baseline is None:
        rule = WeakRule() if weak_below is None else WeakRule(kind=WeakKind.BELOW_TARGET, target=weak_below)
        return TierPlan(tiers=tiers, digest=digest, weak_rule=rule)
    baseline = baseline_of(benchmark.name, by_benchmark(load_baselines(weak_baseline)))
    ours = {"dataset_digest": benchmark.digest, "protocol": protocol}
    differing = [
        f"its {name} is {clean(getattr(baseline, name)[:40])}, this run's {clean(value[:40])}"
        for name, value in ours.items()
        if getattr(baseline, name) != value
    ]
    if baseline.stopped_early:
        differing.append("it was stopped early")
    if baseline.not_judged:
        differing.append(f"{baseline.not_judged} of its samples were not judged")
    if differing:
        raise UsageError(
            f"--weak-baseline {weak_baseline}: {'; '.join(differing)}. "
            f"Name a whole run of {shown(benchmark.name)} by the same protocol."
        )
    rates = baseline.rates()
    rule = WeakRule(
        kind=WeakKind.BELOW_BASELINE,
        baseline=baseline.model,
        digest=hashlib.sha256(json.dumps(sorted(rates.items())).encode()).hexdigest(),
    )
    return TierPlan(tiers=tiers, digest=digest, weak_rule=rule, weak_rates=rates)
