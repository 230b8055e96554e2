"""`lm-eval-instruct`: the prompt and the completion up to the first fence of a code block.

Source: lm-eval 0.4.13, lm_eval/tasks/humaneval/utils.py (build_predictions_instruct).
"""

from __future__ import annotations

from harness.extraction.rule import ExtractionRule
from harness.records import Task


def cut_at_fence(task: Task, completion: str) -> str:
    """Return the prompt and what stands before three backticks, wherever they are."""
    return task.prompt + completion.partition("```")[0]


RULE = ExtractionRule("lm-eval-instruct", "lm-eval 0.4.13: lm_eval/tasks/humaneval/utils.py", cut_at_fence)
