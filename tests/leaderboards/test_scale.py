"""500 models on five benchmarks: 2,500 runs of 663,000 verdicts."""

from __future__ import annotations

import pytest

from tests.leaderboards.folders import LargeBoard

SECONDS = 10.0


@pytest.mark.alone
@pytest.mark.slow
def test_500_models_on_5_benchmarks_are_built_in_time(large_board: LargeBoard) -> None:
    assert large_board.built.runs == 2500
    assert large_board.seconds < SECONDS
    assert (large_board.out / "index.html").stat().st_size < 8_000_000
