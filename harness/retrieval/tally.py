"""Measures of queries -> scores of sets, exits and the whole run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness import metrics
from harness.records import Benchmark, PairTests, RankTests
from harness.retrieval.answers import POSITIVES
from harness.retrieval.measures import F1, NAMES, f1
from harness.scores import Estimate, ExitScore, Latency, SetScore

RESAMPLES, SEED = 9999, 0
_LONGEST_NAME = 4  # digits of a number of layers
Measures = Mapping[str, float]


def exit_scores(
    queries: Mapping[str, Mapping[str, Measures]], sets: Mapping[str, str], latencies: Iterable[Latency]
) -> tuple[ExitScore, ...]:
    """Return the scores of each exit, the shallowest first, on each set in the order of the tasks.

    `queries` has the measures of each task at each exit, `sets` the corpus of each task.
    """
    found: dict[int, dict[str, list[Measures]]] = {}
    names = exit_names(queries)
    for task_id, exits in queries.items():
        for name, measures in exits.items():
            if name in names:
                found.setdefault(int(name), {}).setdefault(sets.get(task_id, ""), []).append(measures)
    times = {one.exit: one for one in latencies}
    return tuple(
        ExitScore(
            exit=exit,
            sets=tuple(
                SetScore(name=name, queries=len(inside), metrics=set_metrics(inside))
                for name, inside in found[exit].items()
            ),
            latency=times.get(exit),
        )
        for exit in sorted(found)
    )


def run_metrics(queries: Mapping[str, Mapping[str, Measures]], exit: str | None) -> dict[str, Estimate]:
    """Return the scores of one exit (None: the last) over the queries of all sets, and F1 over all their pairs."""
    known = exit_names(queries)
    if not known:
        return {}
    chosen = exit or max(known, key=int)
    return set_metrics(exits[chosen] for exits in queries.values() if chosen in exits)


def exit_names(queries: Mapping[str, Mapping[str, Measures]]) -> set[str]:
    """Return the names of exits that are numbers; a samples file may have others."""
    named = {name for exits in queries.values() for name in exits}
    return {name for name in named if name.isascii() and name.isdecimal() and len(name) <= _LONGEST_NAME}


def corpora_of(benchmark: Benchmark) -> dict[str, str]:
    """Return the corpus, which is the set, of each task that has one."""
    found = {}
    for task in benchmark.tasks:
        if isinstance(task.tests, (RankTests, PairTests)):
            found[task.task_id] = task.tests.corpus
    return found


def set_metrics(queries: Iterable[Measures]) -> dict[str, Estimate]:
    """Return the means of measures over the queries that have them, and F1 over all pairs, each with its interval."""
    rows = list(queries)
    found = {}
    for name in NAMES:
        if values := [row[name] for row in rows if name in row]:
            found[name] = metrics.estimate(values)
    counts = [sum(name in row for row in rows) for name in POSITIVES]
    if sum(counts):
        found[F1] = f1_estimate(counts)
    return found


def f1_estimate(counts: list[int]) -> Estimate:
    """Return F1 with a 95 % bootstrap interval, of the counts of pairs by `POSITIVES`.

    Pairs are drawn again with replacement, `RESAMPLES` times with the same seed; the interval is that of percentiles.
    """
    import numpy

    total = sum(counts)
    drawn = numpy.random.default_rng(SEED).multinomial(total, [count / total for count in counts], RESAMPLES)
    right = 2.0 * drawn[:, 0]
    scores = right / numpy.maximum(right + drawn[:, 1] + drawn[:, 2], 1.0)
    low, high = (float(value) for value in numpy.percentile(scores, (2.5, 97.5)))
    value = f1(*counts[:3])
    if low == high:  # no pair is told wrong, or none right: of that, too, another draw may differ
        return metrics.estimate([value] * total)
    return Estimate(value=value, low=min(low, value), high=max(high, value))
