"""`lm-eval`: how the Language Model Evaluation Harness asks: its tasks `humaneval` and `mbpp`.

`mbpp` is the prompt of Austin et al. with their three shots, and at most 256 tokens, the default of lm-eval's engines.

Source: lm-eval 0.4.13, lm_eval/tasks/humaneval/{humaneval.yaml,utils.py}, lm_eval/tasks/mbpp/{mbpp.yaml,utils.py}.
"""

from __future__ import annotations

from dataclasses import replace

from harness.protocols import austin_3shot
from harness.protocols.families import HUMANEVAL, MBPP
from harness.protocols.rules import Rules, Unfit

NAME = "lm-eval"
STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
MAX_NEW_TOKENS = 1024
UNFIT: Unfit = austin_3shot.UNFIT

RULES = {
    HUMANEVAL: Rules(
        name=NAME,
        source="lm-eval 0.4.13: lm_eval/tasks/humaneval/humaneval.yaml",
        prompt=lambda task: task.prompt,
        extraction="prompt-and-completion",
        stop=STOP,
        max_new_tokens=MAX_NEW_TOKENS,
    ),
    MBPP: replace(
        austin_3shot.RULES[MBPP],
        name=NAME,
        source="lm-eval 0.4.13: lm_eval/tasks/mbpp/mbpp.yaml",
        max_new_tokens=256,
    ),
}
