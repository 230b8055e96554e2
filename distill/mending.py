"""PERsD (arXiv 2310.18628): a teacher mends the programs that the student got wrong, and the student learns the mended.

A mended program makes up to two lessons: the question with it, and the same behind the student's wrong program and what
the harness said of that. An oracle mends as well, by the question's own solution: that is personal in its choice of
questions alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from distill.asking import Failure, ask, first_failures, mending_requests, read_asked, write_asked
from distill.fault_stages import RUNS
from distill.lessons import Fault, FaultSource, Lesson
from distill.prompts import PromptName, fill
from distill.questions import write_tasks
from distill.round_runs import ANSWERS, QUESTIONS, RoundRuns
from distill.teaching import ORACLE, MendingLessons
from harness import Run, find_checkpoint, load_run, open_model

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
    ask(open_model(teacher.name), requests, runs.asking(teacher.temperature), texts)
    found = write_asked(tries.tasks(), texts, path)
    counts = runs.evaluated(str(runs.folder / QUESTIONS), ANSWERS, stored=path) if found else {}
    calls = sum(1 for _ in read_asked(texts))
    return {"samples": 0, **counts, "teacher_calls": calls, **runs.unanswered(len(requests), calls)}


@dataclass(frozen=True, slots=True, kw_only=True)
class MendedLessons:
    """Lessons of mended programs, and how many were left out because the student's context does not hold them."""

    lessons: tuple[Lesson, ...]
    too_long: int = 0


def mending_lessons(runs: RoundRuns, answers: Sequence[Lesson]) -> MendedLessons:
    """Return the lessons of the kinds that the teacher's `mending_lessons` names.

    Those that show the wrong program come behind the others.
    """
    kind = runs.config.teacher.mending_lessons
    if kind is MendingLessons.ANSWER or not answers:
        return MendedLessons(lessons=tuple(answers))
    found = refined(answers, _tries(runs))
    fitting = _fitting(found, runs.student)
    lessons = fitting if kind is MendingLessons.REFINE else [*answers, *fitting]
    return MendedLessons(lessons=tuple(lessons), too_long=len(found) - len(fitting))


def refined(answers: Sequence[Lesson], tries: Run) -> list[Lesson]:
    """Return a lesson for each answer with the wrong program and its error before the prompt (`prompts/mend_own.txt`).

    A try without any program shows nothing, and makes none.
    """
    failures = {one.task.task_id: one for one in first_failures(tries) if one.program.strip()}
    return [
        _refined(answer, failures[answer.task_id], tries.folder.name)
        for answer in answers
        if answer.task_id in failures
    ]


def _refined(answer: Lesson, failure: Failure, run: str) -> Lesson:
    error = "\n".join(f"# {line}" for line in failure.error.splitlines())
    wrong = Fault(
        source=FaultSource.STUDENT,
        run=run,
        sample_index=failure.sample.sample_index,
        outcome=failure.verdict.outcome,
        completion=failure.sample.completion,
    )
    shown = fill(PromptName.MEND_OWN, {"program": failure.program, "error": error})
    return replace(answer, prompt=shown + answer.prompt, fault=None, mends=wrong)


def _fitting(lessons: list[Lesson], student: str) -> list[Lesson]:
    """Return the lessons that a student's context holds, with the token that ends a text."""
    from transformers import AutoConfig, AutoTokenizer

    folder = str(find_checkpoint(student).folder)
    context = getattr(AutoConfig.from_pretrained(folder).get_text_config(), "max_position_embeddings", None)
    if context is None or not lessons:
        return lessons
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sides = [tokenizer([getattr(one, side) for one in lessons])["input_ids"] for side in ("prompt", "completion")]
    lengths = [len(prompt) + len(completion) + 1 for prompt, completion in zip(*sides, strict=True)]
    return [lesson for lesson, length in zip(lessons, lengths, strict=True) if length <= context]


def _tries(runs: RoundRuns) -> Run:
    return load_run(runs.folder / RUNS[FaultSource.STUDENT])
