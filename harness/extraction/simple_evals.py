"""`simple-evals`: the first Python block of the answer without its signature, behind the prompt.

Source: openai/simple-evals, humaneval_eval.py (find_code).
"""

from __future__ import annotations

from harness.extraction.rule import ExtractionRule
from harness.records import Task

_OPENING, _CLOSING = "```python\n", "```"


def without_signature(task: Task, completion: str) -> str:
    """Return the prompt and, of the first closed Python block or else the whole answer, what follows its first `:`.

    That is the first one before a line that is indented by four blanks, which ends a signature. Where there is none,
    the first character is lost, as it is in simple-evals.
    """
    _, opening, behind = completion.partition(_OPENING)
    block, closing, _ = behind.partition(_CLOSING)
    code = block if opening and closing else completion
    return task.prompt + code[code.find(":\n    ") + 2 :]


RULE = ExtractionRule("simple-evals", "openai/simple-evals: humaneval_eval.py", without_signature)
