"""A model that takes too long: what it has answered is judged, and what it has not is neither right nor wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import load_benchmark
from harness.errors import UsageError
from harness.evaluation import EvalConfig, evaluate
from harness.fingerprint import NOT_FINGERPRINTED
from harness.models.seam import Completion, GenerationSettings, Prompt
from harness.records import Report, RunConfig, StopReason, from_json
from harness.sources import Decoding, Source, _from_model
from harness.store import RUN
from sandbox import SandboxError


@dataclass
class Slow:
    """A model that answers two prompts in any time that it has."""

    name: str = "slow"
    digest: str = "s" * 64
    deadlines: list[float | None] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)
    runtime: dict[str, str] = field(default_factory=dict)

    def versions(self) -> dict[str, str]:
        return {}

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        self.deadlines.append(settings.deadline)
        for place, prompt in enumerate(prompts):
            in_time = settings.deadline is None or place < 2
            self.asked += [(prompt.task_id, prompt.sample_index)] if in_time else []
            yield Completion(
                text="    return x\n" if in_time else "    ret",
                stop_reason=StopReason.STOP if in_time else StopReason.TIME,
            )


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Return a file of three tasks that `return x` solves."""
    path = tmp_path / "tasks.jsonl"
    with path.open("w") as file:
        for number in range(3):
            test = f"def check(candidate):\n    assert candidate({number}) == {number}\n"
            task = {"task_id": f"T/{number}", "prompt": "def f(x):\n", "entry_point": "f", "test": test}
            file.write(json.dumps(task | {"canonical_solution": "    return x\n", "tier": "easy"}) + "\n")
    return path


def test_what_is_not_answered_in_time_is_no_sample(tasks: Path) -> None:
    benchmark, model = load_benchmark(str(tasks)), Slow()
    decoding = Decoding(n_samples=2, temperature=1.0, time_limit_seconds=60)
    source: Source = _from_model(model, benchmark, benchmark.tasks, decoding, ("default", "hf"))
    began = time.monotonic()
    first = [(one.task_id, one.sample_index) for one in source.samples(())]
    assert first == [("T/0", 0), ("T/0", 1)]
    assert source.total == 6
    (deadline,) = model.deadlines
    assert deadline is not None
    assert began + 60 <= deadline <= time.monotonic() + 60  # from when it is asked, and not from when it was opened
    assert [(one.task_id, one.sample_index) for one in source.samples(first)] == [("T/1", 0), ("T/1", 1)]


@pytest.mark.parametrize("limit", [0, -1.0])
def test_a_limit_of_no_time_is_refused(tasks: Path, limit: float) -> None:
    benchmark = load_benchmark(str(tasks))
    with pytest.raises(UsageError, match=r"time limit of .* more than 0"):
        _from_model(Slow(), benchmark, benchmark.tasks, Decoding(time_limit_seconds=limit), ("default", "hf"))


def evaluated(tasks: Path, out: Path, limit: float | None, require: Any) -> Report:
    decoding = Decoding(time_limit_seconds=limit)
    config = EvalConfig(tasks=(str(tasks),), out=out, model="slow", decoding=decoding, sandbox="local", workers=1)
    try:
        return evaluate(config)[0]
    except SandboxError as error:
        require(False, f"local cells: {error}")
        raise


def test_a_run_says_what_is_missing_and_goes_on(
    tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require: Any
) -> None:
    model = Slow()
    monkeypatch.setattr("harness.backends._load", lambda name, options: model)

    def ran(limit: float | None) -> tuple[int, dict[str, int], tuple[str, ...], bool]:
        report = evaluated(tasks, tmp_path / "run", limit, require)
        counts = {name: count for name, count in report.outcomes.items() if count}
        return report.samples, counts, report.missing_tasks, report.stopped_early

    assert ran(5.0) == (2, {"passed": 2}, ("T/2",), True)
    written = (tmp_path / "run" / "samples.jsonl").read_text()
    assert from_json(RunConfig, (tmp_path / "run" / RUN).read_bytes()).time_limit_seconds == 5.0
    assert ran(None) == (3, {"passed": 3}, (), False)
    assert (tmp_path / "run" / "samples.jsonl").read_text().startswith(written)  # what was answered stays
    assert model.asked == [("T/0", 0), ("T/1", 0), ("T/2", 0)]
    assert "time_limit_seconds" in NOT_FINGERPRINTED


def test_a_model_that_answers_nothing_has_no_score(
    tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require: Any
) -> None:
    class Mute(Slow):
        def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
            return (Completion(text="", stop_reason=StopReason.TIME) for _ in prompts)

    monkeypatch.setattr("harness.backends._load", lambda name, options: Mute())
    report = evaluated(tasks, tmp_path / "run", 5.0, require)
    assert (report.samples, report.pass_at_k, report.stopped_early) == (0, {}, True)
    assert len(report.missing_tasks) == 3
