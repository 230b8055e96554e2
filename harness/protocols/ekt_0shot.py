"""`ekt-0shot`: GSM8K as a student is asked that has learnt from programs: the question as a comment, nothing before it.

Source: arXiv 2211.16740; zhangir-azerbayev/ETK, train_student.py.
"""

from __future__ import annotations

from dataclasses import replace

from harness.protocols import ekt_3shot
from harness.protocols.families import GSM8K

NAME = "ekt-0shot"

RULES = {
    GSM8K: replace(
        ekt_3shot.RULES[GSM8K],
        name=NAME,
        source="arXiv 2211.16740; zhangir-azerbayev/ETK: train_student.py",
        prompt=lambda task: task.prompt,
    )
}
