"""Progress on long work: a bar on a terminal, a plain line now and then elsewhere, nothing when told so."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol, TextIO

PLAIN_SECONDS = 10.0


class Progress(Protocol):
    """Told of every verdict. Use it as a context manager."""

    def start(self, title: str, total: int, done: int) -> None:
        """Begin a stretch of work, `done` of whose `total` steps are behind it already."""

    def step(self, pass_rate: float | None, not_judged: int) -> None:
        """One step is done; the pass rate so far is in 0..1."""

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class NoProgress:
    """Says nothing."""

    def start(self, title: str, total: int, done: int) -> None:
        """Say nothing."""

    def step(self, pass_rate: float | None, not_judged: int) -> None:
        """Say nothing."""

    def __enter__(self) -> NoProgress:
        return self

    def __exit__(self, *_: object) -> None:
        """Say nothing."""


class PlainProgress:
    """A line every ten seconds and one at the end, for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def start(self, title: str, total: int, done: int) -> None:
        self._title, self._total, self._done, self._before = title, total, done, done
        self._started = self._said = time.monotonic()
        if done:
            print(f"{title}: going on after {done} of {total}", file=self._stream, flush=True)

    def step(self, pass_rate: float | None, not_judged: int) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._said < PLAIN_SECONDS and self._done < self._total:
            return
        self._said = now
        rate = (self._done - self._before) / max(now - self._started, 1e-9)
        left = (self._total - self._done) / rate
        passed = "" if pass_rate is None else f", {pass_rate:.1%} passed"
        unjudged = f", {not_judged} not judged" if not_judged else ""
        line = f"{self._title}: {self._done}/{self._total}, {rate:.0f}/s{passed}{unjudged}, {left:.0f} s left"
        print(line, file=self._stream, flush=True)

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()


class BarProgress:
    """A bar on a terminal: done of total, rate, pass rate so far, time left."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(file=stream),
        )

    def start(self, title: str, total: int, done: int) -> None:
        self._task = self._bar.add_task(title, total=total, completed=done, rate="")

    def step(self, pass_rate: float | None, not_judged: int) -> None:
        passed = "" if pass_rate is None else f"{pass_rate:.1%} passed"
        self._bar.update(self._task, advance=1, rate=passed + (f", {not_judged} not judged" if not_judged else ""))

    def __enter__(self) -> BarProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def progress_for(stream: TextIO | None = None) -> Progress:
    """Return the progress display that fits a stream (standard error unless told)."""
    stream = stream or sys.stderr
    return BarProgress(stream) if stream.isatty() else PlainProgress(stream)
