"""What every backend has in common: opened once and closed, refused early, named in the recipes of teachers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import (
    Completion,
    EvalConfig,
    GenerationSettings,
    MissingDependency,
    ModelOptions,
    Prompt,
    StopReason,
    UsageError,
    evaluate,
    open_model,
    see_that_it_is_installed,
)
from harness.benchmarks import load_benchmark
from harness.model_options import BATCH_SIZES
from harness.models.requests import Reader
from harness.models.vllm_engine import VllmModel
from harness.models.vllm_start import Started
from harness.protocols import rules_for
from harness.sampling import Decoding, resolved_by
from harness.sources import _from_model


@dataclass
class Engine:
    """A model that holds more than memory, and counts how often it is opened and closed."""

    name: str = "engine"
    digest: str = "e" * 64
    opened: int = 0
    closed: int = 0
    runtime: dict[str, str] = field(default_factory=lambda: {"dtype": "float32"})

    def versions(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        self.closed += 1

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        assert not self.closed
        return (Completion(text="    return x\n", stop_reason=StopReason.STOP) for _ in prompts)


@dataclass
class Taking:
    """A model that takes so many requests at once, and notes how many it is to have."""

    at_once: int
    name: str = "taking"
    digest: str = "t" * 64
    batch_size: int = 0

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        self.batch_size = settings.batch_size
        return (Completion(text="    return x\n", stop_reason=StopReason.STOP) for _ in prompts)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Return what is opened for the backend vllm."""
    engine = Engine()

    def start(name: str, options: ModelOptions) -> Engine:
        engine.opened += 1
        return engine

    monkeypatch.setattr("harness.backends._start", start)
    return engine


def task_file(folder: Path, name: str) -> str:
    row = {"task_id": f"{name}/0", "prompt": "def f(x):\n", "entry_point": "f", "canonical_solution": "    return x\n"}
    path = folder / f"{name}.jsonl"
    path.write_text(json.dumps(row | {"test": "def check(candidate):\n    assert candidate(1) == 1\n"}) + "\n")
    return str(path)


def asked(tmp_path: Path, **more: Any) -> EvalConfig:
    tasks = (task_file(tmp_path, "a"), task_file(tmp_path, "b"))
    given = {"tasks": tasks, "out": tmp_path / "run", "model": "m", "options": ModelOptions(backend="vllm"), **more}
    return EvalConfig(**given)


@pytest.mark.docker
def test_a_model_is_opened_once_for_all_benchmarks_and_closed(engine: Engine, tmp_path: Path) -> None:
    reports = evaluate(asked(tmp_path))
    assert [report.outcomes["passed"] for report in reports] == [1, 1]
    assert (engine.opened, engine.closed) == (1, 1)
    run = json.loads(next((tmp_path / "run").rglob("run.json")).read_bytes())
    assert (run["backend"], run["runtime"]) == ("vllm", {"dtype": "float32"})


def test_a_model_is_closed_when_something_else_is_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="protocol"):
        evaluate(asked(tmp_path, decoding=Decoding(protocol="none of these")))
    assert engine.opened == 0, "what is known before is said before"
    with pytest.raises(UsageError):
        evaluate(asked(tmp_path, weak_below=2.0))
    assert (engine.opened, engine.closed) == (1, 1)


def test_the_solutions_have_no_backend(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="canonical"):
        evaluate(asked(tmp_path, model="canonical"))
    assert engine.opened == 0


def test_each_backend_has_its_own_number_at_once() -> None:
    rules = rules_for("default", "humaneval")
    for size in BATCH_SIZES.values():
        assert resolved_by(Decoding(), rules, size).batch_size == size
        assert resolved_by(Decoding(batch_size=3), rules, size).batch_size == 3


@pytest.mark.parametrize(("max_num_seqs", "at_once"), [(1024, 1024), (16, 256)])
def test_an_engine_that_takes_more_requests_at_once_is_given_more(
    tmp_path: Path, max_num_seqs: int, at_once: int
) -> None:
    scheduler = SimpleNamespace(max_num_seqs=max_num_seqs)
    engine = SimpleNamespace(
        vllm_config=SimpleNamespace(scheduler_config=scheduler),
        engine_core=SimpleNamespace(shutdown=lambda timeout: None),
    )
    reader = Reader(name="m", tokenizer=SimpleNamespace(chat_template=None), context=None, filler=0)
    started = Started(engine=engine, processes=())
    model = VllmModel(name="m", digest="", started=started, reader=reader, ends=frozenset(), runtime={})
    assert model.at_once == at_once
    benchmark = load_benchmark(task_file(tmp_path, "mine"))
    queueing = Taking(at_once=model.at_once)
    for given, expected in ((None, at_once), (3, 3)):
        source = _from_model(queueing, benchmark, benchmark.tasks, Decoding(batch_size=given), ("default", "vllm"))
        assert source.decoding.batch_size == expected
        list(source.samples(()))
        assert queueing.batch_size == expected


def test_without_vllm_its_backend_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("vllm") is not None:
        pytest.skip("vLLM is installed here")
    (tmp_path / "vllm").mkdir()  # a folder of that name is no package
    monkeypatch.syspath_prepend(tmp_path)
    options = ModelOptions(backend="vllm")
    with pytest.raises(MissingDependency, match=r"code-harness\[vllm\]"):
        open_model("demo:student", options)
    with pytest.raises(MissingDependency, match=r"code-harness\[vllm\]"):
        see_that_it_is_installed(options)
    see_that_it_is_installed(ModelOptions())
