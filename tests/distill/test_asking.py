"""Programs that a teacher is asked for: what it is asked, what is kept of what it writes, and going on after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from distill.asking import Asked, Request, ask, fault_requests, mending_requests, read_asked, write_asked
from distill.prompts import ErrorType
from distill.task_files import write_tasks
from harness import (
    CheckTests,
    Completion,
    EvalConfig,
    GenerationSettings,
    ModelUnavailable,
    Prompt,
    StopReason,
    Task,
    UsageError,
    evaluate,
    ladder_train,
    load_run,
)
from harness.reasoning import ReasoningRule

BODY = "    return n - 1\n"


class Scripted:
    """A teacher at the harness's seam; refuses what it is told to, and fails when it has been asked often enough."""

    name, digest = "scripted", "s" * 64

    def __init__(self, text: str, refused: Sequence[str] = (), fails_after: int = 1_000, tokens: int = 0) -> None:
        self.text, self.refused, self.fails_after, self.tokens = text, refused, fails_after, tokens
        self.asked: list[Prompt] = []

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        if any(prompt.task_id in self.refused for prompt in prompts):
            raise UsageError("the prompt is too long")
        if len(self.asked) + len(prompts) > self.fails_after:
            raise ModelUnavailable("gone")
        self.asked += prompts
        for _ in prompts:
            yield Completion(text=self.text, stop_reason=StopReason.STOP, completion_tokens=self.tokens)


def tasks(count: int) -> list[Task]:
    tests = CheckTests(source="", remote_names=())
    return [
        Task(task_id=f"T/{n}", prompt=f'def f(n):\n    """Task {n}."""\n', entry_point="f", reference="", tests=tests)
        for n in range(count)
    ]


def test_the_types_of_error_take_turns(tmp_path: Path) -> None:
    teacher = Scripted(f"```python\ndef f(n):\n{BODY}```")
    assert ask(teacher, fault_requests(tasks(7)), GenerationSettings(), tmp_path / "texts") == 7
    asked = list(read_asked(tmp_path / "texts"))
    assert [one.about for one in asked] == [*ErrorType, *ErrorType][:7]
    for prompt, one in zip(teacher.asked, asked, strict=True):
        assert f"an error of this type: {one.about}\n" in prompt.text
        assert f"Task {one.task_id[2:]}." in prompt.text
    assert write_asked(tasks(7), tmp_path / "texts", tmp_path / "out") == 7
    program = tasks(7)[3].prompt + BODY
    assert json.loads((tmp_path / "out").read_text().splitlines()[3]) == {"task_id": "T/3", "solution": program}


def test_refusals_prose_and_garbage_are_no_answers(tmp_path: Path) -> None:
    ask(Scripted("Sorry \ud800.", refused=["T/1"]), fault_requests(tasks(3)), GenerationSettings(), tmp_path / "texts")
    assert [one.text for one in read_asked(tmp_path / "texts")] == ["Sorry \ud800.", "", "Sorry \ud800."]
    assert write_asked(tasks(3), tmp_path / "texts", tmp_path / "out") == 0


