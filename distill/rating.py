"""A teacher's own rating of tasks: how difficult it finds each, as a file that `harness tiers --ratings` takes.

Several judgements of a task are averaged there. What a teacher writes is anybody's text: a judgement without a number
is no rating.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from distill.prompts import PromptName, fill
from distill.teaching import OPENAI
from harness import (
    Benchmark,
    GenerationSettings,
    MeasurementInvalid,
    ModelOptions,
    Prompt,
    Task,
    UsageError,
    answers_to,
    open_model,
)

LEAST, MOST = 0.0, 10.0  # as the prompt has it
MAX_CHARACTERS = 8_000  # of a task that is shown to the teacher
_READ_CHARACTERS = 20_000
_DIFFICULTY = re.compile(
    r"^[ \t*#>_-]{0,10}difficulty[ \t*_]{0,4}:[ \t*_]{0,4}"
    r"(\d{1,3}(?:\.\d{1,6})?)(?:[ \t]{0,2}/[ \t]{0,2}10)?[ \t*_.]{0,4}$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A judgement with a number, as the file holds it."""

    task_id: str
    sample_index: int
    rating: float
    benchmark: str
    teacher: str
    text: str


def rate_into(
    out: Path,
    benchmark: Benchmark,
    teacher: str,
    n_samples: int,
    settings: GenerationSettings,
    options: ModelOptions | None = None,
) -> int:
    """Write the ratings that are not in the file yet, as they come, and return how many it then holds.

    `teacher` and `options` are what `open_model` takes. Raises UsageError when the file is another teacher's or another
    benchmark's, MeasurementInvalid, with their names, when tasks got no rating, and what the model raises.
    """
    if n_samples > 1 and settings.temperature == 0:
        raise UsageError(f"{n_samples} greedy judgements of a task are all the same: give --temperature as well")
    known = _known(out, benchmark, by := _name_of(teacher, options))
    prompts = [
        prompt for prompt in _prompts(benchmark, n_samples) if (prompt.task_id, prompt.sample_index) not in known
    ]
    rated = {task_id for task_id, _ in known}
    count = len(known)
    if prompts:
        with _appending(out) as lines:
            model = open_model(teacher, options)
            for prompt, completion in zip(prompts, answers_to(model, prompts, settings), strict=True):
                rating = read_rating(completion.text)
                if rating is None:
                    continue
                line = _Line(
                    task_id=prompt.task_id,
                    sample_index=prompt.sample_index,
                    rating=rating,
                    benchmark=benchmark.name,
                    teacher=by,
                    text=completion.text,
                )
                lines.write(json.dumps(msgspec.to_builtins(line)) + "\n")
                lines.flush()
                rated.add(prompt.task_id)
                count += 1
    if missing := [task.task_id for task in benchmark.tasks if task.task_id not in rated]:
        raise MeasurementInvalid(
            f"{teacher} gave {len(missing)} of {len(benchmark.tasks)} tasks of {benchmark.name} no rating, "
            f"{missing[0]} among them; the others are in {out}. Ask again with --temperature, or ask another teacher"
        )
    return count


def _name_of(teacher: str, options: ModelOptions | None) -> str:
    """Return what lines call the teacher: a server's model is another than a checkpoint of the same name."""
    if options is None or options.backend != OPENAI:
        return teacher
    return f"{teacher} on {options.base_url or 'a server'}"


def _appending(out: Path) -> IO[str]:
    """Open a file to add lines to it. Raises UsageError where that cannot be."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return out.open("a", encoding="ascii")  # a text may hold half a surrogate pair, which UTF-8 does not
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror or error}. Name another file with --out") from error


def _known(out: Path, benchmark: Benchmark, teacher: str) -> set[tuple[str, int]]:
    """Return the judgements that the file holds. A last line that a killed process left unfinished is taken off it."""
    if not out.is_file():
        return set()
    content = out.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        out.write_bytes(whole)
    known = set()
    for number, text in enumerate(whole.splitlines(), 1):
        try:
            line = msgspec.convert(json.loads(text), _Line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{out}:{number} is not a line of this command: name another --out") from error
        if (line.benchmark, line.teacher) != (benchmark.name, teacher):
            raise UsageError(f"{out} has ratings of {line.benchmark} by {line.teacher}: name another --out")
        known.add((line.task_id, line.sample_index))
    return known


def _prompts(benchmark: Benchmark, n_samples: int) -> list[Prompt]:
    return [
        Prompt(task_id=task.task_id, sample_index=index, text=rating_prompt(task), seed=place * 1000 + index)
        for place, task in enumerate(benchmark.tasks)
        for index in range(n_samples)
    ]


def rating_prompt(task: Task) -> str:
    """Return what the teacher is asked about a task; it is not shown the solution."""
    return fill(PromptName.RATE_QUESTION, {"instruction": task.prompt[:MAX_CHARACTERS].strip()})


def read_rating(text: str) -> float | None:
    """Return the number of the last line `Difficulty: NUMBER`, None without one or when it is not in 0..10."""
    found = _DIFFICULTY.findall(text[:_READ_CHARACTERS])
    rating = float(found[-1]) if found else None
    return rating if rating is not None and LEAST <= rating <= MOST else None
