"""A paired test that may be looked at after every task, and the rule that stops a run once it has answered.

Two gamblers watch the per-task changes of pass rate, tasks in a seeded random order. One bets that the rate falls by
more than allowed, the other that it does not. If a gambler's claim is false, whatever the strategy, the chance that
its wealth ever reaches x times the start is at most 1/x (Ville 1939). So 1/(largest wealth) is a p-value at any time,
however long one looks. Each gambler spreads its stake over fixed bets. Source: Waudby-Smith & Ramdas 2024, "Estimating
means of bounded random variables by betting", Journal of the Royal Statistical Society B 86, 1-27.

Covers stopping and its evidence; the verdict on a run is `harness.gate_sequential`'s.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.compare import see_comparable
from harness.records import Benchmark, Outcome, RunConfig, Sample, Task, Verdict, to_json
from harness.runs import Baseline, baseline_of, by_benchmark

_BETS = 64


@dataclass(slots=True)
class Gambler:
    """Bets that changes lie above `bound` on average (below it for `side` -1); changes and bound in -1..1."""

    bound: float
    side: int
    most: float = 0.0  # the logarithm of the largest wealth until now
    _wealth: list[float] = field(default_factory=lambda: [0.0] * _BETS)

    def see(self, change: float) -> None:
        """Settle the bets on one task."""
        gain = self.side * (change - self.bound)
        widest = 1.0 + self.side * self.bound  # the most that one task can cost
        for place in range(_BETS):
            stake = (place + 0.5) / _BETS / widest if widest > 0 else 0.0
            self._wealth[place] += math.log1p(stake * gain)
        top = max(self._wealth)
        mean = top + math.log(math.fsum(math.exp(one - top) for one in self._wealth) / _BETS)
        self.most = max(self.most, mean)

    @property
    def p_value(self) -> float:
        """The p-value of the claim's opposite, valid whenever one looks."""
        return math.exp(-self.most)


@dataclass(slots=True)
class PairedBets:
    """The evidence of a sequence of changes about a drop beyond `max_drop` (0..1)."""

    max_drop: float
    beyond: Gambler = field(init=False)
    within: Gambler = field(init=False)
    tasks: int = 0
    total: float = 0.0

    def __post_init__(self) -> None:
        self.beyond = Gambler(bound=-self.max_drop, side=-1)
        self.within = Gambler(bound=-self.max_drop, side=1)

    def see(self, change: float) -> None:
        """Take the next task's change of pass rate, in -1..1."""
        self.tasks += 1
        self.total += change
        self.beyond.see(change)
        self.within.see(change)

    def is_decided(self, alpha: float, benchmarks: int) -> bool:
        """Whether such a drop is shown (at alpha over all the benchmarks), or excluded (at alpha/2 for this one)."""
        return self.beyond.p_value <= alpha / benchmarks or self.within.p_value <= alpha / 2


def random_order(dataset_digest: str, task_ids: Iterable[str]) -> list[str]:
    """Return tasks in the order of a hash: the same for every run on this data, and unrelated to what is in them."""
    return sorted(task_ids, key=lambda task: hashlib.sha256(f"{dataset_digest}\0{task}".encode()).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """When to stop evaluating: once the paired test against a baseline is decided. `max_drop` is in 0..1."""

    baselines: tuple[Baseline, ...]
    max_drop: float
    alpha: float
    benchmarks: int

    def order(self, benchmark: Benchmark, tasks: Iterable[Task]) -> tuple[Task, ...]:
        """Return the tasks in the order in which to evaluate them."""
        by_id = {task.task_id: task for task in tasks}
        return tuple(by_id[task] for task in random_order(benchmark.digest, by_id))

    def __str__(self) -> str:
        """The rule in words, as it stands in run.json."""
        digest = hashlib.sha256(to_json(self.baselines).encode()).hexdigest()
        return f"max drop {self.max_drop:g}, alpha {self.alpha:g}, {self.benchmarks} benchmarks, baseline {digest:.12}"

    def watch(self, run: RunConfig) -> Watch:
        """Return the watch over one run. Raises UsageError when there is no baseline that it can be compared with."""
        baseline = baseline_of(run.benchmark, by_benchmark(self.baselines))
        see_comparable(baseline, run)
        return Watch(baseline.rates(), self)


class Watch:
    """Follows the samples and verdicts of one run, and ends the stream of samples once the rule has decided.

    Tasks count in the order in which their samples come, whichever is judged first, so that the decision depends on
    nothing else. A task is complete when the next one has begun and all its samples are judged.
    """

    def __init__(self, baseline: Mapping[str, float], rule: StopRule) -> None:
        self._baseline = baseline
        self._rule = rule
        self._bets = PairedBets(rule.max_drop)
        self._sent: dict[str, int] = {}
        self._judged: dict[str, list[bool]] = {}
        self._waiting: list[str] = []  # tasks that have begun and do not count yet, first come first
        self.is_decided = False

    def until_decided(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        """Yield samples, and fetch no more of them once the test is decided."""
        while not self.is_decided and (sample := next(samples, None)) is not None:
            if sample.task_id not in self._sent:
                self._waiting.append(sample.task_id)
            self._sent[sample.task_id] = self._sent.get(sample.task_id, 0) + 1
            self._settle()
            yield sample

    def judged(self, verdict: Verdict) -> None:
        """Take a verdict; one that is the machine's failure leaves its task incomplete."""
        if verdict.outcome is not Outcome.NOT_JUDGED:
            self._judged.setdefault(verdict.task_id, []).append(verdict.passed)
            self._settle()

    def _settle(self) -> None:
        while len(self._waiting) > 1 and not self.is_decided:
            task = self._waiting[0]
            passed = self._judged.get(task, [])
            if len(passed) < self._sent[task]:
                return
            del self._waiting[0]
            if task in self._baseline:
                self._bets.see(sum(passed) / len(passed) - self._baseline[task])
                self.is_decided = self._bets.is_decided(self._rule.alpha, self._rule.benchmarks)
