"""Named rules that tell a model's thinking from its answer.

A model that reasons writes `<think>`, its thoughts, `</think>`, and then its answer. Thinking is kept with the
completion, and it is no answer: no stop string acts in it, no program is made of it.
"""

from __future__ import annotations

import re
from enum import StrEnum

OPEN, CLOSE = "<think>", "</think>"
AUTO = "auto"  # whichever of the rules fits the model
_BEHIND = re.compile(re.escape(CLOSE) + r"\n*")


class ReasoningRule(StrEnum):
    """Where a completion's answer begins.

    Only a block at the very beginning is thinking, and its first `</think>` ends it: what comes later is text of the
    answer. The line ends behind it belong to no line of the answer. Thinking that never ends has no answer.
    Source: the chat templates of Qwen3 and DeepSeek-R1, by which they cut their own earlier turns.
    """

    NONE = "none"  # a completion is its answer
    THINK = "think"  # behind the thinking, where the completion begins with `<think>`; else it is its answer
    OPENED = "opened"  # as well, but `<think>` stands at the end of the prompt, so that it begins within the thinking

    @property
    def thinks(self) -> bool:
        """Whether a completion may have thinking in it."""
        return self is not ReasoningRule.NONE


RULES = tuple(rule.value for rule in ReasoningRule)


def answer_start(completion: str, rule: ReasoningRule) -> int | None:
    """Return where a completion's answer begins; None while its thinking has no end. Takes linear time."""
    if not begins_thinking(completion, rule):
        return 0
    close = _BEHIND.search(completion)
    return close.end() if close else None


def begins_thinking(completion: str, rule: ReasoningRule) -> bool:
    """Say whether a completion begins with thinking."""
    return rule is ReasoningRule.OPENED or (rule is ReasoningRule.THINK and completion.lstrip().startswith(OPEN))


def answer_of(completion: str, rule: ReasoningRule) -> str:
    """Return a completion's answer: what a program is made of. Empty where the thinking has no end."""
    start = answer_start(completion, rule)
    return "" if start is None else completion[start:]


def cut_answer(completion: str, rule: ReasoningRule, stop: tuple[str, ...]) -> str:
    """Return a completion up to the earliest stop string in its answer."""
    start = answer_start(completion, rule)
    if start is None:
        return completion
    ends = (place for one in stop if (place := completion.find(one, start)) >= 0)
    return completion[: min(ends, default=len(completion))]
