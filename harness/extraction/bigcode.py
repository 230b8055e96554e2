"""`bigcode`: the prompt and the completion up to the first stop word, of which MBPP and HumanEval have their own.

Source: bigcode-evaluation-harness, bigcode_eval/base.py (_stop_at_stop_token), bigcode_eval/tasks/{humaneval,mbpp}.py
(postprocess_generation).
"""

from __future__ import annotations

from harness.extraction.rule import ExtractionRule
from harness.records import Task

HUMANEVAL_STOP = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\n```", "<file_sep>")
MBPP_STOP = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n<|/", "\n```")


def cut_at_stop_word(task: Task, completion: str) -> str:
    """Return the prompt and what stands before the first stop word; a task with a statement is one of MBPP's."""
    words = MBPP_STOP if task.statement else HUMANEVAL_STOP
    end = min((place for word in words if (place := completion.find(word)) >= 0), default=len(completion))
    return task.prompt + completion[:end]


RULE = ExtractionRule("bigcode", "bigcode-evaluation-harness: bigcode_eval/base.py, tasks", cut_at_stop_word)
