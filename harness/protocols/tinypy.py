"""`tinypy`: what TinyPy's tasks are always run by. The prompt byte for byte, and the answer as it comes.

Source: the evaluation code of arXiv 2407.10194; the authors sample at temperature 1, ours is greedy. The longest
answers that count have 30 characters, and the longest line has fewer than 128.
"""

from __future__ import annotations

from harness.protocols.rules import Rules

NAME = "tinypy"


def _rules(stop: str, max_new_tokens: int) -> Rules:
    return Rules(
        name=NAME,
        source="the evaluation code of arXiv 2407.10194, but greedy",
        prompt=lambda task: task.prompt,
        extraction="prompt-and-completion",
        stop=(stop,),
        max_new_tokens=max_new_tokens,
    )


RULES = {"tinypy-execution": _rules("\n\n", 32), "tinypy-completion": _rules("\n", 128)}
