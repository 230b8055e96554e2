"""Programs that a teacher is asked for in words: wrong ones by type of error, and mended ones of a student's failures.

What it writes is anybody's text: the function asked for is found in it line by line, never run here, and what has none
is passed over. Whether a program is wrong or right indeed is the judge's matter. Texts are kept as they came, a line
each, so that a killed stage asks for the others alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from distill.bodies import body_in, names_bound_by
from distill.model_view import completions_of
from distill.prompts import ErrorType, PromptName, fence_for, fill
from harness import (
    Completion,
    GenerationSettings,
    Model,
    Outcome,
    Prompt,
    Run,
    Sample,
    StopReason,
    Task,
    UsageError,
    Verdict,
    write_whole,
)

BATCH = 64  # prompts that go to the model together, and are on disk before the next
_SEEDS = 1_000_003  # more than there are requests to a file
_READ_CHARACTERS = 20_000  # of an answer
_SHOWN_CHARACTERS = 8_000  # of a student's program
_FENCES = re.compile(r"^[ \t]*```", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a teacher is asked for one question; `about` says in a word what for."""

    task_id: str
    about: str
    text: str
    sample_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a teacher wrote for a request, and in how many tokens; a prompt that it refused has no text.

    `cut_off` says that the limit of tokens ended it.
    """

    task_id: str
    about: str
    text: str
    sample_index: int = 0
    tokens: int = 0
    cut_off: bool = False

    @property
    def program_text(self) -> str:
        """The text to look for a program in: none of one that was cut off, but for prose behind closed fences."""
        fences = len(_FENCES.findall(self.text))
        return "" if self.cut_off and (fences == 0 or fences % 2) else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A student's sample that fails, with its task and verdict."""

    task: Task
    sample: Sample
    verdict: Verdict

    @property
    def program(self) -> str:
        """The wrong program, as much of it as is shown."""
        return self.sample.program[:_SHOWN_CHARACTERS].rstrip()

    @property
    def error(self) -> str:
        """What went wrong, as the verdict says: the outcome, and the first failing call where there is one."""
        evidence = self.verdict.evidence
        told = {"call": evidence.call, "expected": evidence.expected, "actual": evidence.actual}
        lines = (f"{key}: {text}" for key, text in told.items() if text)
        return "\n".join([f"{self.verdict.outcome}: {evidence.reason}", *lines])


def fault_requests(tasks: Sequence[Task]) -> list[Request]:
    """Return requests for wrong programs, the types of error taking turns (`prompts/answer_faulty.txt`)."""
    errors = tuple(ErrorType)
    return [
        Request(
            task_id=task.task_id,
            about=error.value,
            text=fill(PromptName.ANSWER_FAULTY, {"instruction": task.prompt.strip(), "error": error.value}),
        )
        for place, task in enumerate(tasks)
        for error in (errors[place % len(errors)],)
    ]


def first_failures(run: Run) -> list[Failure]:
    """Return what is to be mended of a run: each task's first sample that fails, if any does."""
    first: dict[str, Verdict] = {}
    for verdict in run.verdicts():
        if verdict.outcome not in (Outcome.PASSED, Outcome.NOT_JUDGED):
            first.setdefault(verdict.task_id, verdict)
    failed = {(one.task_id, one.sample_index): one for one in first.values()}
    tasks = {task.task_id: task for task in run.tasks()}
    return [
        Failure(task=tasks[sample.task_id], sample=sample, verdict=failed[sample.task_id, sample.sample_index])
        for sample in run.samples()
        if (sample.task_id, sample.sample_index) in failed
    ]


def mending_requests(run: Run) -> list[Request]:
    """Return requests for mended programs (`prompts/refine_answer.txt`), of tasks with a sample that fails."""
    return [_mending(failure) for failure in first_failures(run)]


def _mending(failure: Failure) -> Request:
    program, error = failure.program, failure.error
    fields = {"instruction": failure.task.prompt.strip(), "program": program, "error": error}
    text = fill(PromptName.REFINE_ANSWER, {**fields, "fence": fence_for(program + error)})
    return Request(task_id=failure.task.task_id, about=failure.verdict.outcome.value, text=text)


def ask(teacher: Model, requests: Sequence[Request], settings: GenerationSettings, path: Path, seed: int = 0) -> int:
    """Have a teacher answer requests, one for each question and sample; return how many were asked now.

    `path` gets a line per request; those that are there are not asked again, and those that the deadline of `settings`
    has cut off get none. Answers are drawn by `seed` and the request's place. Raises ModelUnavailable when the teacher
    fails.
    """
    pending = iter(missing(requests, path))
    asked = 0
    with path.open("a", encoding="ascii") as file:
        while batch := list(islice(pending, BATCH)):
            prompts = [
                Prompt(
                    task_id=one.task_id,
                    sample_index=one.sample_index,
                    text=one.text,
                    seed=(seed * _SEEDS + place) % (1 << 63),
                )
                for place, one in batch
            ]
            for (_, one), said in zip(batch, completions_of(teacher, prompts, settings), strict=True):
                if isinstance(said, Completion) and said.stop_reason is StopReason.TIME:
                    continue
                file.write(json.dumps(msgspec.to_builtins(_asked(one, said))) + "\n")
                asked += 1
            file.flush()
    return asked


def missing(requests: Sequence[Request], path: Path) -> list[tuple[int, Request]]:
    """Return the requests without a line in a file of answers, each with its place."""
    done = {(one.task_id, one.sample_index) for one in read_asked(path)} if path.is_file() else set()
    return [(place, one) for place, one in enumerate(requests) if (one.task_id, one.sample_index) not in done]


def _asked(request: Request, said: Completion | UsageError) -> Asked:
    written = None if isinstance(said, UsageError) else said
    return Asked(
        task_id=request.task_id,
        about=request.about,
        text=written.text[:_READ_CHARACTERS] if written else "",
        sample_index=request.sample_index,
        tokens=(written.completion_tokens or 0) if written else 0,
        cut_off=written is not None and written.stop_reason is StopReason.LENGTH,
    )


def read_asked(path: Path) -> Iterator[Asked]:
    """Yield what was written; the line that a killed process left unfinished is cut off."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("rb+") as file:
            file.truncate(whole)
    for line in content[:whole].splitlines():
        yield msgspec.convert(json.loads(line), Asked)  # not msgspec's decoder: half a surrogate pair may be in it


def write_asked(tasks: Sequence[Task], asked: Path, out: Path) -> int:
    """Write the answers in which the question's function was found as a samples file, and return how many.

    They are whole programs, the function's body behind the prompt, so that what is judged is what is learnt.
    """
    by_id = {task.task_id: task for task in tasks}
    rows = []
    for one in read_asked(asked):
        task = by_id[one.task_id]
        body = body_in(one.program_text, task.entry_point, names_bound_by(task.prompt))
        if body is not None:
            rows.append({"task_id": one.task_id, "solution": f"{task.prompt.rstrip()}\n{body}"})
    write_whole(out, "".join(json.dumps(row) + "\n" for row in rows))
    return len(rows)
