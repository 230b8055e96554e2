"""What becomes of samples on their way through the judge: identical ones share a verdict, slow ones are tried alone."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest
from made_verdicts import TASKS, sample, verdict

from harness.judging import Work, judge_all, slowest_first
from harness.known import KnownVerdicts
from harness.records import Outcome, Sample, StopReason, Verdict


def cut(one: Sample) -> Verdict:
    return verdict(one, Outcome.TIMEOUT, wall_cut=True)


@dataclass
class Bench:
    """Judges by a table: each program's answers in order, the last for ever; `most` is how many ran at once."""

    answers: dict[str, list[Callable[[Sample], Verdict]]] = field(default_factory=dict)
    known: KnownVerdicts = field(default_factory=lambda: KnownVerdicts(TASKS, ()))
    kept: list[Verdict] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    company: dict[str, list[set[str]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    given_up: bool = False

    def judge(self, one: Sample) -> Verdict:
        name = f"{one.program}:{one.sample_index}"
        with self.lock:
            self.calls.append(one.program)
            self.running.add(name)
            answers = self.answers.get(one.program, [lambda one: verdict(one, Outcome.PASSED)])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            self.company.setdefault(one.program, []).append(self.running - {name})
        try:
            return answer(one)
        finally:
            with self.lock:
                self.running.discard(name)

    def give_up(self) -> None:
        self.given_up = True

    def run(self, samples: Iterator[Sample] | list[Sample], capacity: int = 3, at_once: bool = False) -> list[Verdict]:
        work = Work(judge=self.judge, keep=self.kept.append, give_up=self.give_up, capacity=capacity, at_once=at_once)
        with closing(self.known):
            judge_all(iter(samples), work, self.known)
        return sorted(self.kept, key=lambda one: (one.task_id, one.sample_index))


def test_identical_programs_of_a_task_are_judged_once() -> None:
    bench = Bench(answers={"y": [lambda one: verdict(one, Outcome.FAILED)]})
    found = bench.run([sample("xy"[index % 2], index) for index in range(40)])
    assert Counter(bench.calls) == {"x": 1, "y": 1}
    assert [one.sample_index for one in found] == list(range(40))
    assert [one.outcome for one in found] == [Outcome.PASSED, Outcome.FAILED] * 20
    assert [one.reused for one in found] == [False, False] + [True] * 38
    assert {one.evidence.reason for one in found[1::2]} == {"y"}


def test_samples_of_which_the_judge_would_see_another_thing_are_not_identical() -> None:
    different = [
        sample("x", 0),
        sample("x", 1, stop_reason=StopReason.LENGTH),
        sample("x", 2, completion=" "),
        sample(" x", 3),
        sample("x", 0, task="B"),
        sample("\ud800", 4),
    ]
    bench = Bench()
    assert not any(one.reused for one in bench.run(different))
    assert len(bench.calls) == len(different)


def test_answers_that_are_text_are_simply_compared() -> None:
    bench = Bench()
    assert not any(one.reused for one in bench.run([sample("x", index, task="text") for index in range(4)]))
    assert len(bench.calls) == 4


def test_the_machines_failure_is_nobodys_verdict() -> None:
    failing = [lambda one: verdict(one, Outcome.NOT_JUDGED), lambda one: verdict(one, Outcome.FAILED)]
    bench = Bench(answers={"x": failing})
    found = bench.run([sample("x", index) for index in range(4)])
    assert [one.outcome for one in found] == [Outcome.NOT_JUDGED] + [Outcome.FAILED] * 3
    assert [one.reused for one in found] == [False, False, True, True]


@pytest.mark.parametrize("at_once", [False, True])
def test_what_wall_time_cut_short_is_judged_again_alone(at_once: bool) -> None:
    bench = Bench(answers={"slow": [cut, lambda one: verdict(one, Outcome.PASSED)]})
    programs = ["a", "slow", *map(str, range(30))]
    found = bench.run([sample(program, index) for index, program in enumerate(programs)], at_once=at_once)
    assert [one.outcome for one in found] == [Outcome.PASSED] * len(programs)
    assert [one.flaky for one in found] == [program == "slow" for program in programs]
    assert bench.calls.count("slow") == 2
    assert bench.company["slow"][1] == set()
    if at_once:  # a watch is waiting for it
        assert max(place for place, call in enumerate(bench.calls) if call == "slow") < 10


def test_a_sleeper_is_tried_among_others_once_and_alone_once_however_many_there_are() -> None:
    bench = Bench(answers={"asleep": [cut]})
    found = bench.run([sample("asleep" if index % 2 else str(index), index) for index in range(60)])
    assert bench.calls.count("asleep") == 2
    asleep = [one for one in found if one.sample_index % 2]
    assert len(asleep) == 30
    assert all((one.outcome, one.wall_cut, one.flaky) == (Outcome.TIMEOUT, True, False) for one in asleep)
    assert sum(one.reused for one in asleep) == 29


def test_a_verdict_that_changed_is_counted_for_the_sample_that_it_changed_for() -> None:
    bench = Bench(answers={"slow": [cut, lambda one: verdict(one, Outcome.FAILED)]})
    found = bench.run([sample("slow", index) for index in range(5)])
    assert [one.outcome for one in found] == [Outcome.FAILED] * 5
    assert [one.flaky for one in found] == [True] + [False] * 4


def test_running_out_of_cpu_time_alone_is_the_same_verdict() -> None:
    bench = Bench(answers={"slow": [cut, lambda one: verdict(one, Outcome.TIMEOUT)]})
    (found,) = bench.run([sample("slow", 0)])
    assert (found.outcome, found.flaky, found.wall_cut) == (Outcome.TIMEOUT, False, False)


def test_a_machine_that_fails_when_it_is_tried_alone_is_no_changed_verdict() -> None:
    bench = Bench(answers={"slow": [cut, lambda one: verdict(one, Outcome.NOT_JUDGED)]})
    (found,) = bench.run([sample("slow", 0)])
    assert (found.outcome, found.flaky) == (Outcome.NOT_JUDGED, False)


def test_an_interrupted_run_keeps_what_was_judged_and_not_what_was_put_aside() -> None:
    def samples() -> Iterator[Sample]:
        yield sample("slow", 0)
        yield sample("a", 1)
        yield sample("b", 2)
        raise KeyboardInterrupt

    bench = Bench(answers={"slow": [cut]})
    with pytest.raises(KeyboardInterrupt):
        bench.run(samples(), capacity=1)
    assert bench.given_up
    assert {one.sample_index for one in bench.kept} <= {1, 2}


def test_a_failing_judge_ends_it() -> None:
    def fail(one: Sample) -> Verdict:
        raise OSError("no engine")

    bench = Bench(answers={"x": [fail]})
    with pytest.raises(OSError, match="no engine"):
        bench.run([sample(program, index) for index, program in enumerate("abxcd")])
    assert bench.given_up


def test_few_samples_are_in_hand_even_if_they_are_all_the_same() -> None:
    taken: list[int] = []
    in_hand: list[int] = []

    def samples() -> Iterator[Sample]:
        for index in range(1000):
            taken.append(index)
            yield sample("x", index)

    def look_around(one: Sample) -> Verdict:
        before = -1
        while before != len(taken):  # until no more are taken while this one runs
            before = len(taken)
            time.sleep(0.05)
        in_hand.append(before)
        return verdict(one, Outcome.PASSED)

    assert len(Bench(answers={"x": [look_around]}).run(samples())) == 1000
    assert in_hand == [24]


def test_a_run_that_goes_on_learns_from_what_it_had_judged() -> None:
    bench = Bench()
    bench.known.note(verdict(sample("x", 0), Outcome.FAILED))
    samples = [sample("x", 0), sample("x", 1), sample("y", 2)]
    found = bench.run(one for one in samples if not bench.known.judged(one))
    assert [(one.sample_index, one.outcome, one.reused) for one in found] == [
        (1, Outcome.FAILED, True),
        (2, Outcome.PASSED, False),
    ]
    assert bench.calls == ["y"]


def test_what_takes_longest_is_begun_first_and_the_rest_keeps_its_order() -> None:
    samples = [sample(program, index) for index, program in enumerate("abcbac")]
    ordered = slowest_first(iter(samples), lambda one: {"b": 0.2, "c": 0.1}.get(one.program, 0.0))
    assert "".join(f"{one.program}{one.sample_index}" for one in ordered) == "b1b3c2c5a0a4"


def test_how_long_a_sample_takes_is_asked_once() -> None:
    asked: list[str] = []

    def seconds(one: Sample) -> float:
        asked.append(one.program)
        return 1.0

    assert len(list(slowest_first((sample(program, 0) for program in "abc"), seconds))) == 3
    assert asked == ["a", "b", "c"]


@pytest.mark.parametrize(("workers", "order"), [(1, "LaMbNced"), (2, "LMabNced"), (4, "LMNabced")])
def test_behind_what_takes_long_waits_what_does_not(workers: int, order: str) -> None:
    """Each worker has one that runs and one that waits for it, and that one cannot go to a worker who is free."""
    took = {"L": 9.0, "M": 8.0, "N": 7.0, "e": 0.1, "d": 0.09, "c": 0.03, "b": 0.02, "a": 0.01}
    samples = [sample(program, 0) for program in sorted(order)]
    ordered = slowest_first(iter(samples), lambda one: took[one.program], workers)
    assert "".join(one.program for one in ordered) == order
