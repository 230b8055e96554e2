"""Answers that repeat their function's head, as the body that a student would write behind the prompt.

Models that were tuned for chat answer a prompt with the whole function. Learnt as it is, that would teach a student to
write every head twice. The body behind the prompt is another program than the one that was judged, so it is judged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from distill.answers import Learning, left_out_of, lessons_of
from distill.bodies import body_in, names_bound_by
from distill.lessons import Lesson, repeats_head
from distill.round_runs import ANSWERS, QUESTIONS, RoundRuns
from harness import load_run, write_whole

RESTATED, BODIES = "restated", "restated.jsonl"
NO_BODY = "left_out_as_no_body"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What a round's answers teach: lessons as they are, and those that repeat a head.

    The latter have the program of their body beside them, or None where no body was found.
    """

    plain: list[Lesson]
    repeating: list[tuple[Lesson, str | None]]


def restated(runs: RoundRuns) -> dict[str, int]:
    """Judge the bodies of the answers that repeat their head, and return how many they are; nothing where none is."""
    bodies = dict.fromkeys((one.task_id, program) for one, program in _answers(runs).repeating if program)
    if not bodies:
        return {}
    rows = [{"task_id": task_id, "solution": program} for task_id, program in bodies]
    write_whole(runs.folder / BODIES, "".join(json.dumps(row) + "\n" for row in rows))
    runs.evaluated(str(runs.folder / QUESTIONS), RESTATED, stored=runs.folder / BODIES)
    return {"restated": len(rows)}


def answered_lessons(runs: RoundRuns) -> list[Lesson]:
    """Return the lessons of a round's answers, with bodies in the place of whole functions."""
    plain = _answers(runs).plain
    there = {(one.task_id, one.completion) for one in plain}
    return plain + [one for one in _lessons(runs, RESTATED) if (one.task_id, one.completion) not in there]


def learning(runs: RoundRuns) -> Learning:
    """Return which answers a round learns, behind the student's prompt."""
    config = runs.config
    return Learning(right_only=config.filter_answers, answers=config.answers, protocol=config.protocol)


def left_out(runs: RoundRuns) -> dict[str, int]:
    """Return how many answers make no lesson though they are right, or are not filtered, by the reason."""
    if not (runs.folder / ANSWERS).is_dir():  # nothing was answered
        return {}
    learnt = {(one.task_id, one.prompt + one.completion) for one in _lessons(runs, RESTATED)}
    lost = sum((one.task_id, program) not in learnt for one, program in _answers(runs).repeating)
    found = left_out_of(load_run(runs.folder / ANSWERS), learning(runs))
    return found | ({NO_BODY: lost} if lost else {})


def _answers(runs: RoundRuns) -> _Answers:
    found = _Answers(plain=[], repeating=[])
    if lessons := _lessons(runs, ANSWERS):
        functions = {task.task_id: task.entry_point for task in load_run(runs.folder / ANSWERS).tasks()}
        for one in lessons:
            function = functions[one.task_id]
            if repeats_head(one.prompt, one.completion, function):
                body = body_in(one.completion, function, names_bound_by(one.prompt))
                found.repeating.append((one, None if body is None else one.prompt + body))
            else:
                found.plain.append(one)
    return found


def _lessons(runs: RoundRuns, name: str) -> list[Lesson]:
    folder = runs.folder / name
    return list(lessons_of(load_run(folder), learning(runs))) if folder.is_dir() else []
