"""`austin-3shot`: MBPP as in the paper that published it: three solved tasks, then the one to solve.

The shots are tasks 2, 3 and 4 of the published file, byte for byte, with the CR-LF of their codes. The paper says
nothing of what stands between them: it is a blank line here, as in lm-eval. Nor does it say how long an answer may be.

Source: Austin et al. 2021, "Program Synthesis with Large Language Models", section 4; google-research, mbpp/README.md.
"""

from __future__ import annotations

from harness.errors import UsageError
from harness.protocols.families import MBPP, MBPP_PLUS, MBPP_SANITIZED
from harness.protocols.rules import Rules, Unfit, statement_of
from harness.records import Task
from harness.statement import Shot, Statement

NAME = "austin-3shot"
STOP = "[DONE]"
UNFIT: Unfit = {
    MBPP_SANITIZED: "the tasks that its prompts show solved are among the tasks there",
    MBPP_PLUS: "it shows all tests, and EvalPlus's file has one of them, in its prompts",
}


def prompt(task: Task) -> str:
    """Return the three shots and the question. Raises `UsageError` for a data file without them."""
    statement = statement_of(task)
    if not statement.shots:
        raise UsageError(f"protocol {NAME!r} shows tasks 2, 3 and 4 of MBPP, and the data file lacks them")
    solved = (f"{_question(shot)}{shot.code}\n{STOP}" for shot in statement.shots)
    return "\n\n".join([*solved, _question(statement)])


def _question(asked: Statement | Shot) -> str:
    return (
        f"You are an expert Python programmer, and here is your task: {asked.description} "
        "Your code should pass these tests:\n\n" + "\n".join(asked.tests) + "\n[BEGIN]\n"
    )


RULES = {
    MBPP: Rules(
        name=NAME,
        source="Austin et al. 2021, section 4; google-research, mbpp/README.md",
        prompt=prompt,
        extraction="austin",
        stop=(STOP,),
        max_new_tokens=512,
    )
}
