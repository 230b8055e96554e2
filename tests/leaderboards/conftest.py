"""Fixtures of the leaderboard's tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.records import Outcome
from tests.leaderboards.folders import PLAIN, MakeRun, Texts, write_run


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
