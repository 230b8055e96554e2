"""What a loop will cost, from its configuration alone: `--dry-run`. What it did cost, `harness distill status` says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from distill.lessons import FaultSource
from distill.loop import LoopConfig
from distill.question_sources import count_of
from distill.selection import Selection
from distill.teaching import STUDENT, MendingLessons
from harness import load_benchmark, rules_for

CHARACTERS_PER_TOKEN = 3  # of Python, by common tokenizers and the demo's own
_SHOWN = {MendingLessons.ANSWER: 1, MendingLessons.COMBINE: 1.5, MendingLessons.REFINE: 2}  # programs in a lesson


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """How much of something a round takes, and the rule by which that was reckoned."""

    what: str
    amount: int
    rule: str


def estimate(config: LoopConfig) -> Iterator[Cost]:
    """Yield what a round costs: bounds, but for the training's tokens, which are about that many.

    A round without a weak tier costs its evaluation alone. Raises UsageError when the tasks cannot be loaded.
    """
    benchmark = load_benchmark(config.tasks)
    tasks, teacher, faults = len(benchmark.tasks), config.teacher, config.faults
    count = config.questions.count
    questions = count if isinstance(count, int) else count_of(config.questions.source)
    written, programs, by = 0, 0, "questions.count"
    if created := config.questions.created:
        questions = min(questions, created.most(config.attempts.probes))
        written, programs = questions, questions * created.n_samples
        by = "questions.count; created.per_seed x attempts.probes, if fewer"
    yield Cost(what="questions", amount=questions, rule=by)

    answers = questions * (1 if teacher.mends else teacher.n_samples) if teacher.model else 0
    asked = questions if FaultSource.TEACHER in faults.sources else 0
    calls = written + programs + asked + (0 if teacher.model == STUDENT else answers)
    rule = "questions x teacher.n_samples, and each for a fault; stored answers and the student's own: 0"
    rule += "; each to be written, and created.n_samples programs" if created else ""
    yield Cost(what="teacher calls", amount=calls, rule=rule)

    tries = questions * faults.n_samples if teacher.mends or FaultSource.STUDENT in faults.sources else 0
    attempts = config.attempts.probes * config.attempts.n_samples if config.questions.feedback.needs_probes else 0
    student = 2 * tasks + attempts + tries + (answers if teacher.model == STUDENT else 0)
    rule = "tasks before and after (before: in the first round), probes x n_samples, questions x faults.n_samples"
    yield Cost(what="student samples", amount=student, rule=rule)

    changed = questions * faults.mutants if FaultSource.MUTATION in faults.sources else 0
    judged = calls - written + student + changed + (0 if teacher.model else questions)
    yield Cost(what="programs judged", amount=judged, rule="every sample, and faults.mutants of each question")

    limit = config.max_new_tokens or rules_for("default", benchmark).max_new_tokens
    yield Cost(what="tokens written", amount=(calls + student) * limit, rule=f"at most {limit} a sample")

    of_each = 1 if config.answers.selection is Selection.FIRST else teacher.n_samples
    steps = config.training.steps_for(questions * of_each)
    seen = steps * config.training.examples_per_step
    by = "training.steps" if config.training.epochs is None else f"epochs x questions x {of_each} / a step's"
    yield Cost(what="training steps", amount=steps, rule=by)
    length = fmean(len(task.prompt) + len(task.reference.removeprefix(task.prompt)) for task in benchmark.tasks)
    sides = 2 if faults.sources and config.pairs.needs_faulty else _SHOWN[teacher.mending_lessons]
    rule = f"steps x a step's examples x {length:.0f} characters of a measured task / {CHARACTERS_PER_TOKEN}"
    rule += f", x {sides:g} for wrong programs" if sides > 1 else ""
    yield Cost(what="training tokens", amount=round(seen * sides * length / CHARACTERS_PER_TOKEN), rule=rule)
