"""`default`: asks as evalplus-base does, because that is what most published numbers are compared with.

What it makes of an answer is ours: EvalPlus's sanitizer drops decorated functions and what stands outside of
definitions, which an honest program may need. GSM8K is asked as ekt-3shot does.
"""

from __future__ import annotations

from dataclasses import replace

from harness.protocols import ekt_3shot, evalplus_base
from harness.protocols.families import GSM8K
from harness.records import Task

NAME = "default"


def opening(task: Task) -> str:
    """Return the task's prompt, ended in one newline."""
    return task.prompt.rstrip() + "\n"


RULES = {
    family: replace(
        rules, name=NAME, source="as evalplus-base; the extraction is ours", extraction="prompted", opening=opening
    )
    for family, rules in evalplus_base.RULES.items()
} | {GSM8K: replace(ekt_3shot.RULES[GSM8K], name=NAME, source="as ekt-3shot")}
