"""Writing and judging go on at the same time, whoever is the slower, and what fails ends both."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from harness.overlap import Abandoned, Tick, Wait, judge_beside

SECONDS = 20.0


def taken(wait: Wait, into: list[int]) -> None:
    while (tick := wait(0.05)) is not Tick.END:
        into += [len(into)] if tick is Tick.MORE else []


def nothing() -> None:
    """Nobody waits for anything."""


def test_all_that_is_written_is_judged() -> None:
    judged: list[int] = []
    judge_beside((number for number in range(1000)), lambda wait: taken(wait, judged), nothing)
    assert judged == list(range(1000))


def test_writing_does_not_wait_for_a_judge_that_is_slow() -> None:
    """A window of many samples is written to its end while the first of the window before is still judged."""
    all_written = threading.Event()

    def written() -> Generator[int, None, None]:
        yield from range(500)
        all_written.set()

    def judge(wait: Wait) -> None:
        while (tick := wait(0.05)) is not Tick.END:
            assert tick is Tick.NONE_YET or all_written.wait(SECONDS), "the writer waits for the judge"

    judge_beside(written(), judge, nothing)


def test_judging_does_not_wait_for_a_writer_that_is_slow() -> None:
    """What was written is judged while the writer is at work on the next."""
    judged: list[int] = []
    first = threading.Event()

    def written() -> Generator[int, None, None]:
        yield 0
        assert first.wait(SECONDS), "the judge waits for the writer"
        yield 1

    def judge(wait: Wait) -> None:
        assert wait(SECONDS) is Tick.MORE
        first.set()
        taken(wait, judged)

    judge_beside(written(), judge, nothing)
    assert judged == [0]


def test_a_judge_is_told_when_there_is_nothing_for_the_moment() -> None:
    """So that it keeps what it has judged, however long the writer takes for the next."""
    told = threading.Event()

    def written() -> Generator[int, None, None]:
        yield 0
        assert told.wait(SECONDS), "the judge was not told"

    def judge(wait: Wait) -> None:
        assert wait(SECONDS) is Tick.MORE
        assert wait(0.0) is wait(0.01) is Tick.NONE_YET
        told.set()
        assert wait(SECONDS) is Tick.END

    judge_beside(written(), judge, nothing)


def test_a_writer_that_fails_has_what_it_wrote_judged() -> None:
    judged: list[int] = []

    def written() -> Generator[int, None, None]:
        yield from range(5)
        raise RuntimeError("the engine is gone")

    with pytest.raises(RuntimeError, match="the engine is gone"):
        judge_beside(written(), lambda wait: taken(wait, judged), nothing)
    assert judged == list(range(5))


def test_a_judge_that_fails_ends_the_writing_and_closes_it() -> None:
    closed, failed = threading.Event(), threading.Event()

    def written() -> Generator[int, None, None]:
        try:
            yield 0
            assert failed.wait(SECONDS)
            yield from range(10**9)
        finally:
            closed.set()

    def judge(wait: Wait) -> None:
        assert wait(SECONDS) is Tick.MORE
        failed.set()
        raise RuntimeError("the sandbox is gone")

    with pytest.raises(RuntimeError, match="the sandbox is gone"):
        judge_beside(written(), judge, nothing)
    assert closed.is_set()


def test_an_interrupted_writer_gives_up_what_the_judge_waits_for() -> None:
    given_up, waiting = threading.Event(), threading.Event()
    ended: list[type[BaseException] | None] = []

    def written() -> Generator[int, None, None]:
        yield from range(3)
        assert waiting.wait(SECONDS)
        raise KeyboardInterrupt

    def judge(wait: Wait) -> None:
        try:
            while wait(SECONDS) is Tick.MORE:
                waiting.set()
                assert given_up.wait(SECONDS), "nobody gave up"
        except Abandoned:
            ended.append(Abandoned)
            raise

    with pytest.raises(KeyboardInterrupt):
        judge_beside(written(), judge, given_up.set)
    assert ended == [Abandoned]
