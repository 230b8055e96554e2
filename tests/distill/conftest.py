"""What tests of the loop share: a benchmark small enough to go through whole rounds with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import Decoding, EvalConfig, evaluate
from harness.benchmarks.ladder.rungs import SHIPPED


@pytest.fixture(scope="session")
def few_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 20 easy and 20 expert tasks of the ladder, with their tiers."""
    rows = [json.loads(line) for line in SHIPPED.read_text(encoding="ascii").splitlines()]
    chosen = [row for tier in ("easy", "expert") for row in [one for one in rows if one["tier"] == tier][:20]]
    path = tmp_path_factory.mktemp("tasks") / "few.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="ascii")
    return path


@pytest.fixture(scope="session")
def measured(few_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of the embedded student on those tasks, so that rounds need not begin with one."""
    out = tmp_path_factory.mktemp("measured") / "student"
    decoding = Decoding(batch_size=40, max_new_tokens=160)  # as the rounds': by default it takes ten times as long
    evaluate(EvalConfig(tasks=(str(few_tasks),), out=out, model="demo:student", decoding=decoding, weak_below=0.6))
    return out
