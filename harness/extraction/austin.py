"""`austin`: what the model wrote before `[DONE]`, by itself.

Source: Austin et al. 2021, section 4; lm-eval 0.4.13 does so too, lm_eval/tasks/mbpp/mbpp.yaml.
"""

from __future__ import annotations

from harness.extraction.rule import ExtractionRule
from harness.records import Task


def before_done(task: Task, completion: str) -> str:
    """Return the completion up to `[DONE]`, without the prompt."""
    return completion.partition("[DONE]")[0]


RULE = ExtractionRule("austin", "Austin et al. 2021, section 4; google-research, mbpp/README.md", before_done)
