"""A teacher's ratings: what is asked, what is read, and the file that tiers are made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from distill import rating
from distill.command import distill
from harness import (
    Completion,
    GenerationSettings,
    MeasurementInvalid,
    Prompt,
    StopReason,
    UsageError,
    load_benchmark,
    read_ratings,
    tiers_from_ratings,
)
from harness.reasoning import ReasoningRule

SETTINGS = GenerationSettings()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("It needs a loop.\nDifficulty: 3", 3.0),
        ("Difficulty: 2\nNo, on second thought:\n**Difficulty:** 4.5/10\n", 4.5),
        ("difficulty: 10.", 10.0),
        ("Difficulty: 0", 0.0),
        ("Difficulty: 11", None),
        ("Difficulty: -1", None),
        ("Difficulty: hard", None),
        ("The difficulty: 3 of them agree", None),
        ("", None),
        ("Difficulty: " * 100_000, None),
    ],
)
def test_the_last_line_with_a_number_counts(text: str, number: float | None) -> None:
    assert rating.read_rating(text) == number


def test_the_teacher_sees_the_task_and_not_its_solution() -> None:
    task = load_benchmark("ladder").tasks[0]
    prompt = rating.rating_prompt(task)
    assert task.prompt.strip() in prompt
    assert task.reference.removeprefix(task.prompt).strip() not in prompt


class Teacher:
    """Stands in for a model at its seam, one that writes no Unicode: the longer the task, the harder."""

    name, digest = "teacher", "d"

    def __init__(self, silent_after: int | None = None) -> None:
        self.asked: list[Prompt] = []
        self.silent_after = silent_after

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        for prompt in prompts:
            self.asked.append(prompt)
            silent = self.silent_after is not None and len(self.asked) > self.silent_after
            text = "I cannot say." if silent else f"Hm \ud800.\nDifficulty: {min(10, len(prompt.text) / 200):.3f}"
            yield Completion(text=text, stop_reason=StopReason.STOP)


def test_what_a_teacher_thinks_is_no_rating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Thinking(Teacher):
        def reasoning(self, prompt: Prompt) -> ReasoningRule:
            return ReasoningRule.OPENED

        def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
            for place, _ in enumerate(prompts):
                close = "</think>" if place else ""
                yield Completion(text=f"Is it?\nDifficulty: 9\n{close}\nDifficulty: 1", stop_reason=StopReason.STOP)

    monkeypatch.setattr(rating, "open_model", lambda name, options: Thinking())
    benchmark = load_benchmark("ladder")
    benchmark = replace(benchmark, tasks=benchmark.tasks[:3])
    with pytest.raises(MeasurementInvalid, match="gave 1 of 3 tasks of ladder no rating"):
        rating.rate_into(tmp_path / "r.jsonl", benchmark, "t", 1, GenerationSettings())
    assert [json.loads(line)["rating"] for line in (tmp_path / "r.jsonl").read_text().splitlines()] == [1.0, 1.0]


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> Teacher:
    made = Teacher()
    monkeypatch.setattr(rating, "open_model", lambda name, options: made)
    return made


def test_the_file_is_one_that_tiers_are_made_of(teacher: Teacher, tmp_path: Path) -> None:
    benchmark = load_benchmark("ladder")
    out = tmp_path / "ratings.jsonl"
    ran = CliRunner().invoke(distill, ["rate", "ladder", "--model", "org/teacher", "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "240 ratings" in ran.output
    tiers = tiers_from_ratings(benchmark, read_ratings(out), rated_by="org/teacher")
    assert tiers.source.kind == "ratings"
    lengths = {task.task_id: len(task.prompt) for task in benchmark.tasks}
    by_tier: dict[str, list[int]] = {}
    for one in tiers.tasks:
        by_tier.setdefault(one.tier, []).append(lengths[one.task_id])
    assert max(by_tier["easy"]) <= min(by_tier["hard"])


def test_where_nothing_can_be_written_is_said_before_the_teacher_is_loaded(teacher: Teacher, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path, tmp_path / "file" / "ratings.jsonl"):
        ran = CliRunner().invoke(distill, ["rate", "ladder", "--model", "org/teacher", "--out", str(out)])
        assert isinstance(ran.exception, UsageError), ran.exception
        assert "cannot write" in str(ran.exception)
    assert teacher.asked == []
    made = tmp_path / "new" / "ratings.jsonl"
    assert CliRunner().invoke(distill, ["rate", "ladder", "--model", "t", "--out", str(made)]).exit_code == 0


def test_what_is_in_the_file_is_not_asked_again(teacher: Teacher, tmp_path: Path) -> None:
    benchmark = load_benchmark("ladder")
    out = tmp_path / "r.jsonl"
    assert rating.rate_into(out, benchmark, "t", 1, SETTINGS) == 240
    whole = out.read_bytes()
    out.write_bytes(whole[: len(whole) // 2])  # as a kill leaves it
    left = whole[: len(whole) // 2].count(b"\n")
    teacher.asked.clear()
    assert rating.rate_into(out, benchmark, "t", 1, SETTINGS) == 240
    assert len(teacher.asked) == 240 - left
    assert out.read_bytes() == whole
    with pytest.raises(UsageError, match="has ratings of ladder by t"):
        rating.rate_into(out, benchmark, "another", 1, SETTINGS)
    out.write_text('{"task_id": "a"}\n')
    with pytest.raises(UsageError, match="is not a line of this command"):
        rating.rate_into(out, benchmark, "t", 1, SETTINGS)


def test_tasks_without_a_number_are_said_and_asked_again(teacher: Teacher, tmp_path: Path) -> None:
    teacher.silent_after = 10
    out = tmp_path / "r.jsonl"
    with pytest.raises(MeasurementInvalid, match="230 of 240 tasks"):
        rating.rate_into(out, load_benchmark("ladder"), "t", 1, SETTINGS)
    assert len(out.read_text().splitlines()) == 10
    teacher.silent_after = None
    assert rating.rate_into(out, load_benchmark("ladder"), "t", 1, SETTINGS) == 240


def test_several_judgements_need_a_temperature_and_have_seeds_of_their_own(teacher: Teacher, tmp_path: Path) -> None:
    benchmark = load_benchmark("ladder")
    with pytest.raises(UsageError, match="all the same"):
        rating.rate_into(tmp_path / "a", benchmark, "t", 2, SETTINGS)
    assert rating.rate_into(tmp_path / "b", benchmark, "t", 2, GenerationSettings(temperature=0.7)) == 480
    assert len({prompt.seed for prompt in teacher.asked}) == 480
    first = json.loads((tmp_path / "b").read_text().splitlines()[0])
    assert {"task_id", "rating", "sample_index", "teacher", "text"} <= first.keys()
