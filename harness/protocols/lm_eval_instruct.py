"""`lm-eval-instruct`: how the Language Model Evaluation Harness asks chat models: its task `humaneval_instruct`.

The answer is begun with the prompt itself, in a code block, so that the model goes on with the function's body.

Source: lm-eval 0.4.13, lm_eval/tasks/humaneval/{humaneval_instruct.yaml,utils.py}, version 4.0 of the task.
"""

from __future__ import annotations

from harness.chat import Chat, Message
from harness.protocols.families import HUMANEVAL
from harness.protocols.lm_eval import MAX_NEW_TOKENS, STOP
from harness.protocols.rules import Rules
from harness.records import Task

NAME = "lm-eval-instruct"


def prompt(task: Task) -> Chat:
    """Return the question with the prompt in a code block, and an answer that begins with the prompt."""
    question = (
        "Write a solution to the following problem and make sure that it passes the tests:\n"
        f"```python\n{task.prompt}\n```\n"
    )
    prefill = f"Here is the completed function:\n```python\n{task.prompt}\n"
    return Chat(messages=(Message("user", question),), prefill=prefill)


RULES = {
    HUMANEVAL: Rules(
        name=NAME,
        source="lm-eval 0.4.13: lm_eval/tasks/humaneval/humaneval_instruct.yaml",
        prompt=prompt,
        extraction="lm-eval-instruct",
        stop=STOP,
        max_new_tokens=MAX_NEW_TOKENS,
    )
}
