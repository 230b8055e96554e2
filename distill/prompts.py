"""Prompts for teachers and scoring models: the text files of `prompts/`, filled in.

They are what arXiv 2408.03680 (SODA) asks of a teacher, in our own words: answers, right and faulty, an assessment of a
program, and new questions. They are for models that continue text as well as for those that follow instructions: each
ends where the answer begins.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files
from string import Template


class PromptName(StrEnum):
    """A prompt, by the name of its file; `FIELDS` says what it is filled with."""

    ANSWER_CORRECT = "answer_correct"
    ANSWER_FAULTY = "answer_faulty"
    MEND_OWN = "mend_own"  # for the student itself: its wrong program and what went wrong; the task follows
    QUESTION_EASY = "question_easy"  # from a seed that the student copes with: the same domain, rarer, different
    QUESTION_HARD = "question_hard"  # from a medium or hard one: the same domain and type of task
    RATE_QUESTION = "rate_question"
    REFINE_ANSWER = "refine_answer"
    SCORE_ANSWER = "score_answer"
    TRANSLATE = "translate"  # a program to another language, and back


class ErrorType(StrEnum):
    """The types of error that a teacher is asked for, as `PromptName.ANSWER_FAULTY` names and defines them."""

    SYNTAX = "syntax"
    LOGIC = "logic"
    TYPE = "type"
    NAME = "name"
    TIME_OUT = "time-out"


FIELDS: dict[PromptName, frozenset[str]] = {
    PromptName.ANSWER_CORRECT: frozenset({"instruction"}),
    PromptName.ANSWER_FAULTY: frozenset({"instruction", "error"}),
    PromptName.MEND_OWN: frozenset({"program", "error"}),
    PromptName.QUESTION_EASY: frozenset({"instruction"}),
    PromptName.QUESTION_HARD: frozenset({"instruction"}),
    PromptName.RATE_QUESTION: frozenset({"instruction"}),
    PromptName.REFINE_ANSWER: frozenset({"instruction", "program", "fence", "error"}),
    PromptName.SCORE_ANSWER: frozenset({"instruction", "program", "fence"}),
    PromptName.TRANSLATE: frozenset({"source", "target", "program", "fence"}),
}
_BACKTICKS = re.compile("`+")


def fill(prompt: PromptName, fields: Mapping[str, str]) -> str:
    """Return a prompt with its fields filled in, each once: what looks like a field in a value stays as it is.

    Texts are made valid Unicode, which models insist on. Raises ValueError unless exactly the prompt's fields are
    given.
    """
    if fields.keys() != FIELDS[prompt]:
        raise ValueError(f"{prompt} takes {', '.join(sorted(FIELDS[prompt]))}, not {', '.join(sorted(fields))}")
    return _template(prompt).substitute({name: _valid(text) for name, text in fields.items()})


def fence_for(text: str) -> str:
    """Return a line of backticks that nothing in a text can close: longer than any row of them in it."""
    return "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(text)), default=0))


def digest_of_prompt(prompt: PromptName) -> str:
    """Return the SHA-256 of a prompt's file."""
    return hashlib.sha256(_template(prompt).template.encode()).hexdigest()


@cache
def _template(prompt: PromptName) -> Template:
    """Read a prompt. Raises ValueError for a file whose placeholders are not its fields."""
    template = Template((files("distill") / "prompts" / f"{prompt}.txt").read_text(encoding="utf-8"))
    if not template.is_valid() or set(template.get_identifiers()) != FIELDS[prompt]:
        raise ValueError(f"prompts/{prompt}.txt must hold exactly ${', $'.join(sorted(FIELDS[prompt]))}")
    return template


def _valid(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
