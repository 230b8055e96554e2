"""A loop whose teacher is a model on a server: it answers, writes faults and rates, and harms nothing when it fails."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    for package in ("torch", "transformers", "openai"):
        pytest.importorskip(package)

import msgspec
from model_server import CHATS, MODEL, Server, refuses, said, serving

from distill.config import load_file
from distill.inputs import see_inputs
from distill.lessons import read_lessons
from distill.loop import Journal, LoopConfig, Machine
from distill.questions import choose
from distill.rating import rate_into
from distill.round import Round
from harness import (
    GenerationSettings,
    ModelOptions,
    ModelUnavailable,
    NoProgress,
    Task,
    UsageError,
    load_benchmark,
    load_run,
)

pytestmark = [pytest.mark.hf, pytest.mark.slow]


def config(tasks: Path, server: Server, **more: Any) -> LoopConfig:
    plain = {
        "student": "demo:student",
        "teacher": {"model": MODEL, "backend": "openai", "base_url": server.base_url} | more.pop("teacher", {}),
        "tasks": str(tasks),
        "questions": {"source": "ladder", "count": 6, "replay": 0},
        "training": {"steps": 2, "batch_size": 4, "learning_rate": 1e-4},
        "weak_below": 0.6,
        "max_new_tokens": 160,
    }
    return msgspec.convert(plain | more, LoopConfig)


def questions_of(wanted: LoopConfig) -> tuple[Task, ...]:
    return choose(wanted.questions, ["expert"], ["easy"], (), seed=1).tasks


def answer_from(questions: Sequence[Task], request: dict[str, Any]) -> dict[str, Any]:
    """Go on from a question's prompt with its solution; where asked for a program in words, write a wrong one."""
    for task in questions:
        if request["prompt"].strip() == task.prompt.strip():
            return said(task.reference.removeprefix(task.prompt))
        if task.prompt.strip() in request["prompt"]:
            return said(f"Here:\n```python\ndef {task.entry_point}(*given):\n    return 'no'\n```\n")
    return said("I do not know that one.")


def played(wanted: LoopConfig, folder: Path, measured: Path) -> dict[str, dict[str, int]]:
    machine = Machine(progress=NoProgress, say=lambda text: None)
    Round(wanted, folder, 1, "demo:student", machine).play(measured)
    return {name: stage.counts for name, stage in Journal(folder).done().items()}


async def _at_once(seconds: float) -> None:
    """Wait for nothing."""


def test_a_round_learns_from_a_server_and_goes_on_when_it_was_gone(
    few_tasks: Path, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.models.patience.asyncio.sleep", _at_once)
    folder = tmp_path / "round"
    with serving() as server:
        wanted = config(few_tasks, server, faults={"sources": ["teacher"]}, teacher={"batch_size": 1})
        questions = questions_of(wanted)
        server.answer = lambda request: answer_from(questions, request)
        see_inputs(wanted, "demo:student", tmp_path, begun=False)
        server.trouble = [lambda handler: handler.send(200, server.answer(server.asked[-1]))] * 2
        server.always = refuses(503)
        with pytest.raises(ModelUnavailable, match=r"answers: .*503.* The student is as it was"):
            played(wanted, folder, measured)
        assert list(Journal(folder).done()) == ["questions"]
        assert (folder / "answers" / "samples.jsonl").read_bytes().count(b"\n") == 2

        server.always, server.asked = None, []
        stages = played(wanted, folder, measured)
        assert len(server.asked) == 4 + 6  # what it had answered is not asked again; and each question for a fault
    assert stages["answers"] == {"samples": 6, "tokens": 42, "teacher_calls": 6}
    assert stages["asked"]["teacher_calls"] == 6
    lessons = list(read_lessons(folder / "lessons.jsonl"))
    assert {one.prompt + one.completion for one in lessons} == {task.reference for task in questions}
    assert all(one.fault and "return 'no'" in one.fault.completion for one in lessons)
    assert "candidate" in stages
    run = load_run(folder / "answers").config
    assert (run.backend, run.model, run.runtime["base_url"]) == ("openai", MODEL, server.base_url)
    assert run.batch_size == 1  # at which the server fails behind the second answer


def test_a_server_that_is_not_there_is_said_before_anything_is_done(few_tasks: Path, tmp_path: Path) -> None:
    with serving() as server:
        wanted = config(few_tasks, server)
        with pytest.raises(ModelUnavailable, match="does not exist"):
            see_inputs(config(few_tasks, server, teacher={"model": "other"}), "demo:student", tmp_path, begun=False)
        server.endpoints = frozenset({CHATS})
        with pytest.raises(ModelUnavailable, match="no such thing: HTTP 404: no endpoint /v1/completions"):
            see_inputs(wanted, "demo:student", tmp_path, begun=False)
    server.base_url = wanted.teacher.base_url or ""
    with pytest.raises(ModelUnavailable, match="the server failed to answer"):
        see_inputs(wanted, "demo:student", tmp_path, begun=False)


def test_a_server_rates_tasks(few_tasks: Path, tmp_path: Path) -> None:
    with serving(Server(answer=lambda request: said("Difficulty: 3"))) as server:
        options = ModelOptions(backend="openai", base_url=server.base_url)
        benchmark, out = load_benchmark(str(few_tasks)), tmp_path / "ratings.jsonl"
        assert rate_into(out, benchmark, MODEL, 1, GenerationSettings(), options) == 40
        assert json.loads(out.read_bytes().splitlines()[0])["rating"] == 3
        with pytest.raises(UsageError, match="has ratings of"):  # by another teacher than the checkpoint of that name
            rate_into(out, benchmark, MODEL, 1, GenerationSettings())


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"model": "student", "backend": "openai"}, "is for a model that is asked"),
        ({"model": "canonical", "backend": "openai"}, "is for a model that is asked"),
        ({"samples": "f.jsonl", "backend": "openai"}, "is for a model that is asked"),
        ({"model": "m", "base_url": "http://host/v1"}, "base_url means nothing to the backend hf"),
        ({"model": "m", "backend": "telepathy"}, "no backend 'telepathy'"),
        ({"model": "student", "backend": "vllm"}, "is for a model that is asked"),
        ({"model": "canonical", "dtype": "bfloat16"}, "is for a model that is asked"),
        ({"model": "m", "tensor_parallel_size": 2}, "tensor_parallel_size means nothing to the backend hf"),
        ({"model": "m", "backend": "vllm", "gpu_memory_utilization": 2}, "gpu_memory_utilization 2"),
        ({"model": "m", "backend": "openai", "base_url": "http://me:secret@host/v1"}, "OPENAI_API_KEY"),
    ],
)
def test_a_teacher_that_no_backend_fits_is_refused(teacher: dict[str, str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.write_text(json.dumps({"student": "s", "teacher": teacher, "training": {"steps": 1}}))
    with pytest.raises(UsageError, match=message) as raised:
        load_file(path, LoopConfig)
    assert "secret" not in str(raised.value)


def test_a_teacher_on_a_server_gives_no_logits(few_tasks: Path) -> None:
    with pytest.raises(msgspec.ValidationError, match="on this machine"):
        config(few_tasks, Server(base_url="http://host/v1"), logits={})
