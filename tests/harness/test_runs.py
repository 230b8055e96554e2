"""Run folders and baseline files as others read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from made_runs import baseline, tasks, write_run

import harness
from harness import Decoding, EvalConfig, evaluate, load_benchmark, load_run
from harness.cli import main
from harness.errors import UsageError
from harness.runs import find_runs, load_baselines, write_baseline

CASES = {"a": [True], "b": [False], "c": [True], 'with \u2603 and "quotes", [1,\n 2]': [True]}


def test_a_baseline_file_gives_back_what_was_written(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {**CASES, "n": [True, False, True]}, tiers={"a": "easy", "c": "hard"})
    written = load_baselines(run)
    write_baseline(written, tmp_path / "baseline.json")
    assert load_baselines(tmp_path / "baseline.json") == written
    assert written[0].counts["n"] == (3, 2)
    assert written[0].tiers == {"a": "easy", "c": "hard"}


def test_a_baseline_file_has_a_line_a_task_and_is_the_same_each_time(tmp_path: Path) -> None:
    first, second = baseline(tasks(3, 1)), baseline(dict(reversed(tasks(3, 1).items())))
    write_baseline([first], tmp_path / "first.json")
    write_baseline([second], tmp_path / "second.json")
    text = (tmp_path / "first.json").read_text()
    assert '   "T/0": [1, 1],\n   "T/1": [1, 1],\n   "T/2": [1, 1],\n   "T/3": [1, 0]\n' in text
    assert (tmp_path / "second.json").read_text() == text


def test_baseline_of_a_folder_of_runs_holds_every_benchmark(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "one", tasks(2), benchmark="one")
    write_run(tmp_path / "runs" / "two", tasks(2), benchmark="two")
    ran = CliRunner().invoke(main, ["baseline", str(tmp_path / "runs"), "--out", str(tmp_path / "b.json")])
    assert ran.exit_code == 0, ran.output
    assert [one.benchmark for one in load_baselines(tmp_path / "b.json")] == ["one", "two"]


@pytest.mark.parametrize(
    ("passes", "stopped_early", "reason"),
    [(tasks(3), True, "stopped early"), ({"a": [True, None]}, False, "1 samples that were not judged")],
)
def test_what_is_not_a_whole_measurement_is_no_baseline(
    tmp_path: Path, passes: Any, stopped_early: bool, reason: str
) -> None:
    run = write_run(tmp_path / "run", passes, stopped_early)
    with pytest.raises(UsageError, match=reason):
        write_baseline(load_baselines(run), tmp_path / "baseline.json")
    assert not (tmp_path / "baseline.json").exists()


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    one = {
        "benchmark": "toy",
        "model": "m",
        "dataset_digest": "d",
        "protocol": "p",
        "counts": {"a": [1, 1]},
        "format": 1,
    }
    change(one)
    return json.dumps([one]).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not a baseline file"),
        (b"\xff\xfe", "is not a baseline file"),
        (b"{}", "is not a baseline file"),
        (b"[" * 100_000, "is not a baseline file"),
        (b"[]", "no baseline of format 1"),
        (changed(lambda one: one.pop("counts")), "missing required field `counts`"),
        (changed(lambda one: one.update(counts={"a": [1]})), "is not a baseline file"),
        (changed(lambda one: one.update(counts={"a": ["1", "1"]})), "is not a baseline file"),
        (changed(lambda one: one.update(counts={"a": [1, 2]})), "more passed than judged"),
        (changed(lambda one: one.update(counts={"a": [-1, -1]})), "more passed than judged"),
        (changed(lambda one: one.update(format=2)), "no baseline of format 1"),
    ],
)
def test_a_malformed_baseline_is_one_message(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=reason) as caught:
        load_baselines(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_baselines_of_a_benchmark_are_refused(tmp_path: Path) -> None:
    one = json.loads(changed(lambda one: None))[0]
    (tmp_path / "b.json").write_text(json.dumps([one, {**one, "model": "other"}]))
    with pytest.raises(UsageError, match="two runs of 'toy': of 'm' and of 'other'"):
        load_baselines(tmp_path / "b.json")


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "not there"):
        with pytest.raises(UsageError, match="neither a run folder"):
            load_baselines(path)
    with pytest.raises(UsageError, match="folder of a finished run"):
        load_run(tmp_path / "empty")


def test_runs_are_found_at_and_below_a_folder(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_run(tmp_path / name, tasks(1))
    (tmp_path / "c").mkdir()
    assert find_runs(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert find_runs(str(tmp_path / "a")) == [tmp_path / "a"]
    assert find_runs(tmp_path / "c") == find_runs(tmp_path / "nowhere") == []


def test_a_frame_has_a_row_for_every_verdict(tmp_path: Path, require: Any) -> None:
    require(find_spec("pandas"), "pandas")
    run = harness.load_run(write_run(tmp_path / "run", {"a": [True, False], "b": [None]}, tiers={"a": "easy"}))
    frame = run.to_frame()
    assert frame[["benchmark", "model", "task_id", "sample_index"]].values.tolist() == [
        ["toy", "student", "a", 0],
        ["toy", "student", "a", 1],
        ["toy", "student", "b", 0],
    ]
    assert frame["outcome"].astype(str).tolist() == ["passed", "failed", "not_judged"]
    assert frame["passed"].tolist() == [True, False, False]
    assert frame["tier"].tolist()[:2] == ["easy", "easy"]
    assert frame["tier"].isna().tolist() == [False, False, True]
    assert frame["evidence_reason"].tolist() == ["", "made up", "made up"]
    assert {"cpu_seconds", "wall_seconds", "peak_memory_bytes", "tests_run", "evidence_call"} <= set(frame.columns)


def test_public_names_come_when_they_are_asked_for() -> None:
    assert harness.load_run is load_run
    with pytest.raises(AttributeError, match="no attribute 'load_runs'"):
        _ = harness.load_runs  # type: ignore[attr-defined]


def test_a_finished_run_gives_back_its_tasks_samples_verdicts_and_report(tmp_path: Path) -> None:
    asked = EvalConfig(tasks=("tinypy-execution",), out=tmp_path, model="canonical", limit=3, decoding=Decoding(seed=5))
    (report,) = evaluate(asked)
    run = load_run(tmp_path)
    tasks = run.tasks()
    assert tasks == load_benchmark("tinypy-execution").tasks[:3]
    assert run.report == report
    keys = [(task.task_id, 0) for task in tasks]
    assert [(one.task_id, one.sample_index) for one in run.samples()] == keys
    assert [(one.task_id, one.sample_index) for one in run.verdicts()] == keys
    assert [one.program for one in run.samples()] == [task.reference for task in tasks]


def test_tasks_of_a_run_whose_benchmark_has_changed_are_refused(tmp_path: Path) -> None:
    evaluate(EvalConfig(tasks=("tinypy-execution",), out=tmp_path, model="canonical", limit=1))
    config = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**config, "dataset_digest": "0" * 64}))
    with pytest.raises(UsageError, match=r"has digest .*, the run's had 000000000000"):
        load_run(tmp_path).tasks()
    (tmp_path / "run.json").write_text(json.dumps({**config, "task_ids": ["Other/1"]}))
    with pytest.raises(UsageError, match=r"Other/1.* is no task of"):
        load_run(tmp_path).tasks()
