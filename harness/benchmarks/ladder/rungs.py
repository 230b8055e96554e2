"""A task of the ladder as its file holds it: HumanEval's fields, a tier and a family."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness.benchmarks import data, humaneval
from harness.records import Task

SEED = 2026
VERSION = 1
TIERS = ("easy", "medium", "hard", "expert")
SHIPPED = Path(__file__).with_name("tasks.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One task. `family` is the template that it was made from."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str
    tier: str
    family: str

    def to_line(self) -> str:
        """Return the canonical JSON line: keys in order, ASCII, no blanks, one newline."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")) + "\n"

    def to_task(self, split: str = "test") -> Task:
        """Return the task to be evaluated, or trained on."""
        record = data.JsonRecord(place=self.task_id, fields=dict(asdict(self)))
        return replace(humaneval.task_from(record), tier=self.tier, split=split)


def rung_from(record: data.JsonRecord) -> Rung:
    """Return the rung of one line. Raises `SamplesError`."""
    return Rung(
        task_id=record.text("task_id"),
        prompt=record.text("prompt"),
        entry_point=record.text("entry_point"),
        canonical_solution=record.text("canonical_solution"),
        test=record.text("test"),
        tier=record.text("tier"),
        family=record.text("family"),
    )
