"""What the machine does to a run: guests killed, engines that die or hang, images gone, full disks, clocks set.

Each ends in another try, or in `not_judged` or nothing and exit code 3, and the same command goes on from there: never
in a wrong verdict, never in a hang. The engines are real; the one that is killed and frozen is one of our own.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
from jobs import (
    BODIES,
    Job,
    assert_no_cell_is_left,
    cells_of,
    finished,
    lines_of,
    losing_cells,
    resize,
    started,
    timeless,
    wait_until,
    write_job,
)

from benchmarks import chaos
from benchmarks.engine import Engine
from benchmarks.killer import KINDS as KILLS
from harness.evaluation import EvalConfig, evaluate
from harness.records import Outcome, Verdict
from harness.store import read_lines
from sandbox import CellLost, Limits, Program, SandboxError, SandboxUnavailable, open_sandbox
from sandbox.pool import Pool

ROOT = Path(__file__).resolve().parents[2]
TASKS = 12
TOTAL = len(BODIES) * TASKS
ENDLESS = "    while True: pass\n"


@pytest.fixture(scope="module", params=[pytest.param("docker", marks=pytest.mark.docker), "local"])
def kind(request: pytest.FixtureRequest, require: Any) -> str:
    try:
        open_sandbox(request.param, Limits(), 1).close()
    except SandboxError as error:
        require(False, f"{request.param} cells: {error}")
    return str(request.param)


@pytest.fixture(scope="module")
def undisturbed(kind: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Verdicts and report of the job that nobody disturbed."""
    job = write_job(tmp_path_factory.mktemp("undisturbed"), TASKS, kind)
    finished(job)
    return timeless(job)


def children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def guests_of(harness: int, kind: str) -> list[int]:
    """Return the process ids of the guests that a harness has."""
    if kind == "local":
        return [guest for launcher in children(harness) for guest in children(launcher)]
    client = docker.from_env()
    found = []
    for cell in client.api.containers(filters={"label": f"harness.cell={harness}"}):
        with suppress(docker.errors.NotFound):
            found.append(int(client.api.inspect_container(cell["Id"])["State"]["Pid"]))
    client.close()
    return [guest for guest in found if guest]


def processes_of(harness: int, kind: str) -> list[int]:
    """Return every process that a harness has in or around its cells."""
    guests = guests_of(harness, kind)
    return [*children(harness), *guests, *(child for guest in guests for child in children(guest))]


