"""A word problem as its file holds it: a question, the program that answers it, and the answer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from harness.benchmarks import data
from harness.benchmarks.gsm8k import VARIABLE, commented
from harness.records import NumberTests, Task
from harness.statement import Shot, Statement

VERSION = 1
TIERS = ("easy", "medium", "hard")
FOLDER = Path(__file__).parent
# What the prompt of a few-shot protocol shows: short problems of the training split, so that small contexts hold them.
SHOTS = (
    Shot(
        description="In the morning Dan finds 12 shells. Dan buys 5 more. How many shells does Dan have now?",
        tests=(),
        code="answer = 12 + 5",
    ),
    Shot(
        description="Gina has 7 bags with 4 pens each. Gina gives half of them to Hugo. How many pens does Gina "
        "have now?",
        tests=(),
        code="t0 = 7 * 4\nanswer = t0 / 2",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem. `kind` is its skeleton: the sentences that it is made of, without names, things and numbers."""

    task_id: str
    question: str
    program: str
    answer: int
    tier: str
    kind: str

    def to_line(self) -> str:
        """Return the canonical JSON line: keys in order, ASCII, no blanks, one newline."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")) + "\n"

    def to_task(self, split: str) -> Task:
        """Return the task to be evaluated, or trained on."""
        prompt = commented(self.question)
        return Task(
            task_id=self.task_id,
            prompt=prompt,
            entry_point=VARIABLE,
            reference=prompt + self.program,
            tests=NumberTests(expected=Fraction(self.answer)),
            split=split,
            tier=self.tier,
            statement=Statement(description=self.question, tests=(), shots=SHOTS),
        )


def problem_from(record: data.JsonRecord) -> Problem:
    """Return the problem of one line. Raises `SamplesError`."""
    answer = record.fields.get("answer")
    if type(answer) is not int:
        raise record.error("'answer' must be a whole number")
    return Problem(
        task_id=record.text("task_id"),
        question=record.text("question"),
        program=record.text("program"),
        answer=answer,
        tier=record.text("tier"),
        kind=record.text("kind"),
    )
