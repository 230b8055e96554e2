"""`evalplus-chat`: how EvalPlus asks models with a chat template that run on this machine (hf, vllm).

The answer is begun for the model: it writes behind the opening fence of a code block, and stops at the closing one.

Source: EvalPlus 0.3.1, codegen.py (run_codegen), provider/utility.py (make_raw_chat_prompt), provider/hf.py.
"""

from __future__ import annotations

from harness.chat import Chat, Message
from harness.protocols.evalplus_base import EVERYWHERE, MAX_NEW_TOKENS, TOP_P
from harness.protocols.families import ALL_OF_MBPP, HUMANEVAL
from harness.protocols.rules import Rules
from harness.records import Task

NAME = "evalplus-chat"
INSTRUCTION = (
    "Please provide a self-contained Python script that solves the following problem in a markdown code block:"
)
RESPONSE = (
    "Below is a Python script with a self-contained function that solves the problem and passes corresponding tests:"
)


def prompt(task: Task) -> Chat:
    """Return the instruction with the task in a code block, and the beginning of the answer."""
    question = f"{INSTRUCTION}\n```\n{task.prompt.strip()}\n```\n"
    return Chat(messages=(Message("user", question),), prefill=f"{RESPONSE}\n```python\n")


RULES = dict.fromkeys(
    (HUMANEVAL, *ALL_OF_MBPP),
    Rules(
        name=NAME,
        source="EvalPlus 0.3.1: codegen.py, provider/utility.py, provider/hf.py; models with a chat template",
        prompt=prompt,
        extraction="evalplus-sanitize",
        stop=(*EVERYWHERE, "\n```\n"),
        top_p=TOP_P,
        max_new_tokens=MAX_NEW_TOKENS,
        widens_tabs=True,
    ),
)
