"""The model view of programs: what a scoring model, or the teacher, gives by a rubric of 0 to 6 points.

The rubric is that of the scoring data published with arXiv 2408.03680 (SODA): five rules, the first worth 2 points and
the others 1. What a model writes is anybody's text: it is read in linear time, and what it lacks is a reason and no
exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from distill.lessons import LeakageError
from distill.prompts import PromptName, fence_for, fill
from harness import Completion, GenerationSettings, Model, Prompt, Task, UsageError, answers_to

MOST_POINTS = (2.0, 1.0, 1.0, 1.0, 1.0)  # rules 1 to 5
MAX_SCORE = sum(MOST_POINTS)
MAX_CHARACTERS = 8_000  # of a program and of a task that are shown to the model
_KEPT_CHARACTERS = 16_000  # of its answer
_READ_CHARACTERS = 100_000
_HEADER = re.compile(r"^[ \t*#>_-]{0,10}score[ \t*_]{0,4}:", re.MULTILINE | re.IGNORECASE)
_RULE = re.compile(r"\brule[ \t]{0,4}#?([1-5])\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(?![\w%])")
_PARENTHESES = re.compile(r"\([^()\n]*\)")
_LINE_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """A reading of a model's answer: the points for rules 1 to 5 (None: not said), and their sum if all are there.

    `score` lies in 0..6. `reason` says what is missing, and what was cut to a rule's range.
    """

    points: tuple[float | None, ...]
    score: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """What a model made of one program: who it was, its answer as it came (its beginning), and the reading of that."""

    model: str
    text: str
    points: tuple[float | None, ...]
    score: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A program to be assessed, by task and sample."""

    task: Task
    sample_index: int
    program: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRow:
    """A row to fine-tune a scoring model on: the prompt that it will be asked with, and the assessment to write."""

    task_id: str
    sample_index: int
    prompt: str
    completion: str
    score: float


def scoring_prompt(instruction: str, program: str) -> str:
    """Return what a model is asked about a program; texts that are too long end with a line that says so."""
    program = _cut(program)
    return fill(
        PromptName.SCORE_ANSWER,
        {"instruction": _cut(instruction).strip(), "program": program.rstrip(), "fence": fence_for(program)},
    )


def read_assessment(text: str) -> Assessment:
    """Read an answer to `scoring_prompt`.

    The points of a rule are the first number behind the colon that follows the words "Rule N", on the same line and
    outside of parentheses; the first such line counts, behind the line "Score:" if there is one. Never raises.
    """
    text = text[:_READ_CHARACTERS]
    header = _HEADER.search(text)
    found: dict[int, float] = {}
    marks = list(_RULE.finditer(text, header.end() if header else 0))
    starts = [*(mark.start() for mark in marks), len(text)]
    for mark, following in zip(marks, starts[1:], strict=True):
        end = min(mark.end() + _LINE_CHARACTERS, following)
        points = _points(text[mark.end() : end].partition("\n")[0])
        if points is not None:
            found.setdefault(int(mark[1]), points)
    reasons, points_of = [], []
    for rule, most in enumerate(MOST_POINTS, 1):
        said = found.get(rule)
        points_of.append(None if said is None else min(max(said, 0.0), most))
        if said is None:
            reasons.append(f"no points for rule {rule}")
        elif said != points_of[-1]:
            reasons.append(f"rule {rule} has {said:g} points of {most:g}")
    known = [points for points in points_of if points is not None]
    score = sum(known) if len(known) == len(MOST_POINTS) else None
    return Assessment(points=tuple(points_of), score=score, reason="; ".join(reasons))


def _points(line: str) -> float | None:
    line = _PARENTHESES.sub(" ", line).replace("½", ".5")
    _, colon, behind = line.partition(":")
    number = _NUMBER.search(behind if colon else line)
    return float(number[0]) if number else None


def assess(model: Model, answers: Sequence[Answer], settings: GenerationSettings) -> list[ModelView]:
    """Have a model assess programs, and return its views in their order. Decoding is the settings'.

    A prompt that the model refuses, as one that its context does not hold, costs that view alone; a reason says so.
    Raises ModelUnavailable when the model fails.
    """
    prompts = [
        Prompt(
            task_id=answer.task.task_id,
            sample_index=answer.sample_index,
            text=scoring_prompt(answer.task.prompt, answer.program),
            seed=place,
        )
        for place, answer in enumerate(answers)
    ]
    return [_view(model.name, said) for said in completions_of(model, prompts, settings)]


def completions_of(
    model: Model, prompts: Sequence[Prompt], settings: GenerationSettings
) -> list[Completion | UsageError]:
    """Return each prompt's completion, or the refusal of it: halves are tried until it is known which it is.

    Completions are without their thinking. Raises ModelUnavailable when the model fails.
    """
    try:
        return list(answers_to(model, prompts, settings))
    except UsageError as error:
        if len(prompts) == 1:
            return [error]
    half = len(prompts) // 2
    return [*completions_of(model, prompts[:half], settings), *completions_of(model, prompts[half:], settings)]


def _view(model: str, said: Completion | UsageError) -> ModelView:
    if isinstance(said, UsageError):
        return ModelView(model=model, text="", points=(None,) * len(MOST_POINTS), score=None, reason=str(said))
    read = read_assessment(said.text)
    return ModelView(
        model=model, text=said.text[:_KEPT_CHARACTERS], points=read.points, score=read.score, reason=read.reason
    )


def scoring_rows(assessed: Iterable[tuple[Answer, ModelView]]) -> Iterator[ScoringRow]:
    """Yield rows to fine-tune a scoring model on, from a teacher's assessments: those with points for every rule.

    A row ends behind the points of the last rule; what the teacher wrote after that is no part of an assessment.
    Raises LeakageError for a task that is not of the training split.
    """
    for answer, view in assessed:
        if answer.task.split != "train":
            raise LeakageError(
                f"{answer.task.task_id} is of the split {answer.task.split!r}, and a scoring model is trained on train"
            )
        if view.score is None or view.reason:
            continue
        yield ScoringRow(
            task_id=answer.task.task_id,
            sample_index=answer.sample_index,
            prompt=scoring_prompt(answer.task.prompt, answer.program),
            completion=_assessment_alone(view.text),
            score=view.score,
        )


def _assessment_alone(text: str) -> str:
    """Return an answer up to the end of the line of its first rule 5 with points."""
    header = _HEADER.search(text)
    for mark in _RULE.finditer(text, header.end() if header else 0):
        end = text.find("\n", mark.end())
        line = text[mark.end() : end if end >= 0 else len(text)]
        if mark[1] == "5" and _points(line[:_LINE_CHARACTERS]) is not None:
            return (text[:end] if end >= 0 else text).strip() + "\n"
    return text.strip() + "\n"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + "\n[cut here: the text goes on]"
