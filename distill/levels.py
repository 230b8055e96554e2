"""Levels: whether a student copes with a question, from the feedback on its samples; a line of `levels.jsonl` each.

Which seeds get which new questions depends on it: easy ones rarer and different ones, medium and hard ones more of the
same (arXiv 2408.03680, its third stage).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from distill.feedback import Feedback, FeedbackConfig, give_feedback, read_feedback
from harness import Model, UsageError, load_run, write_whole

LEVELS = "levels.jsonl"
HARD_UP_TO, EASY_FROM = 2.0, 5.0  # of the rubric's 6 points


class Level(StrEnum):
    """How well a student copes with a question."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


class LevelRule(StrEnum):
    """How a level is found.

    `pass_rate`: the share p of a question's judged samples that pass: easy p = 1, hard p = 0, medium else. One sample a
    question knows no medium.
    `paper`: per sample, hard: not complete, or it does not run, or a score of 2 or less; easy: it runs (or nobody
    knows) and a score of 5 or more; medium: the rest. "Runs" is what the paper's tool view tells, which has no tests.
    `paper_tested`: the same with "passes its tests" in the place of "runs".
    A question is easy when all its samples are, hard when all are, and medium otherwise. The thresholds are our reading
    of arXiv 2408.03680, which names none.
    """

    PASS_RATE = "pass_rate"  # noqa: S105  (no password)
    PAPER = "paper"
    PAPER_TESTED = "paper_tested"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionLevel:
    """A question's level and what it rests on.

    `level` is None when too little is known: no sample was judged, or fewer than half of the judged ones say something
    (a program that does not run says "hard" without a score, so a scorer that fails would make questions hard).
    `samples` counts those that say something, `unknown` those that do not, `passed` those of the first that pass, and
    `scores` are the rubric's where there are any. `tier` is the run's.
    """

    task_id: str
    level: Level | None
    rule: LevelRule
    samples: int
    unknown: int
    passed: int
    scores: tuple[float, ...] = ()
    tier: str = ""


def find_levels(
    folder: Path,
    out: Path,
    config: FeedbackConfig | None = None,
    rule: LevelRule = LevelRule.PASS_RATE,
    scorer: Model | None = None,
) -> list[QuestionLevel]:
    """Give feedback on the run in `folder`, and write and return the level of each of its questions.

    `out` gets feedback.jsonl and levels.jsonl. Raises UsageError when the rule needs a model and none is named, and
    what `give_feedback` raises.
    """
    config = config or FeedbackConfig()
    if rule is not LevelRule.PASS_RATE and scorer is None and config.scorer is None:
        raise UsageError(f"levels by the rule {rule} need a model view: name a scorer, or take {LevelRule.PASS_RATE}")
    run = load_run(folder)
    path = give_feedback(run, out, config, scorer)
    levels = question_levels(read_feedback(path), rule, run.config.tiers)
    write_levels(levels, out / LEVELS)
    return levels


def question_levels(
    feedback: Iterable[Feedback], rule: LevelRule, tiers: Mapping[str, str] | None = None
) -> list[QuestionLevel]:
    """Return the level of each question, in the order in which they first come."""
    by_question: dict[str, list[Feedback]] = {}
    for one in feedback:
        by_question.setdefault(one.task_id, []).append(one)
    return [_question_level(task_id, samples, rule, tiers or {}) for task_id, samples in by_question.items()]


def sample_level(feedback: Feedback, rule: LevelRule) -> Level | None:
    """Return what one sample says of its question; None for one that was not judged, or lacks a score that decides."""
    if feedback.execution is None:
        return None
    passed: bool | None = feedback.execution.passed
    if rule is LevelRule.PASS_RATE:
        return Level.EASY if passed else Level.HARD
    if rule is LevelRule.PAPER:
        passed = feedback.static.runs
    score = feedback.model.score if feedback.model else None
    if feedback.static.complete is False or passed is False:
        return Level.HARD
    if score is None:
        return None
    if score <= HARD_UP_TO:
        return Level.HARD
    return Level.EASY if score >= EASY_FROM else Level.MEDIUM


def _question_level(task_id: str, samples: list[Feedback], rule: LevelRule, tiers: Mapping[str, str]) -> QuestionLevel:
    said = [(one, level) for one in samples if (level := sample_level(one, rule)) is not None]
    kinds = {level for _, level in said}
    judged = sum(one.execution is not None for one in samples)
    whole = None
    if said and 2 * len(said) >= judged:
        whole = kinds.pop() if len(kinds) == 1 else Level.MEDIUM
    return QuestionLevel(
        task_id=task_id,
        level=whole,
        rule=rule,
        samples=len(said),
        unknown=len(samples) - len(said),
        passed=sum(one.execution is not None and one.execution.passed for one, _ in said),
        scores=tuple(one.model.score for one, _ in said if one.model is not None and one.model.score is not None),
        tier=tiers.get(task_id, ""),
    )


def write_levels(levels: Iterable[QuestionLevel], path: Path) -> None:
    """Write a line of JSON per question; the file appears at the end and whole."""
    write_whole(path, b"".join(msgspec.json.encode(level) + b"\n" for level in levels))


def read_levels(path: Path) -> Iterator[QuestionLevel]:
    """Yield the levels of a file. Raises UsageError that names the line for one that is none."""
    decoder = msgspec.json.Decoder(QuestionLevel)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise UsageError(f"{path}, line {number}: {error}") from error
