"""Whole runs: what a report says, and that a run which is killed, interrupted or left by its engine ends the same.

Runs that are killed are the real command in a process of its own, judged in real containers.
"""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
from jobs import (
    BODIES,
    TASKS,
    Job,
    assert_no_cell_is_left,
    cells_of,
    finished,
    lines_of,
    losing_cells,
    started,
    timeless,
    wait_until,
    write_job,
)

from benchmarks.engine import Engine
from harness import evaluation
from harness.benchmarks import load_benchmark
from harness.errors import StoreMismatch, UsageError
from harness.evaluation import EvalConfig, evaluate
from harness.records import Benchmark, Outcome, Report, Sample, StopReason, Verdict, from_json, to_json
from harness.store import read_lines, read_report
from sandbox import SandboxError, SandboxUnavailable, open_sandbox
from sandbox.contract import Limits
from sandbox.pool import Pool


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return write_job(tmp_path)


@pytest.fixture(scope="module")
def engine(require: Any) -> None:
    """Docker answers and has the image."""
    try:
        open_sandbox("docker", Limits(), 1).close()
    except SandboxError as error:
        require(False, f"Docker: {error}")
    require(shutil.which("docker"), "the command docker")


@pytest.fixture(scope="module")
def undisturbed(engine: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Verdicts and report of the job that nobody killed."""
    job = write_job(tmp_path_factory.mktemp("undisturbed"))
    finished(job)
    return timeless(job)


# Reports


@pytest.mark.slow
@pytest.mark.docker
def test_the_canonical_solutions_of_humaneval_pass(
    engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed: list[Pool] = []
    warm = Pool.warm
    monkeypatch.setattr(Pool, "warm", lambda pool: (warmed.append(pool), warm(pool)))
    (report,) = evaluate(EvalConfig(tasks=("humaneval",), out=tmp_path, model="canonical", sandbox="docker"))
    assert (report.tasks, report.samples, report.outcomes["passed"]) == (164, 164, 164)
    assert report.pass_at_k["1"].value == 1.0
    assert 0.97 < report.pass_at_k["1"].low < report.pass_at_k["1"].high == 1.0
    assert report == read_report(tmp_path)
    verdicts = list(read_lines(tmp_path / "verdicts.jsonl", Verdict))
    assert [verdict.task_id for verdict in verdicts] == [f"HumanEval/{number}" for number in range(164)]
    assert all(verdict.tests_run == verdict.tests_expected > 0 for verdict in verdicts)
    assert len(warmed) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("docker", marks=pytest.mark.docker), "local"])
def test_counts_add_up_and_scores_are_of_their_tasks(kind: str, tmp_path: Path, require: Any) -> None:
    write_job(tmp_path, tasks=4)
    try:
        (report,) = evaluate(
            EvalConfig(
                tasks=(str(tmp_path / "slow.jsonl"),),
                out=tmp_path / "run",
                samples=tmp_path / "samples.jsonl",
                sandbox=kind,
                workers=1,
            )
        )
    except SandboxError as error:
        require(False, f"{kind} cells: {error}")
        raise
    assert report.outcomes == dict.fromkeys(Outcome, 0) | {"passed": 4, "failed": 4, "error": 4}
    assert sum(report.outcomes.values()) == report.samples == 12
    assert (report.benchmark, report.model, report.tasks) == ("slow", "samples.jsonl", 4)
    assert report.pass_at_k["1"].value == pytest.approx(1 / 3)
    assert set(report.pass_at_k) == {"1"}
    assert (report.sandbox, bool(report.not_promised)) == (kind, kind == "local")
    samples = list(read_lines(tmp_path / "run" / "samples.jsonl", Sample))
    assert [(sample.task_id, sample.sample_index) for sample in samples] == [
        (f"Slow/{number}", index) for number in range(4) for index in range(3)
    ]
    assert all(sample.completion == list(BODIES.values())[sample.sample_index] for sample in samples)
    assert all(sample.program == "def f(x):\n" + sample.completion for sample in samples)
    assert {sample.stop_reason for sample in samples} == {StopReason.FILE}


def test_progress_is_told_of_every_verdict(tmp_path: Path, require: Any) -> None:
    write_job(tmp_path, tasks=3)
    progress = Watching()
    config = EvalConfig(
        tasks=(str(tmp_path / "slow.jsonl"),), out=tmp_path / "run", samples=tmp_path / "samples.jsonl", workers=1
    )
    try:
        evaluate(config, progress)
    except SandboxError as error:
        require(False, f"cells: {error}")
    assert progress.started == [("slow", 9, 0)]
    assert len(progress.rates) == 9
    assert progress.rates[-1] == pytest.approx(1 / 3)
    evaluate(config, progress)
    assert progress.started[1:] == [("slow", 9, 9)]
    assert len(progress.rates) == 9


@dataclass
class Watching:
    """A progress display that keeps what it is told."""

    started: list[tuple[str, int, int]] = field(default_factory=list)
    rates: list[float | None] = field(default_factory=list)

    def start(self, title: str, total: int, done: int) -> None:
        self.started.append((title, total, done))

    def step(self, pass_rate: float | None, not_judged: int) -> None:
        self.rates.append(pass_rate)

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


def test_contradictory_requests_are_refused(tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [
        {"tasks": ("humaneval",)},
        {"tasks": ("humaneval",), "model": "canonical", "samples": tmp_path / "x"},
        {"tasks": (), "model": "canonical"},
        {"tasks": ("humaneval", "humaneval"), "model": "canonical"},
        {"tasks": ("humaneval", "mbpp"), "samples": tmp_path / "x"},
        {"tasks": ("humaneval",), "model": "canonical", "limit": 0},
        {"tasks": ("humaneval",), "model": "canonical", "workers": 0},
    ]
    for request in wrong:
        with pytest.raises(UsageError):
            EvalConfig(out=tmp_path / "run", **request)


class CellsMade:
    """Stands for a sandbox: notes in order what becomes of it."""

    def __init__(self, failure: str = "") -> None:
        self.seen: list[str] = []
        self.failure = failure

    def open(self, *_: object) -> CellsMade:
        if self.failure:
            raise SandboxUnavailable(self.failure)
        return self

    def warm(self) -> None:
        self.seen.append("warm")

    def close(self) -> None:
        self.seen.append("closed")


def test_cells_come_up_while_tasks_are_read_and_go_where_these_cannot_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = CellsMade()

    def load(name: str) -> Benchmark:
        wait_until(lambda: made.seen == ["warm"], "the cells are made")
        raise UsageError(f"{name} is damaged")

    monkeypatch.setattr(evaluation, "open_program_cells", made.open)
    monkeypatch.setattr(evaluation, "load_benchmark", load)
    with pytest.raises(UsageError, match="humaneval\\+ is damaged"):
        evaluate(EvalConfig(model="canonical", tasks=("humaneval+",), out=tmp_path / "run"))
    assert made.seen == ["warm", "closed"]


@pytest.mark.parametrize("damaged", [True, False])
def test_a_sandbox_that_cannot_be_had_is_said_behind_what_the_user_can_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damaged: bool
) -> None:
    monkeypatch.setattr(evaluation, "open_program_cells", CellsMade("no engine").open)
    benchmark = load_benchmark("ladder")

    def load(name: str) -> Benchmark:
        if damaged:
            raise UsageError(f"{name} is damaged")
        return benchmark

    monkeypatch.setattr(evaluation, "load_benchmark", load)
    with pytest.raises(UsageError if damaged else SandboxUnavailable):
        evaluate(EvalConfig(model="canonical", tasks=("humaneval+",), out=tmp_path / "run"))


def test_garbage_is_not_looked_for_while_tasks_are_read_and_is_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looked: list[bool] = []

    def load(name: str) -> Benchmark:
        looked.append(gc.isenabled())
        raise UsageError(f"{name} is damaged")

    monkeypatch.setattr(evaluation, "load_benchmark", load)
    with pytest.raises(UsageError, match="damaged"):
        evaluate(EvalConfig(model="canonical", tasks=("humaneval",), out=tmp_path / "run"))
    assert (looked, gc.isenabled()) == ([False], True)


def test_every_benchmark_is_checked_before_any_is_judged(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"task_id": "Bad/0"}\n')
    with pytest.raises(UsageError, match=r"bad\.jsonl, line 1"):
        evaluate(EvalConfig(tasks=("humaneval", str(tmp_path / "bad.jsonl")), out=tmp_path / "run", model="canonical"))
    assert not (tmp_path / "run").exists()


# Runs that are killed


@pytest.mark.docker
@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(job: Job, undisturbed: Any) -> None:
    total = 3 * TASKS
    moments: list[Callable[[int], object]] = [
        lambda pid: True,
        lambda pid: cells_of(pid),
        lambda pid: (job.out / "run.json").exists(),
        lambda pid: lines_of(job.out / "samples.jsonl"),
        *[
            lambda pid, least=least: lines_of(job.out / "verdicts.jsonl") >= least
            for least in (1, total // 2, total - 2)
        ],
        lambda pid: (job.out / "report.json").exists(),
    ]
    done = 0
    pids: list[int] = []
    for number, moment in enumerate(moments):
        with started(job) as process:
            wait_until(partial(moment, process.pid), f"moment {number}")
            process.kill()
            process.wait()
        now = lines_of(job.out / "verdicts.jsonl")
        assert now >= done - 1  # a torn last line is dropped
        done = now
        pids.append(process.pid)
        if number != 1:  # cells that were made and not yet started are left to the next run
            assert_no_cell_is_left(process.pid)
    finished(job)
    for pid in pids:
        assert_no_cell_is_left(pid)
    assert timeless(job) == undisturbed


@pytest.mark.slow
@pytest.mark.docker
def test_a_run_that_is_killed_in_the_middle_of_a_line_ends_the_same(job: Job, undisturbed: Any) -> None:
    with started(job) as process:
        wait_until(lambda: lines_of(job.out / "verdicts.jsonl") >= 5, "five verdicts")
        process.kill()
        process.wait()
    for name in ("samples.jsonl", "verdicts.jsonl"):
        path = job.out / name
        path.write_bytes(path.read_bytes()[:-7])
    said = finished(job)
    assert "going on after" in said
    assert timeless(job) == undisturbed


@pytest.mark.slow
@pytest.mark.docker
def test_a_cell_that_a_killed_run_made_and_did_not_start_goes_with_the_next_run(job: Job, engine: None) -> None:
    api = docker.from_env().api
    with started(job) as process:
        mine = {"label": f"harness.cell={process.pid}"}
        wait_until(lambda: api.containers(all=True, filters=mine), "a cell is made")
        process.kill()
        process.wait()
    finished(job)
    assert api.containers(all=True, filters=mine) == []


@pytest.mark.slow
@pytest.mark.docker
def test_a_run_that_goes_on_judges_what_the_machine_failed_on_again(job: Job, undisturbed: Any) -> None:
    finished(job)
    verdicts = [json.loads(line) for line in (job.out / "verdicts.jsonl").read_text().splitlines()]
    for place in (0, 5):
        verdicts[place] |= {"outcome": "not_judged", "passed": False, "tests_run": 0}
    (job.out / "verdicts.jsonl").write_text("".join(json.dumps(verdict) + "\n" for verdict in verdicts[:-1]))
    assert f"going on after {3 * TASKS - 3} of {3 * TASKS}" in finished(job)
    assert timeless(job) == undisturbed


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize(
    ("change", "field"),
    [
        (["--cpu-seconds", "2"], "cpu_seconds was 3.0, now 2.0"),
        (["--wall-seconds", "9"], "wall_seconds was 10.0, now 9.0"),
        (["--memory-mb", "512"], "memory_bytes was "),
        (["--partial"], "partial was False, now True"),
        (["--limit", "1"], "task_ids was "),
        (["--sandbox", "local"], "sandbox was 'docker', now 'local'"),
    ],
)
def test_a_changed_option_does_not_go_on_with_the_old_run(
    engine: None, tmp_path: Path, change: list[str], field: str, require: Any
) -> None:
    job = write_job(tmp_path, tasks=2)
    finished(job)
    before = (job.out / "verdicts.jsonl").read_bytes()
    with started(job, *change) as process:
        out, said = process.communicate(timeout=60)
    require("allows no local cells" not in said, "local cells")
    assert (process.returncode, out) == (2, "")
    assert field in said
    assert "--no-resume" in said
    assert (job.out / "verdicts.jsonl").read_bytes() == before


@pytest.mark.slow
@pytest.mark.docker
def test_other_samples_do_not_go_on_with_the_old_run_but_may_start_afresh(engine: None, tmp_path: Path) -> None:
    job = write_job(tmp_path, tasks=1)
    finished(job)
    path = tmp_path / "samples.jsonl"
    path.write_text(path.read_text().replace("return x + 1", "return x + 2"))
    assert "model_digest was" in finished(job, code=2)
    (tmp_path / "slow.jsonl").write_text((tmp_path / "slow.jsonl").read_text().replace("== 0", "== 2"))
    assert "dataset_digest was" in finished(job, code=2)
    finished(job, "--no-resume")
    assert json.loads((job.out / "report.json").read_text())["outcomes"]["passed"] == 1
    assert [verdict.passed for verdict in read_lines(job.out / "verdicts.jsonl", Verdict)] == [False, True, False]


@pytest.mark.slow
@pytest.mark.docker
def test_two_runs_do_not_share_a_folder(job: Job, engine: None) -> None:
    with started(job) as process:
        wait_until(lambda: lines_of(job.out / "verdicts.jsonl") >= 1, "a verdict")
        assert "in use by another run" in finished(job, code=2)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_run_of_another_configuration_is_an_error_of_its_own_class(tmp_path: Path, require: Any) -> None:
    write_job(tmp_path, tasks=1)
    parts: dict[str, Any] = {"tasks": (str(tmp_path / "slow.jsonl"),), "out": tmp_path / "run", "workers": 1}
    try:
        evaluate(EvalConfig(model="canonical", **parts))
    except SandboxError as error:
        require(False, f"cells: {error}")
    with pytest.raises(StoreMismatch, match="model was 'canonical', now"):
        evaluate(EvalConfig(samples=tmp_path / "samples.jsonl", **parts))


# An engine that dies


@pytest.mark.docker
@pytest.mark.slow
def test_a_run_whose_engine_dies_alone_goes_on_in_its_cells_and_leaves_none(
    own_engine: Engine, job: Job, undisturbed: Any
) -> None:
    with started(job, env=own_engine.environment) as process:
        wait_until(lambda: lines_of(job.out / "verdicts.jsonl") >= 5, "five verdicts", 60)
        own_engine.die()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert timeless(job)[0] == undisturbed[0]
    assert own_engine.start()
    with closing(docker.DockerClient(base_url=own_engine.address)) as client:
        mine = {"label": f"harness.cell={process.pid}"}
        wait_until(lambda: not client.api.containers(all=True, filters=mine), "its cells are gone", 30)


@pytest.mark.docker
@pytest.mark.slow
def test_a_run_whose_engine_dies_with_its_cells_ends_with_3_keeps_its_verdicts_and_goes_on(
    own_engine: Engine, job: Job, undisturbed: Any
) -> None:
    with started(job, env=own_engine.environment) as process:
        wait_until(lambda: lines_of(job.out / "verdicts.jsonl") >= 5, "five verdicts", 60)
        with losing_cells(process.pid, own_engine.address):
            own_engine.freeze()  # at once: dying takes so long that the run could come to its end
        own_engine.die()
        out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (3, "")
    assert "Start the Docker engine" in said.splitlines()[-1]
    assert "Traceback" not in said
    kept = lines_of(job.out / "verdicts.jsonl")
    assert 5 <= kept < 3 * TASKS
    assert not (job.out / "report.json").exists()
    assert '"not_judged"' not in (job.out / "verdicts.jsonl").read_text()
    assert "no Docker engine answers" in finished(job, env=own_engine.environment, code=3)
    assert lines_of(job.out / "verdicts.jsonl") == kept
    assert own_engine.start()
    assert f"going on after {kept} of {3 * TASKS}" in finished(job, env=own_engine.environment)
    verdicts, report = timeless(job)
    assert verdicts == undisturbed[0]
    assert report["outcomes"] == undisturbed[1]["outcomes"]


@pytest.mark.docker
@pytest.mark.slow
def test_a_run_waits_for_an_engine_that_is_restarted(own_engine: Engine, job: Job, undisturbed: Any) -> None:
    with started(job, env=own_engine.environment) as process:
        wait_until(lambda: lines_of(job.out / "verdicts.jsonl") >= 5, "five verdicts", 60)
        own_engine.die()
        assert own_engine.start()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert timeless(job)[0] == undisturbed[0]


# Records


def test_a_report_whose_counts_do_not_add_up_cannot_be_made(tmp_path: Path) -> None:
    whole: dict[str, Any] = {"benchmark": "b", "protocol": "p", "model": "m", "tasks": 1, "samples": 2, "pass_at_k": {}}
    more: dict[str, Any] = {
        "base_pass_at_k": None,
        "tiers": [],
        "tokens": {},
        "seconds": 0.0,
        "sandbox": "docker",
        "fingerprint": "f",
    }
    assert from_json(Report, json.dumps({**whole, **more, "outcomes": {"passed": 1, "failed": 1}})).samples == 2
    with pytest.raises(ValueError, match="add up to 1, not to 2"):
        from_json(Report, json.dumps({**whole, **more, "outcomes": {"passed": 1}}))


@pytest.mark.slow
def test_a_verdict_that_passes_without_having_passed_cannot_be_made() -> None:
    line = '{"task_id":"a","sample_index":0,"outcome":"failed","passed":%s,"tests_run":1,"tests_expected":1,'
    line += '"evidence":{},"cpu_seconds":0.0,"wall_seconds":0.0,"peak_memory_bytes":0}'
    verdict = from_json(Verdict, line.replace("%s", "false"))
    assert from_json(Verdict, to_json(verdict)) == verdict
    with pytest.raises(ValueError, match="passed=True but failed"):
        from_json(Verdict, line.replace("%s", "true"))
