"""`python -m harness.benchmarks.ladder` writes the test set again: tasks.jsonl beside this file."""

from __future__ import annotations

from harness.benchmarks.ladder.generator import ladder_test
from harness.benchmarks.ladder.rungs import SHIPPED

if __name__ == "__main__":
    SHIPPED.write_text("".join(rung.to_line() for rung in ladder_test()), encoding="ascii", newline="\n")
