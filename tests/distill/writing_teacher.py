"""A teacher at the harness's seam that writes questions and programs as it is told: good, bad and hostile ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from distill.created import description_of
from harness import (
    CheckTests,
    Completion,
    GenerationSettings,
    ModelUnavailable,
    Prompt,
    StopReason,
    Task,
    UsageError,
    ladder_train,
)


def asking(name: str, sentence: str, calls: Sequence[str]) -> str:
    """Return a question as a teacher writes it, of a function with one argument."""
    lines = "\n".join(f"{name}({call})" for call in calls)
    return f'```python\ndef {name}(x: int) -> int:\n    """{sentence}"""\n```\n\n```python\n{lines}\n```\n'


def answering(name: str, body: str) -> str:
    """Return a program as a teacher writes it."""
    return f"Sure.\n```python\nimport math\n\ndef {name}(x: int) -> int:\n    {body}\n```\n"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is written for a question: its text (None: refused), and its programs in turn."""

    text: str | None
    programs: tuple[str, ...] = ()


def told(name: str, sentence: str, *bodies: str, calls: Sequence[str] = ("0", "1", "2", "-3", "10")) -> Told:
    """Return a question with programs of these bodies; a body that begins with a blank is the whole text."""
    programs = tuple(body if body[:1] == " " else answering(name, body) for body in bodies)
    return Told(text=asking(name, sentence, calls), programs=programs)


class WritingTeacher:
    """Writes what it is told to for the questions in their order.

    Fails when it has been asked `fails_after` times, and has no time for more than `in_time`.
    """

    name, digest = "writing", "w" * 64

    def __init__(self, script: Sequence[Told], fails_after: int = 10_000, in_time: int = 10_000) -> None:
        self._script, self._fails_after, self._in_time = script, fails_after, in_time
        self.asked: list[Prompt] = []

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        """Write; refuses all prompts together where it is to refuse one."""
        assert settings.temperature > 0
        if any(self._text(prompt) is None for prompt in prompts):
            raise UsageError("the prompt is too long")
        for prompt in prompts:
            if len(self.asked) == self._fails_after:
                raise ModelUnavailable("gone")
            self.asked.append(prompt)
            why = StopReason.STOP if len(self.asked) <= self._in_time else StopReason.TIME
            yield Completion(text=str(self._text(prompt)), stop_reason=why, completion_tokens=10)

    def _text(self, prompt: Prompt) -> str | None:
        one = self._script[int(prompt.task_id.rpartition("-")[2]) % len(self._script)]
        if "You invent programming tasks" in prompt.text:
            return one.text
        return one.programs[prompt.sample_index % len(one.programs)]


SQUARES = told(
    "square_sum",
    "Return the sum of the squares of all whole numbers from zero up to the given one, zero for negative ones.",
    "return sum(n * n for n in range(x + 1))",
    "return x * (x + 1) * (2 * x + 1) // 6 if x > 0 else 0",
    "return x * x",  # the wrong minority
    "total = 0\n    for n in range(x + 1):\n        total += n ** 2\n    return total",
    " I would add them up. \ud800\x00",
)
THIRDS = told(
    "third_part",
    "Compute which number multiplied by three gives the argument, as a float, whatever its sign may be.",
    "return x / 3",
    "return x * (1 / 3)",
    "return float(x) / 3.0",
    "return math.fsum([x / 6, x / 6])",
    "return x / 3 + 1e-9",
)


def ladder_script(count: int) -> list[Told]:
    """Return questions of the ladder as a teacher may write them, each with four right programs and a wrong one."""
    return [_of_the_ladder(task) for task in ladder_train(seed=77, count=count, tiers=("easy", "medium"))]


def _of_the_ladder(task: Task) -> Told:
    assert isinstance(task.tests, CheckTests)
    head = task.prompt.partition("\n")[0]
    calls = [f"{task.entry_point}({call})" for call in re.findall(r"candidate\((.*)\) ==", task.tests.source)]
    blocks = (f'{head}\n    """{description_of(task)}"""', "\n".join(calls))
    right = f"```python\n{task.reference}```\n"
    text = "".join(f"```python\n{block}\n```\n" for block in blocks)
    return Told(text=text, programs=(right, right, answering(task.entry_point, "return x"), right, right))
