"""Judge the samples of a run: several at once, identical programs once, and once more alone what wall time cut short.

Programs run side by side here and nowhere else (`overlap` has samples written meanwhile). How long a program takes by
the clock on the wall depends on what else the machine does, so a program that only this clock has stopped is put aside
and judged again when nothing else of ours runs; that verdict counts. Programs that are the same, of the same task, wait
for the verdict on the first.
"""

from __future__ import annotations

import itertools
import queue
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from harness.known import KnownVerdicts
from harness.records import Outcome, Sample, Verdict

_SORTED = 1024
_LONG_SECONDS = 0.2  # a hundred times what a program takes at least
_AHEAD = 8  # samples in hand per program in flight, so that no cell waits for the reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What to do with samples and verdicts.

    `judge` is called on `capacity` threads, everything else on the caller's. `keep` takes each verdict as soon as it
    is there; `give_up` tells those who wait for a cell that nobody waits for them. `at_once`: somebody decides by the
    verdicts whether to go on, so few samples are in hand, and those that were put aside do not wait for the end.
    """

    judge: Callable[[Sample], Verdict]
    keep: Callable[[Verdict], None]
    give_up: Callable[[], None]
    capacity: int
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class _One:
    """A sample, and what all samples with the same verdict share, where there is such a thing."""

    sample: Sample
    key: bytes | None


@dataclass(slots=True)
class _State:
    """What is in hand: programs in flight, and samples that wait for one of them or to be judged alone.

    `aside` has with each sample what it got when wall time cut it short among others, or None if it is like such a
    one; `aside_keys` has the keys of those.
    """

    flying: int = 0
    waiting: dict[bytes, list[_One]] = field(default_factory=dict)
    aside: deque[tuple[_One, Outcome | None]] = field(default_factory=deque)
    aside_keys: set[bytes] = field(default_factory=set)

    @property
    def in_hand(self) -> int:
        return self.flying + sum(map(len, self.waiting.values()))


def slowest_first(samples: Iterator[Sample], seconds: Callable[[Sample], float], workers: int = 1) -> Iterator[Sample]:
    """Yield samples, of so many at a time those first that take longest: one that is begun last is waited for.

    Behind each that takes long comes a short one, since each worker is handed the next program while it runs one, and
    what waits there cannot go elsewhere. For samples that are at hand; those of a model would wait for each other.
    """
    while some := [(seconds(sample), sample) for sample in itertools.islice(samples, _SORTED)]:
        some.sort(key=lambda one: -one[0])
        long = [sample for each, sample in some if each > _LONG_SECONDS]
        short = [sample for each, sample in some if each <= _LONG_SECONDS]
        while long:
            yield from long[:workers]
            yield from (short.pop() for _ in long[:workers] if short)
            del long[:workers]
        yield from short


def judge_all(samples: Iterator[Sample] | Iterator[Sample | None], work: Work, known: KnownVerdicts) -> None:
    """Judge every sample and hand each verdict to `work.keep`. Raises what `work.judge` raises.

    A None among the samples says that there is none at the moment: time to keep what has been judged.
    Whatever ends it, verdicts that were there by then have been kept.
    """
    _Judging(work, known).run(samples)


class _Judging:
    def __init__(self, work: Work, known: KnownVerdicts) -> None:
        self._work = work
        self._known = known
        self._executor = ThreadPoolExecutor(work.capacity, thread_name_prefix="judge")
        self._finished: queue.SimpleQueue[tuple[_One, Future[Verdict]]] = queue.SimpleQueue()
        self._state = _State()

    def run(self, samples: Iterator[Sample] | Iterator[Sample | None]) -> None:
        most = self._work.capacity * (1 if self._work.at_once else _AHEAD)
        state = self._state
        try:
            for sample in samples:
                if sample is not None:
                    self._take(_One(sample, self._known.key(sample)))
                while state.flying and (state.in_hand >= most or not self._finished.empty()):
                    self._settle()
                if self._work.at_once and state.aside:
                    self._judge_alone()
            self._judge_alone()
        except BaseException:
            self._work.give_up()
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._keep_finished()
            raise
        self._executor.shutdown()

    def _take(self, one: _One) -> None:
        """Take a sample's verdict over from one like it, let it wait for that one, or send it off."""
        state, key = self._state, one.key
        if key is None:
            self._submit(one)
        elif key in state.aside_keys:
            state.aside.append((one, None))
        elif key in state.waiting:
            state.waiting[key].append(one)
        elif not self._take_over(one):
            state.waiting[key] = []
            self._submit(one)

    def _take_over(self, one: _One) -> bool:
        """Give a sample the verdict of one like it; returns whether there is one."""
        verdict = None if one.key is None else self._known.verdict(one.key)
        if verdict is None:
            return False
        self._work.keep(replace(verdict, sample_index=one.sample.sample_index, reused=True))
        return True

    def _submit(self, one: _One) -> None:
        self._state.flying += 1
        future = self._executor.submit(self._work.judge, one.sample)
        future.add_done_callback(lambda done: self._finished.put((one, done)))

    def _next(self) -> tuple[_One, Verdict]:
        one, future = self._finished.get()
        self._state.flying -= 1
        return one, future.result()

    def _settle(self) -> None:
        """Wait for a verdict and keep it, or put its sample aside; samples that waited for it follow it."""
        one, verdict = self._next()
        state, key = self._state, one.key
        waiting = state.waiting.pop(key, []) if key is not None else []
        if verdict.wall_cut:
            state.aside.append((one, verdict.outcome))
            if key is not None:
                state.aside_keys.add(key)
        else:
            self._keep(one, verdict)
        for like in waiting:
            self._take(like)

    def _keep(self, one: _One, verdict: Verdict) -> None:
        if one.key is not None:
            self._known.learn(one.key, verdict)
        self._work.keep(verdict)

    def _judge_alone(self) -> None:
        """Wait for all that is in flight, then judge one by one what was put aside. These verdicts count."""
        state = self._state
        while state.flying:
            self._settle()
        while state.aside:
            one, before = state.aside.popleft()
            if self._take_over(one):
                continue
            self._submit(one)
            _, verdict = self._next()
            has_changed = before not in (None, verdict.outcome) and verdict.outcome is not Outcome.NOT_JUDGED
            self._keep(one, replace(verdict, flaky=has_changed))
        state.aside_keys.clear()

    def _keep_finished(self) -> None:
        """Keep what was judged until now."""
        while not self._finished.empty():
            one, future = self._finished.get()
            if not future.cancelled() and future.exception() is None and not future.result().wall_cut:
                self._keep(one, future.result())
