"""`evalplus-base`: how EvalPlus asks models without a chat template.

Source: EvalPlus 0.3, codegen.py, provider/utility.py, provider/hf.py; Liu et al. 2023.
"""

from __future__ import annotations

from dataclasses import replace

from harness.extraction import extract_program
from harness.protocols.families import HUMANEVAL, MBPP
from harness.protocols.rules import Rules
from harness.records import Task

NAME = "evalplus-base"
EVERYWHERE = ("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")


def prompt(task: Task) -> str:
    """Return the task's prompt without outer blanks, and one newline."""
    return task.prompt.strip() + "\n"


def program(task: Task, completion: str) -> str:
    """Return the program that a completion stands for. Never fails; the rules are `extract_program`'s.

    Tabs become four blanks, as EvalPlus does after generating: the prompts are indented with blanks, and Python
    refuses a mixture.
    """
    # Where the task's prompt does not end in one newline, the model has continued another text than that prompt.
    continued = replace(task, prompt=task.prompt.rstrip() + "\n")
    return extract_program(continued, completion.replace("\t", "    "))


def _rules(*stop: str) -> Rules:
    return Rules(
        name=NAME,
        source="EvalPlus 0.3: codegen.py, provider/utility.py, provider/hf.py; models without a chat template",
        prompt=prompt,
        program=program,
        extraction="prompted",
        stop=(*EVERYWHERE, *stop),
        top_p=0.95,
        max_new_tokens=768,
    )


RULES = {
    HUMANEVAL: _rules("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "),
    MBPP: _rules('\n"""', "\nassert"),
}
