"""Lessons of a length that a student can learn: what its context does not hold makes no lesson."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from distill.lessons import Lesson
from distill.pairs import Pair
from distill.study import examples_of
from distill.train_settings import TrainSettings
from harness import find_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonsWithin:
    """Lessons that fit, in their order; how many do not, and how many lost a faulty side that does not."""

    lessons: tuple[Lesson, ...]
    too_long: int = 0
    faults_too_long: int = 0


def lessons_within_context(lessons: Sequence[Lesson], student: str, training: TrainSettings) -> LessonsWithin:
    """Return the lessons whose tokens the student's context holds, and the training's `max_length` allows.

    Counted are the tokens that are trained on: prompt, answer, and the one that ends a text. Of a lesson whose faulty
    side alone is too long, the right side stays. Random windows (`TrainSettings.window`) are cut from any length.
    """
    if not lessons or training.window is not None:
        return LessonsWithin(lessons=tuple(lessons))
    from transformers import AutoConfig, AutoTokenizer

    folder = str(find_checkpoint(student).folder)
    context = getattr(AutoConfig.from_pretrained(folder).get_text_config(), "max_position_embeddings", None)
    limits = [limit for limit in (context, training.max_length) if limit is not None]
    if not limits:
        return LessonsWithin(lessons=tuple(lessons))
    examples = examples_of(AutoTokenizer.from_pretrained(folder), lessons, 0.0)
    found = [_within(lesson, one, min(limits)) for lesson, one in zip(lessons, examples, strict=True)]
    kept = tuple(one for one in found if one is not None)
    without = sum(one is not None and one != lesson for lesson, one in zip(lessons, found, strict=True))
    return LessonsWithin(lessons=kept, too_long=len(lessons) - len(kept), faults_too_long=without)


def _within(lesson: Lesson, example: Any, limit: int) -> Lesson | None:
    if example.length <= limit:
        return lesson
    right = example.chosen if isinstance(example, Pair) else example
    return replace(lesson, fault=None) if right.length <= limit else None
