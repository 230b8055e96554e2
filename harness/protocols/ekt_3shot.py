"""`ekt-3shot`: GSM8K as a few-shot teacher is asked: three solved questions as programs, then the one to solve.

The form is the authors': the question as a comment, straight-line code, the number left in `answer`. The three
questions are ours, as theirs are of another data set, or those of `--shots`. An answer ends behind its first line that
begins with `answer`, which is the extraction's matter; what stops the model is the next question. The authors cut a
prompt to its last 756 tokens; here it stays whole.

Source: arXiv 2211.16740; zhangir-azerbayev/ETK, etk/few_shot/gsm8k_prompt.txt.
"""

from __future__ import annotations

from harness.benchmarks.gsm8k import commented
from harness.protocols.families import GSM8K
from harness.protocols.rules import Rules, statement_of
from harness.records import Task
from harness.statement import Shot

NAME = "ekt-3shot"
STOP = ("\n\n#",)
MAX_NEW_TOKENS = 150

SHOTS = (
    Shot(
        description="An orchard packs 18 crates with 24 apples each and sells 5 of the crates. How many apples are "
        "left in the others?",
        tests=(),
        code="n0 = 18\nn1 = 24\nn2 = 5\nt0 = n0 - n2\nanswer = t0 * n1",
    ),
    Shot(
        description="A train covers 210 kilometres in 3 hours and then 90 kilometres in 2 hours. What is its average "
        "speed over the whole way, in kilometres an hour?",
        tests=(),
        code="n0 = 210\nn1 = 3\nn2 = 90\nn3 = 2\nt0 = n0 + n2\nt1 = n1 + n3\nanswer = t0 / t1",
    ),
    Shot(
        description="A shop buys 40 notebooks at 3 euros each and pays 20 euros for bringing them. It sells three "
        "quarters of them at 6 euros each and the others at half of that. How many euros does it gain?",
        tests=(),
        code="n0 = 40\nn1 = 3\nn2 = 20\nn3 = 0.75\nn4 = 6\nn5 = 0.5\nt0 = n0 * n1\nt1 = t0 + n2\nt2 = n0 * n3\n"
        "t3 = n0 - t2\nt4 = t2 * n4\nt5 = n4 * n5\nt6 = t3 * t5\nt7 = t4 + t6\nanswer = t7 - t1",
    ),
)


def prompt(task: Task) -> str:
    """Return the solved questions with their programs, and the question."""
    shots = statement_of(task).shots or SHOTS
    return "".join(f"{commented(shot.description)}{shot.code}\n\n" for shot in shots) + task.prompt


RULES = {
    GSM8K: Rules(
        name=NAME,
        source="arXiv 2211.16740; zhangir-azerbayev/ETK: etk/few_shot/gsm8k_prompt.txt; the shots are ours",
        prompt=prompt,
        extraction="ekt",
        stop=STOP,
        max_new_tokens=MAX_NEW_TOKENS,
    )
}
