"""Fixtures of the leaderboard's tests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.records import Outcome
from leaderboards.build import build
from tests.leaderboards.folders import PLAIN, LargeBoard, MakeRun, Texts, many_runs, write_run


@pytest.fixture(scope="session")
def large_board(tmp_path_factory: pytest.TempPathFactory) -> LargeBoard:
    """Build a leaderboard of 2,500 runs with 663,000 verdicts."""
    folder = tmp_path_factory.mktemp("large")
    runs = many_runs(folder / "runs", 500)
    start, used = time.perf_counter(), time.process_time()
    built = build([runs], folder / "out")
    # The machine may be busy with other work: what counts is what one core does in the time.
    seconds = min(time.perf_counter() - start, time.process_time() - used)
    return LargeBoard(out=folder / "out", built=built, seconds=seconds)


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return `make_run(name, outcomes, …)`, which writes to `runs/<name>` below the test's folder."""

    def make(
        name: str,
        outcomes: Sequence[Sequence[Outcome]],
        texts: Texts = PLAIN,
        base: Sequence[Sequence[bool]] | None = None,
        **settings: Any,
    ) -> Path:
        return write_run(tmp_path / "runs" / name, outcomes, texts, base, **settings)

    return make
