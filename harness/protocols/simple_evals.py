"""`simple-evals`: how OpenAI's simple-evals asks chat models about HumanEval: five answers at temperature 0.5.

Its table of models gives some of them a system message and twice the tokens; this is the sampler with its defaults.

Source: openai/simple-evals, humaneval_eval.py and sampler/chat_completion_sampler.py.
"""

from __future__ import annotations

from harness.chat import Chat, Message
from harness.protocols.families import HUMANEVAL
from harness.protocols.rules import Rules
from harness.records import Task

NAME = "simple-evals"
INSTRUCTION = (
    "Read the following function signature and docstring, and fully implement the function described. "
    "Your response should only contain the code for this function.\n"
)


def prompt(task: Task) -> Chat:
    """Return the instruction and the prompt behind it, in one message."""
    return Chat(messages=(Message("user", INSTRUCTION + task.prompt),))


RULES = {
    HUMANEVAL: Rules(
        name=NAME,
        source="openai/simple-evals: humaneval_eval.py, sampler/chat_completion_sampler.py",
        prompt=prompt,
        extraction="simple-evals",
        stop=(),
        temperature=0.5,
        n_samples=5,
        max_new_tokens=1024,
    )
}
