"""What the stages of a round share: asking a teacher in words, and evaluating where something is there already."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.asking import Request
from distill.loop import Journal, LoopConfig, Machine
from distill.round_runs import RoundRuns
from distill.task_files import write_tasks
from harness import (
    Completion,
    GenerationSettings,
    NoProgress,
    Prompt,
    StopReason,
    StoreMismatch,
    ladder_train,
)

REQUESTS = [Request(task_id=f"T/{number}", about="x", text="?") for number in range(3)]


class Teacher:
    name, digest = "teacher", "t" * 64

    def __init__(self) -> None:
        self.asked: list[Prompt] = []
        self.settings: list[GenerationSettings] = []

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        self.asked += prompts
        self.settings.append(settings)
        for _ in prompts:
            yield Completion(text="def f(n):", stop_reason=StopReason.STOP, completion_tokens=4)


class Engine(Teacher):
    at_once = 512


def runs(folder: Path, seed: int = 1001, **teacher: Any) -> RoundRuns:
    teacher = {"model": "org/name"} | teacher
    plain = {"student": "demo:student", "teacher": teacher, "training": {"steps": 1}, "batch_size": 48}
    machine = Machine(workers=1, progress=NoProgress, say=lambda text: None)
    config = msgspec.convert(plain, LoopConfig)
    return RoundRuns(config=config, folder=folder, student="demo:student", seed=seed, machine=machine)


def test_a_teacher_is_asked_by_the_rounds_seed_and_its_tokens_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = []
    for seed in (1001, 1002):
        teacher = Teacher()
        monkeypatch.setattr("distill.round_runs.open_model", lambda name, options, one=teacher: one)
        counts = runs(tmp_path, seed).asked(REQUESTS, 0.8, tmp_path / str(seed))
        assert counts == {"teacher_calls": 3, "tokens": 12}
        seeds += [prompt.seed for prompt in teacher.asked]
    assert len(set(seeds)) == 6


@pytest.mark.parametrize(
    ("kind", "options", "at_once"),
    [
        (Teacher, {}, 48),
        (Engine, {"backend": "vllm"}, 512),
        (Teacher, {"backend": "openai"}, 8),
        (Engine, {"backend": "vllm", "batch_size": 3}, 3),
    ],
    ids=["transformers", "an engine", "a server", "as it says"],
)
def test_a_teacher_is_given_as_much_at_once_as_its_engine_takes(
    kind: type[Teacher], options: dict[str, Any], at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = kind()
    monkeypatch.setattr("distill.round_runs.open_model", lambda name, options: teacher)
    runs(tmp_path, **options).asked(REQUESTS, 0.8, tmp_path / "texts")
    assert {settings.batch_size for settings in teacher.settings} == {at_once}


def test_a_teacher_is_not_looked_for_where_nothing_is_to_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distill.round_runs.open_model", lambda name, options: Teacher())
    counts = runs(tmp_path).asked(REQUESTS, 0.8, tmp_path / "texts")
    monkeypatch.undo()
    monkeypatch.setattr("distill.round_runs.open_model", lambda name, options: pytest.fail("was looked for"))
    assert runs(tmp_path).asked(REQUESTS, 0.8, tmp_path / "texts") == counts
    assert runs(tmp_path).asked([], 0.8, tmp_path / "none") == {"teacher_calls": 0, "tokens": 0}


def test_half_a_run_of_another_configuration_is_begun_anew_before_the_first_stage(tmp_path: Path) -> None:
    (task,) = ladder_train(seed=3, count=1, tiers=("easy",))
    write_tasks([task], tmp_path / "q.jsonl")
    for name, answer in (("wrong", "    return None\n"), ("right", task.reference.removeprefix(task.prompt))):
        (tmp_path / name).write_text(json.dumps({"task_id": task.task_id, "completion": answer}) + "\n")

    def rate(name: str) -> object:
        runs(tmp_path).evaluated(str(tmp_path / "q.jsonl"), "student", stored=tmp_path / name)
        return json.loads((tmp_path / "student" / "report.json").read_text())["outcomes"]["passed"]

    assert (rate("wrong"), rate("right")) == (0, 1)
    Journal(tmp_path).once("evaluate", lambda: {"samples": 1})
    with pytest.raises(StoreMismatch):
        rate("wrong")
