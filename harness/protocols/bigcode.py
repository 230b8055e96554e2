"""`bigcode`: how the BigCode evaluation harness asks, by its defaults; samples as many as its documentation has.

HumanEval's prompt is stripped of its last newline, so that the model writes it; MBPP's is InCoder's docstring. Prompt
and answer together have 512 tokens. Behind a prompt that has as many by itself BigCode writes nothing, and goes on with
what there is; here that is an answer that has run out of tokens.

Source: bigcode-evaluation-harness, bigcode_eval/tasks/{humaneval,mbpp,mbppplus}.py, bigcode_eval/arguments.py (0.2,
0.95, 512), bigcode_eval/{generation,utils}.py (`max_length`, which is transformers'), main.py and docs/README.md (200
and 15 samples); Fried et al. 2022 for MBPP's prompt.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.extraction.bigcode import HUMANEVAL_STOP, MBPP_STOP
from harness.protocols.families import HUMANEVAL, MBPP, MBPP_PLUS, MBPP_SANITIZED
from harness.protocols.rules import Rules, Unfit, statement_of
from harness.records import Task

NAME = "bigcode"
UNFIT: Unfit = {MBPP_PLUS: "it makes prompts of descriptions and tests, and EvalPlus's file has neither"}


def stripped(task: Task) -> str:
    """Return HumanEval's prompt without outer blanks."""
    return task.prompt.strip()


def incoder(task: Task) -> str:
    """Return a docstring of the description and the first test."""
    statement = statement_of(task)
    return f'"""\n{statement.description}\n{statement.tests[0]}\n"""\n'


def _rules(prompt: Callable[[Task], str], stop: tuple[str, ...], n_samples: int) -> Rules:
    return Rules(
        name=NAME,
        source="bigcode-evaluation-harness: bigcode_eval, docs/README.md",
        prompt=prompt,
        extraction="bigcode",
        stop=stop,
        temperature=0.2,
        top_p=0.95,
        n_samples=n_samples,
        max_new_tokens=512,
        max_length=512,
        opening=prompt,
    )


RULES = {HUMANEVAL: _rules(stripped, HUMANEVAL_STOP, 200)} | dict.fromkeys(
    (MBPP, MBPP_SANITIZED), _rules(incoder, MBPP_STOP, 15)
)
