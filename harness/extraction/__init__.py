"""Named rules that turn a completion into the program that is run.

A rule takes the task, with the prompt that the model continued, and the completion. It never fails and takes linear
time, whatever the text: completions are hostile. Each rule is one file with its source; `RULES` is the table of them.
"""

from __future__ import annotations

from harness.errors import UsageError
from harness.extraction import austin, bigcode, ekt, evalplus, human_eval, lm_eval_instruct, prompted, simple_evals
from harness.extraction.prompted import extract_program as extract_program
from harness.extraction.rule import ExtractionRule as ExtractionRule

RULES: dict[str, ExtractionRule] = {
    rule.name: rule
    for rule in (
        human_eval.RULE,
        prompted.RULE,
        evalplus.ALONE,
        evalplus.PROMPTED,
        bigcode.RULE,
        lm_eval_instruct.RULE,
        simple_evals.RULE,
        austin.RULE,
        ekt.RULE,
    )
}


def extraction_rule(name: str) -> ExtractionRule:
    """Return the rule of that name. Raises `UsageError` with the names there are."""
    if name not in RULES:
        raise UsageError(f"no extraction rule {name!r}: use one of {', '.join(RULES)}")
    return RULES[name]
