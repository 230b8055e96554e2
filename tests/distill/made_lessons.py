"""Lessons made up for a test, which says only what it is about."""

from __future__ import annotations

from typing import Any

from distill.lessons import Lesson


def lesson(prompt: str = "def f(x):\n", completion: str = "    return x\n", **changes: Any) -> Lesson:
    """Return an easy lesson of the training split that a teacher's first answer to task `T/0` gave."""
    made = {"task_id": "T/0", "sample_index": 0, "run": "answers", "split": "train", "tier": "easy", "source": "t"}
    return Lesson(prompt=prompt, completion=completion, **{**made, **changes})
