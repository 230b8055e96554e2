"""Judge answers that are text: no program runs, and a few characters of the answer count.

How a TinyPy output and a line of code are compared follows the code that the curriculum paper's authors published
(arXiv 2407.10194): the numbers as floats, or as many characters as the right line has. Covers comparing only.
"""

from __future__ import annotations

import re

from harness.errors import UsageError
from harness.evidence import clean
from harness.findings import Finding
from harness.records import Evidence, Outcome, Sample, Task, TextRule, TextTests

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.ASCII)


def compare_text(task: Task, tests: TextTests, sample: Sample) -> Finding:
    """Return what becomes of a sample's answer; takes the same short time for any answer, once it has been cut.

    Raises UsageError for an expected answer that proves nothing.
    """
    answer = sample.program.removeprefix(task.prompt)[: tests.characters]
    if tests.rule is TextRule.CHARACTERS:
        return _compare_characters(answer, tests.expected)
    return _compare_numbers(answer.split("\n\n", 1)[0], tests.expected)


def _compare_numbers(answer: str, expected: str) -> Finding:
    wanted, found = numbers_in(expected), numbers_in(answer)
    if not wanted:
        raise UsageError(f"an expected answer without a number proves nothing: {clean(expected)}")
    if not found:
        return _finding(Outcome.NO_CODE, "no number in the answer", expected, answer)
    return _finding(Outcome.PASSED if found == wanted else Outcome.FAILED, "other numbers", expected, answer)


def numbers_in(text: str) -> list[float]:
    """Return the numbers in a text, in order; all else is passed over."""
    return [float(match[0]) for match in _NUMBER.finditer(text)]


def _compare_characters(answer: str, expected: str) -> Finding:
    if not expected:
        raise UsageError("an empty expected line proves nothing")
    outcome = Outcome.PASSED if answer == expected else Outcome.FAILED
    return _finding(outcome, "another line", expected, answer, edit_similarity(answer, expected))


def edit_similarity(left: str, right: str) -> float:
    """Return how alike two texts are, 0..1: twice their longest common subsequence by their lengths together.

    The ratio of fuzzywuzzy and of Levenshtein's `ratio`, which the authors report in percent.
    """
    from rapidfuzz.fuzz import ratio

    return round(ratio(left, right) / 100, 6)


def _finding(outcome: Outcome, reason: str, expected: str, answer: str, similarity: float | None = None) -> Finding:
    if outcome is Outcome.PASSED:
        evidence = Evidence(edit_similarity=similarity)
    else:
        evidence = Evidence(reason=reason, expected=clean(expected), actual=clean(answer), edit_similarity=similarity)
    return Finding(outcome, 1, 1, evidence)
