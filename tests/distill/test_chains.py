"""The tasks by which loops are compared (benchmarks/chains.py): right by the sandbox, and tests that stand alone."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from benchmarks.chains import FAMILIES, TIERS, write_chains
from harness import EvalConfig, evaluate

KINDS = tuple(product(TIERS, FAMILIES))


@pytest.mark.slow
def test_solutions_pass_their_tests(tmp_path: Path) -> None:
    path = tmp_path / "chains.jsonl"
    write_chains(path, 1, dict.fromkeys(KINDS, 2), "test", set())
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["tier"], row["family"]) for row in rows] == [kind for kind in KINDS for _ in range(2)]
    assert len({row["task_id"] for row in rows}) == len(rows)
    config = EvalConfig(tasks=(str(path),), out=tmp_path / "run", model="canonical", workers=2)
    (report,) = evaluate(config)
    assert (report.outcomes["passed"], [tier.tier for tier in report.tiers]) == (len(rows), list(TIERS))


def test_no_order_of_steps_of_the_tests_is_written_again(tmp_path: Path) -> None:
    counts = dict.fromkeys(KINDS, 8)
    tests = write_chains(tmp_path / "tests.jsonl", 1, counts, "test", set())
    assert len(tests) == 8 * len(KINDS)
    assert not tests & write_chains(tmp_path / "train.jsonl", 2, counts, "train", tests)


def test_the_same_seed_writes_the_same_tasks(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        (tmp_path / name).mkdir()
        write_chains(tmp_path / name / "chains.jsonl", seed, {("five", "bounds"): 3}, "train", set())
    texts = [(tmp_path / name / "chains.jsonl").read_text() for name in ("one", "two", "three")]
    assert texts[0] == texts[1] != texts[2]