def is_running(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


# Guests


@pytest.mark.slow
def test_guests_that_are_killed_cost_nothing_but_time(kind: str, tmp_path: Path, undisturbed: Any) -> None:
    job = write_job(tmp_path, TASKS, kind)
    kills = 0
    with started(job) as process:
        while process.poll() is None:
            if lines_of(job.out / "verdicts.jsonl") > 7 * kills and (guests := guests_of(process.pid, kind)):
                kill(guests[kills % len(guests)])
                kills += 1
            time.sleep(0.01)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert kills >= 4
    assert timeless(job) == undisturbed


@pytest.mark.slow
def test_a_program_whose_guest_is_killed_every_time_is_not_judged_and_judged_later(kind: str, tmp_path: Path) -> None:
    bodies = {"passed": "    return x\n", "long": "    import time; time.sleep(1); return x\n"}
    job = write_job(tmp_path, 1, kind, bodies)
    seen: dict[tuple[int, int], float] = {}
    with started(job) as process:
        while process.poll() is None:
            for guest in guests_of(process.pid, kind):
                for program in children(guest):
                    if time.monotonic() - seen.setdefault((guest, program), time.monotonic()) > 0.5:
                        kill(guest)
            time.sleep(0.02)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "1 samples could not be judged because the machine failed" in said
    verdicts, report = timeless(job)
    assert report["outcomes"] == dict.fromkeys(Outcome, 0) | {"passed": 1, "not_judged": 1}
    assert report["pass_at_k"]["1"]["value"] == 1.0
    assert verdicts[1]["evidence"]["reason"].startswith("the machine failed 3 times: ")
    finished(job)
    assert timeless(job)[1]["outcomes"]["passed"] == 2


def test_a_guest_that_takes_nothing_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.pipes.WRITE_SECONDS", 1)
    others = set(guests_of(os.getpid(), kind))  # of tests before
    pool = importlib.import_module(f"sandbox.{kind}").open_pool(Limits(), 1)
    try:
        with pool.start(Program(source=""), Limits()) as session:
            assert session.reply(0) == b'["ok"]'
        (guest,) = set(guests_of(os.getpid(), kind)) - others
        os.kill(guest, signal.SIGSTOP)
        large = Program(source="#" * (16 << 20))
        start = time.monotonic()
        with pytest.raises(CellLost, match="the cell is gone"), pool.start(large, Limits()) as session:
            session.reply(0)
        assert time.monotonic() - start < 10
        assert not is_running(guest)
    finally:
        pool.close()


def test_warm_cells_are_made_side_by_side_and_a_failure_is_told_to_who_needs_one() -> None:
    together = threading.Barrier(2)
    asked: list[str] = []

    def open_channel() -> Any:
        asked.append(threading.current_thread().name)
        if len(asked) <= 2:
            together.wait(10)
        raise SandboxError("no room")

    pool = Pool("fake", "", open_channel, 2)
    pool.warm()
    with pytest.raises(SandboxError, match="no room"), pool.start(Program(source=""), Limits()):
        pass
    pool.close()
    assert asked[:2] == ["warmer", "warmer"]


def test_two_programs_that_wait_for_one_cell_share_its_failure() -> None:
    """An engine that takes its time to fail is not asked again by each of them."""
    asked: list[threading.Thread] = []
    failures: list[str] = []

    def start() -> None:
        with pytest.raises(SandboxError) as failure, pool.start(Program(source=""), Limits()):
            pass
        failures.append(str(failure.value))

    def open_channel() -> Any:
        if not asked:
            asked.append(threading.Thread(target=start))
            asked[0].start()
            time.sleep(0.5)  # it has come to the lock by then
            raise SandboxError("slow")
        raise SandboxError("asked again")

    pool = Pool("fake", "", open_channel, 1)
    start()
    asked[0].join()
    assert failures == ["slow", "slow"]
    with pytest.raises(SandboxError, match="asked again"), pool.start(Program(source=""), Limits()):
        pass


# Engines


@pytest.fixture
def hung_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A socket that takes every request and answers none."""
    address = str(tmp_path / "d.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(100)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{address}")
        yield address


def test_an_engine_that_never_answers_is_none(
    hung_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.docker._ANSWER_SECONDS", 0.5)
    write_job(tmp_path, 1)
    parts: dict[str, Any] = {"tasks": (str(tmp_path / "slow.jsonl"),), "samples": tmp_path / "samples.jsonl"}
    start = time.monotonic()
    with pytest.raises(SandboxUnavailable, match="no Docker engine answers"):
        evaluate(EvalConfig(**parts, out=tmp_path / "run", sandbox="docker"))
    assert time.monotonic() - start < 5
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.docker
def test_an_engine_that_never_answers_is_waited_for_ten_seconds(hung_engine: str, tmp_path: Path) -> None:
    start = time.monotonic()
    assert "no Docker engine answers" in finished(write_job(tmp_path, 1), code=3)
    assert time.monotonic() - start < 20


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.docker
def test_an_engine_that_hangs_in_the_middle_ends_the_run_which_goes_on_later(
    own_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all patience made short; the soak test has the real one."""
    monkeypatch.setenv("DOCKER_HOST", own_engine.address)
    for name in ("sandbox.cell.GRACE_SECONDS", "sandbox.docker._CELL_SECONDS", "harness.judge.PATIENCE_SECONDS"):
        monkeypatch.setattr(name, 1)
    write_job(tmp_path, TASKS)
    parts: dict[str, Any] = {"tasks": (str(tmp_path / "slow.jsonl"),), "samples": tmp_path / "samples.jsonl"}
    config = EvalConfig(**parts, out=tmp_path / "run", sandbox="docker", workers=1, wall_seconds=0.5)
    verdicts = tmp_path / "run" / "verdicts.jsonl"

    def freeze() -> None:
        wait_until(lambda: lines_of(verdicts) >= 5, "five verdicts", 60)
        with losing_cells(os.getpid(), own_engine.address):
            own_engine.freeze()

    freezer = threading.Thread(target=freeze)
    freezer.start()
    with pytest.raises(SandboxError, match="could not start a cell"):
        evaluate(config)
    freezer.join()
    assert 5 <= lines_of(verdicts) < TOTAL
    assert '"not_judged"' not in verdicts.read_text()
    own_engine.thaw()
    (report,) = evaluate(config)
    assert report.outcomes == dict.fromkeys(Outcome, 0) | dict.fromkeys(BODIES, TASKS)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.docker
@pytest.mark.timeout(600)
def test_an_engine_that_hangs_in_the_middle_is_given_up(own_engine: Engine, tmp_path: Path) -> None:
    job = write_job(tmp_path, TASKS)
    with started(job, env=own_engine.environment) as process:
        wait_until(lambda: lines_of(job.out / "verdicts.jsonl") >= 5, "five verdicts", 60)
        with losing_cells(process.pid, own_engine.address):
            own_engine.freeze()
        _, said = process.communicate(timeout=300)
    assert process.returncode == 3, said
    assert "Traceback" not in said
    own_engine.thaw()
    finished(job, env=own_engine.environment)
    assert timeless(job)[1]["outcomes"] == dict.fromkeys(Outcome, 0) | dict.fromkeys(BODIES, TASKS)


@pytest.mark.slow
@pytest.mark.docker
def test_an_image_that_is_not_there_is_said_or_made(
    own_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", own_engine.address)
    with pytest.raises(SandboxUnavailable, match="'nobody/nothing:1' is not there"):
        open_sandbox("docker", Limits(), 1, image="nobody/nothing:1")
    pool = open_sandbox("docker", Limits(), 1)
    client = docker.from_env()
    client.images.remove(pool.image_digest, force=True)
    with (
        pytest.raises(SandboxError, match="Run the same command again to have the image made again"),
        pool.start(Program(source=""), Limits()),
    ):
        pass
    pool.close()
    finished(write_job(tmp_path, 1), env=own_engine.environment)


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.data
@pytest.mark.timeout(900)
def test_a_little_chaos_changes_nothing(own_engine: Engine, data_dir: Path, tmp_path: Path, require: Any) -> None:
    source = data_dir / "codegen16b_humaneval_first20.jsonl.gz"
    require(source.exists(), f"{source.name} in HARNESS_DATA")
    chaos.write_samples(source, tmp_path / "samples.jsonl", 200)
    found = chaos.under_fire(
        chaos.Job(samples=tmp_path / "samples.jsonl", folder=tmp_path, engine=own_engine, pause=(0.1, 0.6)), 0
    )
    assert found.differences == []
    assert found.left == []
    assert set(found.kills) == set(KILLS)
    assert found.said["cells replaced"] > 0


def test_chaos_sees_a_verdict_that_changed(tmp_path: Path) -> None:
    late = {"task_id": "HumanEval/1", "sample_index": 0, "outcome": "timeout"}
    verdict = {"task_id": "HumanEval/0", "sample_index": 0}
    for name, outcome in (("quiet", "passed"), ("round1", "failed")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps({"outcomes": {outcome: 1}, "seconds": len(name)}))
        changed = {"outcome": outcome, "cpu_seconds": len(name)}
        lines = [verdict | changed, late | {"evidence": {"reason": name}}]
        (tmp_path / name / "verdicts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert chaos.differences(tmp_path / "quiet", tmp_path / "quiet") == []
    assert chaos.differences(tmp_path / "quiet", tmp_path / "round1") == [
        "round1: report outcomes: {'passed': 1} became {'failed': 1}",
        "round1: HumanEval/0[0] outcome: passed became failed",
    ]
    (tmp_path / "round1" / "verdicts.jsonl").write_text("")
    assert "round1: 0 verdicts, not 2" in chaos.differences(tmp_path / "quiet", tmp_path / "round1")


# Disks


@pytest.mark.slow
def test_a_run_whose_disk_is_full_says_so_keeps_what_it_has_and_goes_on(
    kind: str, small_disk: Path, tmp_path: Path, undisturbed: Any
) -> None:
    job = write_job(tmp_path, TASKS, kind)
    assert job.out == small_disk
    said = finished(job, code=3)
    assert "cannot write" in said.splitlines()[-1]
    assert "No space left on device" in said.splitlines()[-1]
    assert "free some room there and run the same command again" in said.splitlines()[-1]
    assert not (job.out / "report.json").exists()
    kept = list(read_lines(job.out / "verdicts.jsonl", Verdict))
    assert 0 < len(kept) < TOTAL
    assert all(verdict.outcome is not Outcome.NOT_JUDGED for verdict in kept)
    resize(small_disk, "10m")
    assert f"going on after {len(kept)} of {TOTAL}" in finished(job)
    assert timeless(job) == undisturbed


@pytest.mark.slow
def test_a_program_that_fills_the_disk_of_its_cell_takes_none_from_the_next(kind: str, tmp_path: Path) -> None:
    fills = "    with open('big', 'wb') as file:\n        while True: file.write(bytes(1 << 20))\n"
    needs = "    return x if open('mine', 'wb').write(bytes(48 << 20)) else None\n"
    job = write_job(tmp_path, 3, kind, {"passed": "    return x\n", "fills": fills, "needs": needs})
    finished(job)
    verdicts, _ = timeless(job)
    assert [verdict["outcome"] for verdict in verdicts] == ["passed", "error", "passed"] * 3


@pytest.mark.slow
def test_expected_values_that_cannot_be_kept_cost_only_time(
    kind: str, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (small_disk / "ballast").write_bytes(bytes(24 << 10))
    monkeypatch.setattr("harness.expected.cache_folder", lambda: small_disk / "cache")
    task = {"task_id": "Own/0", "prompt": "def f(x):\n", "entry_point": "f", "canonical_solution": "    return x\n"}
    task |= {"base_input": [[1]], "plus_input": [[2]], "atol": 0, "contract": ""}
    (tmp_path / "own.jsonl").write_text(json.dumps(task) + "\n")
    config = EvalConfig(tasks=(str(tmp_path / "own.jsonl"),), out=tmp_path / "out", model="canonical", sandbox=kind)
    (report,) = evaluate(config)
    assert report.outcomes["passed"] == 1
    assert "expected values cannot be kept" in caplog.text


# Clocks

STEPPING = """
import itertools, random, sys, time
real, days = time.time, random.Random(0)
time.time = lambda: real() + 86_400 * days.uniform(-1000, 1000)
from harness.cli import run
sys.argv[0] = "harness"
run()
"""


@pytest.mark.slow
def test_a_clock_that_is_set_changes_no_verdict(kind: str, tmp_path: Path, undisturbed: Any) -> None:
    job = write_job(tmp_path, TASKS, kind)
    command = job.command()
    place = command.index("harness.cli")
    stepping = [sys.executable, "-c", STEPPING, *command[place + 1 :]]
    ran = subprocess.run(stepping, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert timeless(job) == undisturbed


def test_nothing_that_is_measured_or_limited_reads_a_clock_that_can_be_set() -> None:
    settable = {
        "time": {"time", "time_ns", "localtime", "gmtime", "CLOCK_REALTIME"},
        "datetime": {"now", "utcnow", "today"},
        "date": {"today"},
    }
    found = set()
    for path in [*ROOT.glob("harness/**/*.py"), *ROOT.glob("sandbox/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
                names = [node.attr]
            elif isinstance(node, ast.ImportFrom):
                owner, names = node.module or "", [name.name for name in node.names]
            else:
                continue
            found |= {(str(path.relative_to(ROOT)), name) for name in names if name in settable.get(owner, ())}
    assert found == {("harness/models/patience.py", "time")}  # a server's "not before" is a date


# Signals


def endless_job(folder: Path, kind: str) -> Job:
    """Return the job with a program in an endless loop before all others."""
    job = write_job(folder, TASKS, kind)
    path = folder / "samples.jsonl"
    path.write_text(json.dumps({"task_id": "Slow/0", "completion": ENDLESS}) + "\n" + path.read_text())
    return replace(job, options=(*job.options, "--cpu-seconds", "1.5"))


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_within_two_seconds_keeps_its_verdicts_and_goes_on(
    kind: str, number: signal.Signals, tmp_path: Path, undisturbed: Any
) -> None:
    job = endless_job(tmp_path, kind)
    with started(job) as process:
        wait_until(lambda: lines_of(job.out / "verdicts.jsonl") >= 5, "five verdicts")
        inside = processes_of(process.pid, kind)
        assert len(inside) >= 2
        start = time.monotonic()
        process.send_signal(number)
        out, said = process.communicate(timeout=20)
    assert time.monotonic() - start < 2
    assert (process.returncode, out) == (130, "")
    assert said.splitlines()[-1] == "interrupted; run the same command again to go on"
    assert "Traceback" not in said
    wait_until(lambda: not any(map(is_running, inside)), "every process of the cells has ended", 2)
    if kind == "docker":
        assert_no_cell_is_left(process.pid)
    kept = lines_of(job.out / "verdicts.jsonl")
    assert kept >= 5
    assert not (job.out / "report.json").exists()
    assert f"going on after {kept} of {TOTAL + 1}" in finished(job)
    verdicts, report = timeless(job)
    assert verdicts[0]["outcome"] == "timeout"
    for place, verdict in enumerate(verdicts[1:4]):
        assert verdict.pop("sample_index") == place + 1
        assert undisturbed[0][place] == verdict | {"sample_index": place}
    assert verdicts[4:] == undisturbed[0][3:]
    assert report["outcomes"] == undisturbed[1]["outcomes"] | {"timeout": 1}


@pytest.mark.alone
@pytest.mark.slow
def test_a_run_that_is_interrupted_while_its_cells_are_made_leaves_none(kind: str, tmp_path: Path) -> None:
    job = write_job(tmp_path, 1, kind)
    with started(job) as process:
        wait_until(lambda: cells_of(process.pid) if kind == "docker" else children(process.pid), "a cell is being made")
        inside = processes_of(process.pid, kind)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert time.monotonic() - start < 2
    assert process.returncode == 130, said
    wait_until(lambda: not any(map(is_running, inside)), "every process of the cells has ended", 2)
    if kind == "docker":
        assert_no_cell_is_left(process.pid)


@pytest.mark.alone
@pytest.mark.slow
def test_tests_that_compute_without_end_do_not_hold_an_interrupted_run_up(kind: str, tmp_path: Path) -> None:
    job = write_job(tmp_path, 1, kind, {"passed": "    return x\n"})
    task = json.loads((tmp_path / "slow.jsonl").read_text())
    task["test"] = "def check(candidate):\n    assert candidate(0) == 0\n    while True: pass\n"
    (tmp_path / "slow.jsonl").write_text(json.dumps(task) + "\n")
    with started(job) as process:
        wait_until(lambda: (job.out / "samples.jsonl").exists() and lines_of(job.out / "samples.jsonl"), "a sample")
        busy = Path(f"/proc/{process.pid}/stat")
        before = sum(map(int, busy.read_text().rpartition(")")[2].split()[11:13]))
        wait_until(
            lambda: sum(map(int, busy.read_text().rpartition(")")[2].split()[11:13])) > before + 30, "it computes"
        )
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert time.monotonic() - start < 2
    assert (process.returncode, said.splitlines()[-1]) == (130, "interrupted; run the same command again to go on")


def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    source = """
import signal, sys, time
from harness.interrupts import Interrupts
with Interrupts().end_soon():
    try:
        print("up", flush=True)
        time.sleep(60)
    finally:
        print("closing", flush=True)
        time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", source], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "closing\n"
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 130
        assert time.monotonic() - start < 1
        assert process.stderr.read() == "interrupted; run the same command again to go on\n"


def test_a_signal_that_is_not_to_be_heard_is_not() -> None:
    source = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from harness.interrupts import Interrupts
with Interrupts().end_soon():
    os.kill(os.getpid(), signal.SIGINT)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
print("whole")
"""
    ran = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "whole\n"), ran.stderr
