"""Answers that repeat the function's head are learnt as the body behind the prompt, as far as that was judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from distill.faults import with_faults
from distill.lessons import FaultSource, Lesson, repeats_head
from distill.loop import LoopConfig, Machine
from distill.restating import BODIES, NO_BODY, RESTATED, answered_lessons, left_out, restated
from distill.round_runs import ANSWERS, QUESTIONS, RoundRuns
from distill.task_files import write_tasks
from distill.texts import text_of_lesson
from harness import CheckTests, NoProgress, Task, load_run

PROMPT = 'def f(n):\n    """Take the root of n."""\n'
BODY = "    return round(n**0.5)\n"
HELPED = """import math

def root(n):
    return math.isqrt(n)

def f(n: int) -> int:
    '''My own words.'''
    return root(n)
"""


@pytest.fixture
def runs(tmp_path: Path) -> RoundRuns:
    """Return a round with two questions of the same kind, the first of which was answered as `answered` says."""
    tests = CheckTests(source="def check(candidate):\n    assert candidate(16) == 4\n\ncheck(f)\n", remote_names=("f",))
    asked = [
        Task(
            task_id=f"T/{n}",
            prompt=PROMPT,
            entry_point="f",
            reference=PROMPT + BODY,
            tests=tests,
            split="train",
            tier="a",
        )
        for n in range(2)
    ]
    write_tasks(asked, tmp_path / QUESTIONS)
    return runs_in(tmp_path)


def runs_in(folder: Path, **changes: object) -> RoundRuns:
    plain = {"student": "demo:student", "teacher": {"model": "t"}, "training": {"steps": 1}}
    machine = Machine(workers=1, progress=NoProgress, say=lambda text: None)
    config = msgspec.convert(plain | changes, LoopConfig)
    return RoundRuns(config=config, folder=folder, student="demo:student", seed=1, machine=machine)


def answered(runs: RoundRuns, answers: Sequence[str], name: str = ANSWERS) -> None:
    rows = [json.dumps({"task_id": "T/0", "completion": answer}) + "\n" for answer in answers]
    (runs.folder / f"{name}.jsonl").write_text("".join(rows))
    runs.evaluated(str(runs.folder / QUESTIONS), name, stored=runs.folder / f"{name}.jsonl")


def test_a_whole_function_is_learnt_as_the_body_that_was_judged(runs: RoundRuns) -> None:
    answered(runs, [BODY, HELPED, HELPED.replace("'''My own words.'''\n    ", ""), f"def f(n):\n{BODY}"])
    assert restated(runs) == {"restated": 2}  # the second and third have the same body
    plain, helped = answered_lessons(runs)
    assert (plain.run, plain.completion) == (ANSWERS, BODY)
    assert helped.run == RESTATED
    assert helped.completion.endswith("    return root(n)\n")
    assert "def f" not in helped.completion
    assert "My own words" not in helped.completion
    for lesson in (plain, helped):
        run = load_run(runs.folder / lesson.run)
        (program,) = [one.program for one in run.samples() if one.sample_index == lesson.sample_index]
        (verdict,) = [one for one in run.verdicts() if one.sample_index == lesson.sample_index]
        assert (lesson.prompt + lesson.completion, verdict.passed) == (program, True)
    assert left_out(runs) == {}
    assert len({text_of_lesson(lesson).name for lesson in (plain, helped)}) == 2


def test_a_body_that_is_not_right_behind_the_prompt_is_left_out_and_counted(runs: RoundRuns) -> None:
    other_name = "def f(number):\n    return round(number**0.5)\n"
    answered(runs, [other_name, "def f(n): pass\n    \nf = lambda n: 4\n", "    return 5\n"])
    assert restated(runs) == {"restated": 2}
    assert answered_lessons(runs) == []
    assert left_out(runs) == {NO_BODY: 2}
    everything = runs_in(runs.folder, filter_answers=False)
    assert {one.completion for one in answered_lessons(everything)} == {
        "    return 5\n",
        "    return round(number**0.5)\n",
        "    pass\n",
    }
    assert left_out(everything) == {}


def test_where_no_answer_repeats_its_head_nothing_is_judged_again(runs: RoundRuns) -> None:
    assert (restated(runs), answered_lessons(runs), left_out(runs)) == ({}, [], {})  # nothing was answered
    answered(runs, [BODY, "    def f(n):\n        return 4\n    return f(n)\n"])
    assert restated(runs) == {}
    assert len(answered_lessons(runs)) == 2
    assert not (runs.folder / BODIES).exists()


def test_a_wrong_side_that_repeats_its_head_is_none(runs: RoundRuns) -> None:
    answered(runs, ["def f(n):\n    return 5\n", "    return 6\n"], "tries")
    lesson = Lesson(
        task_id="T/0",
        sample_index=0,
        run=ANSWERS,
        split="train",
        tier="a",
        source="t",
        prompt=PROMPT,
        completion=BODY,
    )
    (found,) = with_faults([lesson], load_run(runs.folder / "tries"), FaultSource.STUDENT)
    assert found.fault is not None
    assert found.fault.completion == "    return 6\n"


@pytest.mark.parametrize(
    ("answer", "repeats"),
    [
        (f"def f(n):\n{BODY}", True),
        (f"import math\nasync  def f(n):\n{BODY}", True),
        (BODY, False),
        ("    def f(n):\n        return n\n", False),
        ("def f2(n):\n    return n\n", False),
        ("", False),
    ],
)
def test_what_repeats_a_head(answer: str, repeats: bool) -> None:
    assert repeats_head(PROMPT, answer, "f") is repeats
    assert not repeats_head('"""Write a function f."""\n', answer, "f")  # which it has not begun
