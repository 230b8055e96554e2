"""Which judged answers make lessons, and which of a question's: the settings. `distill.teaching` follows them."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Selection(StrEnum):
    """Which of a question's answers are learnt: each that is another, or only the first, as EKT does."""

    ALL = "all"
    FIRST = "first"


class AnswersConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of the answers is learnt, beside being right (the loop's `filter_answers`).

    `selection` says how many of a question. `drop_spurious` leaves right programs out that do not compute with their
    question's numbers (`distill.spurious`), of questions whose answers are numbers. With `cut_off`, answers that came
    to no end are learnt where wrong ones are.
    """

    selection: Selection = Selection.ALL
    drop_spurious: bool = False
    cut_off: bool = False


class LearntFrom(StrEnum):
    """Which of two: what the round before has left, or what the loop began with."""

    LAST = "last"
    FIRST = "first"


class LessonsOf(StrEnum):
    """Whose lessons a training is on: the round's own, or those of the rounds before as well."""

    ROUND = "round"
    ALL = "all"


class RoundsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a round takes over from those before it.

    `train` is the student that a training begins with: the `last` that was kept, or each time the `first`, the loop's
    own. `lessons` are those to train on. Expert iteration trains the first student on the lessons of all rounds.
    """

    train: LearntFrom = LearntFrom.LAST
    lessons: LessonsOf = LessonsOf.ROUND