def test_killed_it_asks_for_the_others_alone(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    with pytest.raises(ModelUnavailable):
        ask(Scripted("x", fails_after=100), fault_requests(tasks(130)), GenerationSettings(), path)
    with path.open("a") as file:
        file.write('{"task_id": "T/64", "err')
    assert len(list(read_asked(path))) == 64
    teacher = Scripted("y")
    assert ask(teacher, fault_requests(tasks(130)), GenerationSettings(), path) == 66
    assert [prompt.task_id for prompt in teacher.asked] == [f"T/{n}" for n in range(64, 130)]
    found = list(read_asked(path))
    assert [one.task_id for one in found] == [f"T/{n}" for n in range(130)]
    assert found[64] == Asked(task_id="T/64", about=[*ErrorType][64 % 5], text="y")
    whole = tmp_path / "whole"
    ask(Scripted("y"), fault_requests(tasks(130)), GenerationSettings(), whole)
    assert [one.about for one in read_asked(whole)] == [one.about for one in found]


def test_a_question_can_be_asked_several_times_with_seeds_of_their_own(tmp_path: Path) -> None:
    requests = [Request(task_id="T/0", about="x", text="?", sample_index=index) for index in range(3)]
    path, teacher = tmp_path / "texts", Scripted("y", tokens=5)
    assert ask(teacher, requests[:1], GenerationSettings(), path, seed=7) == 1
    assert ask(teacher, requests, GenerationSettings(), path, seed=7) == 2
    assert [(one.sample_index, one.tokens) for one in read_asked(path)] == [(0, 5), (1, 5), (2, 5)]
    assert [prompt.sample_index for prompt in teacher.asked] == [0, 1, 2]
    seeds = {prompt.seed for prompt in teacher.asked}
    ask(teacher, requests, GenerationSettings(), tmp_path / "others", seed=-8)
    assert len({prompt.seed for prompt in teacher.asked} | seeds) == 6
    assert all(0 <= prompt.seed < 1 << 63 for prompt in teacher.asked)


def test_what_the_deadline_has_cut_off_is_not_answered(tmp_path: Path) -> None:
    class Slow(Scripted):
        def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
            for said in super().generate(prompts, settings):
                in_time = settings.deadline is None or len(self.asked) < 100
                yield said if in_time else Completion(text="def f(", stop_reason=StopReason.TIME)

    path, requests = tmp_path / "texts", fault_requests(tasks(130))
    assert ask(Slow("x"), requests, GenerationSettings(deadline=1.0), path) == 64
    assert [one.task_id for one in read_asked(path)] == [f"T/{n}" for n in range(64)]
    assert ask(Slow("x"), requests, GenerationSettings(), path) == 66  # the same call without a limit goes on


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"def f(n):\n{BODY}", 0),
        (f"```python\ndef f(n):\n{BODY}", 0),
        (f"```python\ndef f(n):\n{BODY}```\nIt takes one aw", 1),  # the program had come to its end
        (f"```python\ndef f(n):\n{BODY}```\nOr:\n```python\ndef f(n", 0),
    ],
)
def test_a_program_that_was_cut_off_is_none(tmp_path: Path, text: str, found: int) -> None:
    class Cut(Scripted):
        def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
            for said in super().generate(prompts, settings):
                yield replace(said, stop_reason=StopReason.LENGTH)

    for teacher, count in ((Cut(text), found), (Scripted(text), 1)):
        path = tmp_path / type(teacher).__name__
        ask(teacher, fault_requests(tasks(1)), GenerationSettings(), path)
        assert [one.text for one in read_asked(path)] == [text]
        assert write_asked(tasks(1), path, tmp_path / "out") == count


def test_programs_are_looked_for_behind_the_thinking(tmp_path: Path) -> None:
    class Thinking(Scripted):
        def reasoning(self, prompt: Prompt) -> ReasoningRule:
            return ReasoningRule.THINK

        def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
            assert settings.reasoning is ReasoningRule.THINK, "so that stop strings do not end the thinking"
            return super().generate(prompts, settings)

    thought = "<think>def f(n):\n    return 0\n"
    for text, kept, found in ((f"{thought}</think>\n\ndef f(n):\n{BODY}", f"def f(n):\n{BODY}", 1), (thought, "", 0)):
        path = tmp_path / str(found)
        ask(Thinking(text), fault_requests(tasks(1)), GenerationSettings(), path)
        assert [one.text for one in read_asked(path)] == [kept]
        assert write_asked(tasks(1), path, tmp_path / "out") == found
        assert ("return n - 1" in (tmp_path / "out").read_text()) == bool(found)


def test_what_a_student_got_wrong_is_shown_with_what_went_wrong(tmp_path: Path) -> None:
    questions = list(ladder_train(seed=3, count=3, tiers=("easy",)))
    write_tasks(questions, tmp_path / "q.jsonl")
    right = questions[0].reference.removeprefix(questions[0].prompt)
    answers = [(0, right), (0, "    return None\n"), (1, "    return '```'\n"), (1, right), (2, "    return absent\n")]
    rows = [json.dumps({"task_id": questions[place].task_id, "completion": text}) for place, text in answers]
    (tmp_path / "s.jsonl").write_text("\n".join(rows))
    evaluate(EvalConfig(tasks=(str(tmp_path / "q.jsonl"),), samples=tmp_path / "s.jsonl", out=tmp_path / "tries"))
    second, wrong, raising = mending_requests(load_run(tmp_path / "tries"))
    assert (second.task_id, second.about) == (questions[0].task_id, "failed")
    assert "return None" in second.text  # its first try is right
    assert (wrong.task_id, wrong.about) == (questions[1].task_id, "failed")
    assert questions[1].prompt.strip() in wrong.text
    assert "\n````\n" in wrong.text  # the program cannot close its fence
    assert "\nfailed: " in wrong.text
    assert "\nexpected: " in wrong.text
    assert (raising.task_id, raising.about) == (questions[2].task_id, "error")
    assert "absent" in raising.text.partition("### What went wrong")[2]
