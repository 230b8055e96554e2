"""The stage of a round that makes lessons: judged answers, with faulty sides, without those that give a test away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distill.context import lessons_within_context
from distill.decontaminate import LeakRules, decontaminate
from distill.fault_stages import FaultStages
from distill.lessons import LeakageError, Lesson, write_lessons
from distill.mending import mending_lessons
from distill.restating import left_out
from distill.round_runs import RoundRuns
from distill.texts import text_of_lesson
from harness import MeasurementInvalid

LESSONS, DECONTAMINATION = "lessons.jsonl", "decontamination.json"
_LEFT_OUT = "left_out_as_"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedLessons:
    """Lessons that give no test away, and how many do, or could not be compared with the tests."""

    clean: tuple[Lesson, ...]
    leaking: int = 0
    not_comparable: int = 0


def learnt(runs: RoundRuns, faults: FaultStages) -> dict[str, int]:
    """Write the round's lessons; return how many there are and how many were left out, by the reason."""
    lessons = faults.lessons()
    if runs.config.teacher.mends:
        lessons = mending_lessons(runs, lessons)
    fitting = lessons_within_context(lessons, runs.student, runs.config.training)
    too_long = {f"{_LEFT_OUT}too_long": fitting.too_long}
    compared = compared_with_tests(runs, fitting.lessons) if fitting.lessons else ComparedLessons(clean=())
    write_lessons(compared.clean, runs.folder / LESSONS)
    leaks = {f"{_LEFT_OUT}leaks": compared.leaking, f"{_LEFT_OUT}not_comparable": compared.not_comparable}
    found = [lesson.fault.source for lesson in compared.clean if lesson.fault]
    of_faults = {"faults_too_long": fitting.faults_too_long} if runs.config.faults.sources else {}
    of_faults |= {f"faults_by_{source}": found.count(source) for source in runs.config.faults.sources}
    return {"lessons": len(compared.clean)} | leaks | too_long | left_out(runs) | of_faults


def compared_with_tests(runs: RoundRuns, lessons: Sequence[Lesson]) -> ComparedLessons:
    """Return the lessons that give no test away, and write down what was found; see `distill.decontaminate`.

    Raises MeasurementInvalid where the machine failed: how it is doing must not decide what is learnt. The same call
    compares all again. Raises LeakageError for a leak where the configuration asks for that.
    """
    texts = [text_of_lesson(lesson) for lesson in lessons]
    machine = runs.machine
    rules = LeakRules(semantic=runs.config.questions.semantic)
    found = decontaminate(texts, runs.test_sets, rules, machine.sandbox, machine.workers, machine.progress())
    if failed := found.machine_failures:
        raise MeasurementInvalid(
            f"{len({one.name for one in failed})} of {len(texts)} lessons could not be compared with the tests because "
            f"the machine failed ({failed[0].name}: {failed[0].reason}). Run the same command again to go on"
        )
    (runs.folder / DECONTAMINATION).write_bytes(found.to_json())
    if found.leaking and runs.config.questions.fail_on_leak:
        raise LeakageError(f"{min(found.leaking)} gives a test away: see {runs.folder / DECONTAMINATION}")
    out = frozenset(found.left_out)
    return ComparedLessons(
        clean=tuple(lesson for lesson, text in zip(lessons, texts, strict=True) if text.name not in out),
        leaking=len(found.leaking),
        not_comparable=len(out - found.leaking),
    )


def why_nothing_is_learnt(counts: Mapping[str, int], teacher: str) -> str:
    """Return the reason that a round without lessons gives, by what was counted."""
    told = [
        f"{count} as {name.removeprefix(_LEFT_OUT)}" for name, count in counts.items() if _LEFT_OUT in name and count
    ]
    if told:
        return f"every lesson was left out ({', '.join(told).replace('_', ' ')}), so nothing was trained"
    return f"no answer of {teacher} makes a lesson, so nothing was trained"
