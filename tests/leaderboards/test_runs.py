"""Run folders are found and read, and what does not add up is refused with one clear message."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.records import Outcome
from leaderboards.runs import Unusable, find_runs, read_run
from tests.leaderboards.folders import FAILED, PASSED, MakeRun, Texts, outcomes_of

SURROGATE = "lone \ud800 surrogate"


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def edit_line(path: Path, number: int, change: Callable[[dict[str, Any]], object]) -> None:
    lines = path.read_text().splitlines()
    record = json.loads(lines[number])
    change(record)
    lines[number] = json.dumps(record)
    path.write_text("\n".join(lines) + "\n")


def append(path: Path, data: bytes) -> None:
    path.write_bytes(path.read_bytes() + data)


def test_runs_are_found_at_and_below_a_folder_and_once_each(make_run: MakeRun, tmp_path: Path) -> None:
    one = make_run("a/humaneval", outcomes_of("10"))
    two = make_run("b", outcomes_of("11"))
    (tmp_path / "runs" / ".hidden").mkdir()
    (tmp_path / "runs" / ".hidden" / "run.json").write_text("{}")
    assert find_runs([tmp_path / "runs", one]) == ([one, two], [])


def test_an_unfinished_run_is_left_out_of_a_folder_and_refused_by_name(make_run: MakeRun, tmp_path: Path) -> None:
    done = make_run("done", outcomes_of("10"))
    running = make_run("running", outcomes_of("10"))
    (running / "report.json").unlink()
    assert find_runs([tmp_path / "runs"]) == ([done], [running])
    with pytest.raises(Unusable, match="not finished"):
        find_runs([running])


@pytest.mark.parametrize("name", ["nothing", "file"])
def test_what_holds_no_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(Unusable):
        find_runs([tmp_path / name])
    with pytest.raises(Unusable, match="no such folder"):
        find_runs([tmp_path / "missing"])


def test_counts_come_from_the_verdicts(make_run: MakeRun) -> None:
    outcomes = [[PASSED, FAILED], [FAILED, Outcome.TIMEOUT], [PASSED, PASSED], [Outcome.NOT_JUDGED, PASSED]]
    run = read_run(make_run("run", outcomes, base=[[True, True], [True, False], [True, True], [False, True]]))
    assert run.judged == (2, 2, 2, 1)
    assert run.passed == (1, 0, 2, 1)
    assert run.base == (2, 1, 2, 1)
    assert run.worst == (FAILED, FAILED, PASSED, Outcome.NOT_JUDGED)
    assert not run.is_complete


@pytest.mark.parametrize(
    ("stated", "number"),
    [("16.1B", 16.1e9), ("350M", 350e6), ("1300000000", 1.3e9), ("big", None), ("nan", None), ("-1", None), ("", None)],
)
def test_parameters_are_read_where_they_are_a_number(make_run: MakeRun, stated: str, number: float | None) -> None:
    run = read_run(make_run("run", outcomes_of("1"), runtime={"parameters": stated}))
    assert run.parameters == (None if number is None else pytest.approx(number))


def test_lone_surrogates_are_read(make_run: MakeRun) -> None:
    run = read_run(make_run("run", outcomes_of("01"), Texts(task="T/" + SURROGATE + "{}", program=SURROGATE)))
    assert run.passed == (0, 1)


Damage = Callable[[Path], object]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "no verdicts": (lambda run: (run / "verdicts.jsonl").unlink(), "is not there"),
    "not JSON": (lambda run: (run / "report.json").write_text("{"), "not a Report"),
    "not an object": (lambda run: (run / "run.json").write_text("[]"), "not a RunConfig"),
    "too deep": (lambda run: (run / "run.json").write_text("[" * 200_000), "not a RunConfig"),
    "not UTF-8": (lambda run: (run / "run.json").write_bytes(b'{"\xff'), "not a RunConfig"),
    "a torn line": (lambda run: append(run / "verdicts.jsonl", b'{"task_id"'), "verdicts.jsonl:5"),
    "a line of rubbish": (lambda run: append(run / "verdicts.jsonl", b"\x00\xff\n"), "verdicts.jsonl:5"),
    "a second verdict": (
        lambda run: edit_line(run / "verdicts.jsonl", 1, lambda one: one.update(task_id="HumanEval/0")),
        "second verdict",
    ),
    "an unknown task": (
        lambda run: edit_line(run / "verdicts.jsonl", 1, lambda one: one.update(task_id="../../etc")),
        "does not list",
    ),
    "a false pass": (
        lambda run: edit_line(run / "verdicts.jsonl", 0, lambda one: one.update(passed=True)),
        "passed is True",
    ),
    "a better score": (
        lambda run: edit(run / "report.json", lambda one: one["pass_at_k"]["1"].update(value=0.9, high=0.95)),
        "the verdicts say 0.5",
    ),
    "a score beside its interval": (
        lambda run: edit(run / "report.json", lambda one: one["pass_at_k"]["1"].update(high=0.4)),
        "no score",
    ),
    "a score that is no number": (
        lambda run: edit(run / "report.json", lambda one: one["pass_at_k"]["1"].update(value=float("nan"))),
        "no score",
    ),
    "a k that is none": (
        lambda run: edit(run / "report.json", lambda one: one["pass_at_k"].update({"x": one["pass_at_k"]["1"]})),
        "pass@x",
    ),
    "a k beyond the samples": (
        lambda run: edit(run / "report.json", lambda one: one["pass_at_k"].update({"10": one["pass_at_k"]["1"]})),
        "pass@10",
    ),
    "no pass@1": (lambda run: edit(run / "report.json", lambda one: one.update(pass_at_k={})), "no pass@1"),
    "a metric beyond 1": (
        lambda run: edit(run / "report.json", lambda one: one.update(metrics={"x": {"value": 2, "low": 1, "high": 3}})),
        "x is no share",
    ),
    "too many tiers": (
        lambda run: edit(
            run / "report.json",
            lambda one: one.update(
                tiers=[{"tier": "t", "tasks": 1, "pass_at_1": one["pass_at_k"]["1"], "weak": False}] * 41
            ),
        ),
        "more than 40",
    ),
    "other counts": (
        lambda run: edit(run / "report.json", lambda one: one["outcomes"].update(passed=3, failed=1)),
        "counts",
    ),
    "hardcoded answers that nobody counts": (
        lambda run: edit_line(run / "verdicts.jsonl", 1, lambda one: one.update(hardcoded=True)),
        "counts",
    ),
    "a flaky verdict that is none": (lambda run: edit(run / "report.json", lambda one: one.update(flaky=1)), "counts"),
    "a loss of samples that passed": (
        lambda run: edit(run / "report.json", lambda one: one.update(extraction_loss={"samples": 3})),
        "more samples are lost",
    ),
    "too many rules": (
        lambda run: edit(
            run / "report.json",
            lambda one: one.update(extraction_loss={"samples": 0, "by_rule": {str(n): 0 for n in range(41)}}),
        ),
        "more than 40",
    ),
    "an outcome of its own": (
        lambda run: edit(run / "report.json", lambda one: one["outcomes"].update(splendid=0, passed=2)),
        "",
    ),
    "another model": (lambda run: edit(run / "report.json", lambda one: one.update(model="x")), "different model"),
    "other tasks": (lambda run: edit(run / "report.json", lambda one: one.update(tasks=9)), "has 9 tasks"),
    "negative seconds": (lambda run: edit(run / "report.json", lambda one: one.update(seconds=-1)), "seconds"),
    "a task twice": (lambda run: edit(run / "run.json", lambda one: one["task_ids"].append("HumanEval/0")), "twice"),
    "a pipe": (
        lambda run: ((run / "verdicts.jsonl").unlink(), os.mkfifo(run / "verdicts.jsonl")),
        "not a plain file",
    ),
    "a folder": (lambda run: ((run / "report.json").unlink(), (run / "report.json").mkdir()), "not a plain file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_refused(make_run: MakeRun, damage: str) -> None:
    run = make_run("run", outcomes_of("0101"))
    read_run(run)
    change, message = DAMAGES[damage]
    change(run)
    if not message:  # a name that counts nothing changes nothing
        assert read_run(run).passed == (0, 1, 0, 1)
        return
    with pytest.raises(Unusable) as refused:
        read_run(run)
    assert message in str(refused.value.message)
    assert refused.value.message.isprintable()


def test_a_run_without_a_judged_sample_is_refused(make_run: MakeRun) -> None:
    run = make_run("run", [[Outcome.NOT_JUDGED]])
    with pytest.raises(Unusable, match="none of its samples is judged"):
        read_run(run)


def test_the_base_score_must_be_that_of_the_verdicts_too(make_run: MakeRun) -> None:
    run = make_run("run", outcomes_of("01"), base=[[True], [True]])
    edit(run / "report.json", lambda one: one["base_pass_at_k"].update({"1": one["pass_at_k"]["1"]}))
    with pytest.raises(Unusable, match=r"the verdicts say 1\.0"):
        read_run(run)
