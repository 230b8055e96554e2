"""`evalplus-base`: how EvalPlus asks models without a chat template, or with `--force-base-prompt`.

Source: EvalPlus 0.3.1, codegen.py, provider/utility.py, provider/hf.py; Liu et al. 2023.
"""

from __future__ import annotations

from harness.protocols.families import ALL_OF_MBPP, HUMANEVAL
from harness.protocols.rules import Rules
from harness.records import Task

NAME = "evalplus-base"
EVERYWHERE = ("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")
MAX_NEW_TOKENS = 768
TOP_P = 0.95


def prompt(task: Task) -> str:
    """Return the task's prompt without outer blanks, and one newline."""
    return task.prompt.strip() + "\n"


def _rules(*stop: str) -> Rules:
    return Rules(
        name=NAME,
        source="EvalPlus 0.3.1: codegen.py, provider/utility.py, provider/hf.py; models without a chat template",
        prompt=prompt,
        extraction="evalplus-sanitize-prompted",
        stop=(*EVERYWHERE, *stop),
        top_p=TOP_P,
        max_new_tokens=MAX_NEW_TOKENS,
        opening=prompt,
        widens_tabs=True,  # the prompts are indented with blanks, and Python refuses a mixture
    )


RULES = {HUMANEVAL: _rules("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")} | dict.fromkeys(
    ALL_OF_MBPP, _rules('\n"""', "\nassert")
)
