"""`ekt`: the prompt and the completion up to the end of its first line that begins with `answer`.

Source: arXiv 2211.16740; zhangir-azerbayev/ETK (`\\nanswer.*?\\n`).
"""

from __future__ import annotations

import re

from harness.extraction.rule import ExtractionRule
from harness.records import Task

_ANSWER = re.compile(r"^answer[^\n]*\n?", re.MULTILINE)


def up_to_the_answer(task: Task, completion: str) -> str:
    """Return the prompt and the completion through the first line of the answer; all of it where there is none."""
    match = _ANSWER.search(completion)
    return task.prompt + (completion[: match.end()] if match else completion)


RULE = ExtractionRule("ekt", "arXiv 2211.16740; zhangir-azerbayev/ETK", up_to_the_answer)
