"""What `python -m benchmarks.ekt` plans, and what one seed leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

STUDENT, TEACHER, GOLD = "student", "teacher", "gold-only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A recipe of the loop. With `shares` it takes the answers of the seed's teacher over from the first arm."""

    learnt: str
    shares: bool = True


ARMS = {
    "ekt": Arm(learnt="the first right program of each question"),
    "ekt-all-distinct": Arm(learnt="every right program that is another one"),
    "ekt-unfiltered": Arm(learnt="the first program of each question, right or wrong"),
    "ekt-logit-kd": Arm(learnt="as ekt, and the teacher's probabilities behind its own prompt"),
    "ekt-logit-kd-no-prompt": Arm(learnt="as ekt, and the teacher's probabilities without its prompt"),
    "ekt-expert-iteration": Arm(learnt="the student's own right programs, three rounds", shares=False),
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What all seeds share: changes of the recipes, and how many tests measure them.

    `tests` are measured greedily, and the first `sampled_tests` of them with ten samples at `temperature`.
    """

    teacher: tuple[str, ...] = ()
    student: tuple[str, ...] = ()
    loop: tuple[str, ...] = ()
    tests: int = 1000
    sampled_tests: int = 100
    temperature: float = 0.6


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """A trained student: pass@1 and pass@10 (0..1); `lessons` and `steps` are of its last training, `tokens` of all."""

    greedy: float
    sampled: float
    at_10: float
    lessons: int
    steps: int
    tokens: int


class Taught(msgspec.Struct, frozen=True, kw_only=True):
    """A teacher: greedy pass@1 with its prompt and without, by samples with it; and what its answers are worth (0..1).

    `solved` is the share of questions with a right answer, `spurious` that of kept programs which are right by luck.
    """

    few_shot: float
    few_shot_sampled: float
    few_shot_at_10: float
    zero_shot: float
    student_before: float
    questions: int
    solved: float
    right_samples: float
    lessons: int
    spurious: float
