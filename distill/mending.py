"""PERsD (arXiv 2310.18628): a teacher mends the programs that the student got wrong, and the student learns the mended.

A mended program makes up to two lessons: the question with it, and the same behind the student's wrong program and what
the harness said of that. An oracle mends as well, by the question's own solution: that is personal in its choice of
questions alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from distill.asking import Failure, first_failures, mending_requests, write_asked
from distill.fault_stages import RUNS
from distill.lessons import Fault, FaultSource, Lesson, answer_in
from distill.prompts import PromptName, fill
from distill.round_runs import ANSWERS, QUESTIONS, RoundRuns
from distill.task_files import write_tasks
from distill.teaching import ORACLE, MendingLessons
from harness import Run, load_run

TEXTS, MENDED, FAILED = "mended_texts.jsonl", "mended.jsonl", "failed.jsonl"


def mended(runs: RoundRuns) -> dict[str, int]:
    """Have the teacher mend the student's tries that fail, and judge what it wrote as answers; return the counts."""
    tries = _tries(runs)
    teacher = runs.config.teacher
    if teacher.model == ORACLE:
        failed = [failure.task for failure in first_failures(tries)]
        write_tasks(failed, runs.folder / FAILED)
        counts = runs.evaluated(str(runs.folder / FAILED), ANSWERS, ORACLE) if failed else {}
        return {"samples": 0, **counts, "teacher_calls": len(failed)}
    requests, texts, path = mending_requests(tries), runs.folder / TEXTS, runs.folder / MENDED
    asked = runs.asked(requests, teacher.temperature, texts)
    found = write_asked(tries.tasks(), texts, path)
    judged = runs.evaluated(str(runs.folder / QUESTIONS), ANSWERS, stored=path) if found else {}
    return {"samples": 0, **judged, **asked}


def mending_lessons(runs: RoundRuns, answers: Sequence[Lesson]) -> list[Lesson]:
    """Return the lessons of the kinds that the teacher's `mending_lessons` names.

    Those that show the wrong program come behind the others.
    """
    kind = runs.config.teacher.mending_lessons
    if kind is MendingLessons.ANSWER or not answers:
        return list(answers)
    found = refined(answers, _tries(runs))
    return found if kind is MendingLessons.REFINE else [*answers, *found]


def refined(answers: Sequence[Lesson], tries: Run) -> list[Lesson]:
    """Return a lesson for each answer with the wrong program and its error before the prompt (`prompts/mend_own.txt`).

    A try without any program shows nothing, and makes none; nor does one that does not begin as the prompt.
    """
    failures = {one.task.task_id: one for one in first_failures(tries) if one.program.strip()}
    found = (
        _refined(answer, failures[answer.task_id], tries.folder.name)
        for answer in answers
        if answer.task_id in failures
    )
    return [lesson for lesson in found if lesson is not None]


def _refined(answer: Lesson, failure: Failure, run: str) -> Lesson | None:
    completion = answer_in(failure.sample.program, answer.prompt)
    if completion is None:
        return None
    error = "\n".join(f"# {line}" for line in failure.error.splitlines())
    wrong = Fault(
        source=FaultSource.STUDENT,
        run=run,
        sample_index=failure.sample.sample_index,
        outcome=failure.verdict.outcome,
        completion=completion,
    )
    shown = fill(PromptName.MEND_OWN, {"program": failure.program, "error": error})
    return replace(answer, prompt=shown + answer.prompt, fault=None, mends=wrong, shown_characters=len(shown))


def _tries(runs: RoundRuns) -> Run:
    return load_run(runs.folder / RUNS[FaultSource.STUDENT])
