"""`evalplus-chat-api`: how EvalPlus asks models behind an API that speaks OpenAI's protocol.

No answer is begun and nothing stops it; the system message is the client's own.

Source: EvalPlus 0.3.1, codegen.py (run_codegen), provider/openai.py, gen/util/openai_request.py.
"""

from __future__ import annotations

from harness.chat import Chat, Message
from harness.protocols.evalplus_base import MAX_NEW_TOKENS, TOP_P
from harness.protocols.evalplus_chat import INSTRUCTION
from harness.protocols.families import ALL_OF_MBPP, HUMANEVAL
from harness.protocols.rules import Rules
from harness.records import Task

NAME = "evalplus-chat-api"
SYSTEM = "You are a helpful assistant good at coding."


def prompt(task: Task) -> Chat:
    """Return the instruction with the task in a Python code block."""
    question = f"{INSTRUCTION}\n```python\n{task.prompt.strip()}\n```"
    return Chat(messages=(Message("system", SYSTEM), Message("user", question)))


RULES = dict.fromkeys(
    (HUMANEVAL, *ALL_OF_MBPP),
    Rules(
        name=NAME,
        source="EvalPlus 0.3.1: codegen.py, provider/openai.py, gen/util/openai_request.py",
        prompt=prompt,
        extraction="evalplus-sanitize",
        stop=(),
        top_p=TOP_P,
        max_new_tokens=MAX_NEW_TOKENS,
    ),
)
