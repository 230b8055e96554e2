"""What a protocol says about a family of benchmarks: prompt, decoding, and how an answer becomes a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.chat import Chat
from harness.extraction import extraction_rule
from harness.records import Task
from harness.statement import Statement

# What a benchmark is called whose tasks do not fit, and why they do not.
Unfit = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of one protocol for one family of benchmarks.

    `prompt` gives the text that a model continues, byte for byte, or what a chat model is asked. A completion is cut
    at the strings of `stop`. `temperature` (0 is greedy), `top_p`, `max_new_tokens` and `n_samples` are what the
    protocol decodes with unless told otherwise; so is `max_length`, the most tokens of prompt and answer together
    (None: no such limit), whose place other `max_new_tokens` take. `extraction` is the name of the rule that makes a
    program of a completion. Where that rule puts the task's prompt in front, `opening` says what it puts there: the
    prompt in the form in which the model saw it. With `widens_tabs`, tabs of a completion become four blanks before.
    `source` says where all of this comes from.
    """

    name: str
    source: str
    prompt: Callable[[Task], str | Chat]
    extraction: str
    stop: tuple[str, ...]
    max_new_tokens: int
    max_length: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    n_samples: int = 1
    opening: Callable[[Task], str] = lambda task: task.prompt
    widens_tabs: bool = False

    def program(self, task: Task, completion: str) -> str:
        """Return the program that a completion stands for. Never fails, whatever the completion."""
        text = completion.replace("\t", "    ") if self.widens_tabs else completion
        return extraction_rule(self.extraction).extract(replace(task, prompt=self.opening(task)), text)


def statement_of(task: Task) -> Statement:
    """Return what a prompt is made of. Raises `ValueError` for a task of a family that no such rules are for."""
    if task.statement is None:
        raise ValueError(f"{task.task_id} has no statement, and its family has no rules that need one")
    return task.statement
