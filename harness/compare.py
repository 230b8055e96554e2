"""Compare two runs of one benchmark, paired by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import metrics
from harness.errors import UsageError
from harness.evidence import shown
from harness.half import Half
from harness.paired import Difference, difference
from harness.records import Estimate, RunConfig
from harness.runs import Baseline, by_benchmark, load_baselines

ALPHA = 0.05
_MUST_AGREE = ("benchmark", "dataset_digest", "protocol")


@dataclass(frozen=True, slots=True, kw_only=True)
class TierComparison:
    """The comparison over the tasks of one tier."""

    tier: str
    tasks: int
    before: Estimate
    after: Estimate
    difference: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs over the tasks that both have. `difference` is after minus before.

    `gained` and `lost` are the tasks whose pass rate rose and fell, in the order of the tasks. `differing` says what
    else is not the same about the runs, one text per field. `half` is the half of the tasks that it is over, if not
    over all.
    """

    benchmark: str
    models: tuple[str, str]
    tasks: int
    only_one: int  # tasks that only one of the two has
    before: Estimate
    after: Estimate
    difference: Difference
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    differing: tuple[str, ...]
    tiers: tuple[TierComparison, ...] = ()
    alpha: float = ALPHA
    half: Half | None = None


def compare(
    before: Baseline,
    after: Baseline,
    alpha: float = ALPHA,
    cross: bool = False,
    tiers: Mapping[str, str] | None = None,
    half: Half | None = None,
) -> Comparison:
    """Compare two runs, over one half of the tasks if one is named.

    Each tier is compared as well; `tiers` maps tasks to tiers (None: as the run has them).

    Raises UsageError when they are of different benchmarks, data or protocols and `cross` does not allow it, or when
    they have no task in common, or no halves, or other ones.
    """
    if not 0 < alpha < 1:
        raise UsageError(f"--alpha {alpha}: between 0 and 1")
    if not cross:
        see_comparable(before, after)
    if half:
        sides = common_halves(before, after)
        before, after = before.of_half(half, sides), after.of_half(half, sides)
    rates_before, rates_after = before.rates(), after.rates()
    tasks = [task for task in rates_before if task in rates_after]
    if not tasks:
        raise UsageError("these runs have no judged task in common")
    settings = sorted({*before.settings, *after.settings})
    others = [_differ(name, before.settings.get(name), after.settings.get(name)) for name in settings]
    others.append(_differ("stopped_early", before.stopped_early, after.stopped_early))
    return Comparison(
        benchmark=before.benchmark,
        models=(before.model, after.model),
        tasks=len(tasks),
        only_one=len({*rates_before} ^ {*rates_after}),
        before=_estimate(tasks, rates_before),
        after=_estimate(tasks, rates_after),
        difference=_difference(tasks, rates_before, rates_after, alpha),
        gained=tuple(task for task in tasks if rates_after[task] > rates_before[task]),
        lost=tuple(task for task in tasks if rates_after[task] < rates_before[task]),
        differing=tuple(text for text in (*_refused(before, after), *others) if text),
        tiers=_by_tier(tasks, after.tiers if tiers is None else tiers, rates_before, rates_after, alpha),
        alpha=alpha,
        half=half,
    )


def common_halves(before: Baseline, after: Baseline) -> dict[str, Half]:
    """Return the half of each task of two runs. Raises UsageError when neither knows them, or they do not agree."""
    if not before.halves and not after.halves:
        raise UsageError("--half: these runs know no tiers of their tasks, so they have no halves: evaluate them again")
    for task, half in after.halves.items():
        if before.halves.get(task, half) is not half:
            raise UsageError(
                f"--half: by these runs' tiers {shown(task)} is in different halves: "
                "evaluate both with the same tiers (harness eval --tiers)"
            )
    return {**before.halves, **after.halves}


def see_comparable(before: Baseline, after: Baseline | RunConfig) -> None:
    """Raise UsageError unless both are of one benchmark, its very data, and one protocol."""
    refused = _refused(before, after)
    if refused:
        raise UsageError(
            f"these runs cannot be compared as they are: {'; '.join(refused)}. "
            "`harness compare --cross` does it all the same."
        )


def _refused(before: Baseline, after: Baseline | RunConfig) -> list[str]:
    fixed = [_differ(name, getattr(before, name), getattr(after, name)) for name in _MUST_AGREE]
    return [text for text in fixed if text]


def compare_runs(
    before: Path | str, after: Path | str, alpha: float = ALPHA, cross: bool = False, half: Half | None = None
) -> list[Comparison]:
    """Compare run folders, folders of runs or baseline files, benchmark by benchmark; see `compare`.

    A single run on either side is compared with the other whatever they are; else benchmarks are matched by name.
    Raises UsageError when nothing matches or a pair cannot be compared.
    """
    olds, news = load_baselines(Path(before)), load_baselines(Path(after))
    if len(olds) == len(news) == 1:
        return [compare(olds[0], news[0], alpha, cross, half=half)]
    by_name = by_benchmark(olds)
    pairs = [(by_name[new.benchmark], new) for new in news if new.benchmark in by_name]
    if not pairs:
        raise UsageError(f"{before} and {after} have no benchmark in common")
    return [compare(old, new, alpha, cross, half=half) for old, new in pairs]


def _by_tier(
    tasks: Sequence[str],
    tiers: Mapping[str, str],
    before: Mapping[str, float],
    after: Mapping[str, float],
    alpha: float,
) -> tuple[TierComparison, ...]:
    members: dict[str, list[str]] = {}
    for task in tasks:
        if task in tiers:
            members.setdefault(tiers[task], []).append(task)
    return tuple(
        TierComparison(
            tier=tier,
            tasks=len(inside),
            before=_estimate(inside, before),
            after=_estimate(inside, after),
            difference=_difference(inside, before, after, alpha),
        )
        for tier, inside in members.items()
    )


def _estimate(tasks: Sequence[str], rates: Mapping[str, float]) -> Estimate:
    return metrics.estimate([rates[task] for task in tasks])


def _difference(
    tasks: Sequence[str], before: Mapping[str, float], after: Mapping[str, float], alpha: float
) -> Difference:
    return difference([before[task] for task in tasks], [after[task] for task in tasks], alpha)


def _differ(name: str, before: object, after: object) -> str:
    return "" if before == after else f"{name} {shown(before)} and {shown(after)}"
