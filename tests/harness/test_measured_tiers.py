"""Tiers from earlier runs and from ratings: what ranks tasks, what is refused, and how runs use them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from made_runs import write_run

from harness import (
    Half,
    Rating,
    Task,
    halves,
    load_benchmark,
    load_run,
    read_ratings,
    read_tiers,
    tiers_from_ratings,
    tiers_from_runs,
    write_tiers,
)
from harness.cli import main
from harness.errors import StoreMismatch, UsageError
from harness.measured_tiers import _cuts
from harness.records import Benchmark, CheckTests
from harness.scores import TierKind
from harness.store import read_config, read_report

DIGEST = "d" * 64  # that of made-up runs


def toy(tasks: int) -> Benchmark:
    """Return a benchmark of tasks T/0, T/1, ..., as made-up runs have."""
    made = tuple(
        Task(
            task_id=f"T/{n}", prompt="", entry_point="f", reference="", tests=CheckTests(source="", remote_names=("f",))
        )
        for n in range(tasks)
    )
    return Benchmark(name="toy", tasks=made, digest=DIGEST, source="made up")


def passes(failed: Sequence[int], judged: int = 10) -> dict[str, list[bool | None]]:
    return {f"T/{n}": [place >= count for place in range(judged)] for n, count in enumerate(failed)}


def tiers_of(*runs: Path, tasks: int) -> dict[str, str]:
    return tiers_from_runs(toy(tasks), [load_run(run) for run in runs]).by_task()


def harness(*words: object) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


def refused(*words: object) -> str:
    """Return the message of a command that is refused with exit code 2."""
    ran = harness(*words)
    assert isinstance(ran.exception, UsageError), ran.output
    assert ran.exception.exit_code == 2
    assert "\n" not in str(ran.exception)
    return str(ran.exception)


# From runs


def test_tasks_that_fail_more_are_harder(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", passes([0, 9, 4, 1, 10, 5]))
    found = tiers_from_runs(toy(6), [load_run(run)])
    assert [one.tier for one in found.tasks] == ["easy", "hard", "medium", "easy", "hard", "medium"]
    assert [one.pass_rate for one in found.tasks][:2] == [1.0, pytest.approx(0.1)]
    assert [one.evidence for one in found.tasks] == [10] * 6
    assert found.source.kind is TierKind.RUNS
    assert found.source.settings["samples"] == "60"
    assert found.source.settings["cut"] == "tertiles"
    assert len(found.source.digest) == 64


def test_the_rates_are_those_of_the_formula(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", passes([0, 1, 3, 4], judged=4))
    found = tiers_from_runs(toy(4), [load_run(run)])  # worked out in test_shrinkage
    assert [one.hardness for one in found.tasks] == pytest.approx([1 / 30, 4 / 15, 11 / 15, 29 / 30])
    assert (found.source.settings["prior_mean"], found.source.settings["prior_samples"]) == ("0.5000", "0.2857")
    assert found.source.settings["reliability"] == "0.9333"  # 4 / (4 + 2/7)


def test_a_task_with_one_unlucky_sample_is_not_hard(tmp_path: Path) -> None:
    cases: dict[str, list[bool | None]] = passes([5, 6, 7, 8, 9, 11, 12, 13, 14, 15], judged=20)
    cases["T/10"] = [False] + [None] * 19  # failed once; the machine's failures count nowhere
    found = tiers_from_runs(toy(11), [load_run(write_run(tmp_path / "run", cases))])
    unlucky = found.tasks[10]
    assert (unlucky.evidence, unlucky.pass_rate) == (1, 0.0)
    assert unlucky.tier == "medium"
    assert found.tasks[9].tier == "hard"
    assert unlucky.hardness is not None
    assert found.tasks[9].hardness is not None
    assert unlucky.hardness < found.tasks[9].hardness  # 15 of 20 failures say more than 1 of 1


def test_tasks_without_samples_count_as_the_mean_task(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {**passes([0, 0, 5, 5, 10, 10]), "T/6": [None]})
    found = tiers_from_runs(toy(8), [load_run(run)])
    assert [one.tier for one in found.tasks[6:]] == ["medium", "medium"]
    assert [one.evidence for one in found.tasks[6:]] == [0, 0]
    assert [one.pass_rate for one in found.tasks[6:]] == [None, None]
    assert found.tasks[7].hardness == pytest.approx(0.5)
    assert found.source.settings["tasks_without_samples"] == "2"


def test_samples_of_several_runs_are_put_together(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", {f"T/{n}": [n < 3] for n in range(4)}, model="student")
    two = write_run(tmp_path / "two", {f"T/{n}": [n < 1] for n in range(4)}, model="teacher")
    found = tiers_from_runs(toy(4), [load_run(one), load_run(two)])
    assert [one.evidence for one in found.tasks] == [2, 2, 2, 2]
    assert [one.tier for one in found.tasks] == ["easy", "medium", "medium", "hard"]
    assert found.source.settings["runs"].startswith("student (")
    assert "teacher (" in found.source.settings["runs"]
    again = tiers_from_runs(toy(4), [load_run(one), load_run(two)])
    assert again.source.digest == found.source.digest
    assert tiers_from_runs(toy(4), [load_run(two), load_run(one)]).by_task() == found.by_task()


def test_thresholds_are_failure_rates(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", passes([0, 9, 4, 1, 10, 5])))
    found = tiers_from_runs(toy(6), [run], thresholds=(0.3, 0.95))
    assert [one.tier for one in found.tasks] == ["easy", "medium", "medium", "easy", "hard", "medium"]
    assert found.source.settings["cut"] == "thresholds 0.3 and 0.95"
    with pytest.raises(UsageError, match="smaller"):
        tiers_from_runs(toy(6), [run], thresholds=(0.9, 0.1))


@pytest.mark.parametrize(
    ("changes", "needle"),
    [
        ({"benchmark": "humaneval"}, "is a run of 'humaneval'.*leave it out"),
        ({"dataset_digest": "e" * 64}, r"data eeeeeeeeeeee\), not of 'toy' \(data dddddddddddd\): leave it out"),
        ({"task_ids": ("T/0", "T/1", "T/2", "T/3"), "model": "b"}, "of different tasks.*evaluate both on the same"),
        ({}, "drawn alike.*another --seed"),
        ({"model": "b", "stopped_early": True}, "was stopped early: leave it out"),
    ],
)
def test_runs_that_do_not_fit_are_refused(tmp_path: Path, changes: Mapping[str, Any], needle: str) -> None:
    first = write_run(tmp_path / "first", passes([0, 5, 10]))
    failed = [0, 5, 10, 3][: len(changes.get("task_ids", "123"))]
    second = write_run(tmp_path / "second", passes(failed), **changes)
    with pytest.raises(UsageError, match=needle) as caught:
        tiers_of(first, second, tasks=4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cases", "needle"),
    [
        (passes([0, 1, 1], judged=1), "no task has two samples.*-n 10"),
        (passes([0, 0, 0]), "no more than by luck.*-n 10"),
        (passes([5, 5, 5]), "no more than by luck"),
    ],
)
def test_runs_that_rank_nothing_are_refused(tmp_path: Path, cases: Any, needle: str) -> None:
    with pytest.raises(UsageError, match=needle):
        tiers_of(write_run(tmp_path / "run", cases), tasks=3)
    with pytest.raises(UsageError, match="at least one"):
        tiers_of(tasks=3)


# Cuts


@pytest.mark.parametrize(
    ("values", "sizes"),
    [
        ([1, 2, 3, 4, 5, 6], (2, 2, 2)),
        ([1, 1, 1, 1, 2, 3], (4, 1, 1)),  # equal tasks stay together
        ([1, 2, 2, 2, 2, 3], (1, 4, 1)),
        ([0] * 7 + [1] * 3, (7, 0, 3)),  # two values: none is medium
        ([0] * 1 + [1] * 9, (1, 0, 9)),
        ([0] * 9 + [1, 2, 3], (9, 1, 2)),
        ([0, 1, 2] + [3] * 9, (2, 1, 9)),
    ],
)
def test_equal_tasks_share_a_tier(values: list[float], sizes: tuple[int, int, int]) -> None:
    low, high = _cuts(values, "these")
    assert (
        sum(value < low for value in values),
        sum(low <= value < high for value in values),
        sum(value >= high for value in values),
    ) == sizes


def test_values_that_are_all_equal_make_no_tiers() -> None:
    with pytest.raises(UsageError, match="equally hard"):
        _cuts([2.0, 2.0], "these ratings")


# From ratings


def rated(*numbers: float) -> list[Rating]:
    return [Rating(task_id=f"T/{n}", rating=number) for n, number in enumerate(numbers)]


def test_higher_ratings_are_harder_and_several_are_averaged() -> None:
    found = tiers_from_ratings(toy(3), [*rated(3, 1, 1), Rating(task_id="T/2", rating=4)], rated_by="teacher-7b")
    assert [(one.tier, one.hardness, one.evidence) for one in found.tasks] == [
        ("hard", 3.0, 1),
        ("easy", 1.0, 1),
        ("medium", 2.5, 2),
    ]
    assert found.source.kind is TierKind.RATINGS
    assert found.source.settings == {"cut": "tertiles", "ratings": "4", "rated_by": "teacher-7b"}
    assert tiers_from_ratings(toy(3), rated(1, 2, 3), (2, 3)).source.settings["cut"] == "thresholds 2 and 3"


def test_the_digest_is_of_the_ratings_in_any_order() -> None:
    one, two = tiers_from_ratings(toy(3), rated(1, 2, 3)), tiers_from_ratings(toy(3), rated(1, 2, 3)[::-1])
    assert one == two
    assert tiers_from_ratings(toy(3), rated(1, 2, 4)).source.digest != one.source.digest


@pytest.mark.parametrize(
    ("ratings", "needle"),
    [
        (rated(1, 2), "1 of 3 tasks of toy are not rated, e.g. 'T/2'"),
        (rated(1, 2, 3, 4), "'T/3', which is no task of toy"),
        (rated(1, 2, float("nan")), "finite"),
        (rated(2, 2, 2), "equally hard"),
    ],
)
def test_ratings_that_do_not_fit_are_refused(ratings: list[Rating], needle: str) -> None:
    with pytest.raises(UsageError, match=needle):
        tiers_from_ratings(toy(3), ratings)


@pytest.mark.parametrize(
    ("line", "needle"),
    [
        ("{", r"r.jsonl:2: not a rating"),
        ("[]", r"r.jsonl:2: not a rating"),
        ('{"task_id": "T/0"}', "missing required field `rating`"),
        ('{"task_id": "T/0", "rating": "hard"}', "not a rating"),
        ('{"task_id": "T/0", "rating": true}', "not a rating"),
        ("[" * 100_000, "not a rating"),
    ],
)
def test_a_malformed_rating_names_file_and_line(tmp_path: Path, line: str, needle: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"task_id": "T/0", "rating": 1, "why": "short"}\n' + line + "\n\n")
    with pytest.raises(UsageError, match=needle):
        read_ratings(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_ratings(tmp_path / "none.jsonl")


# Files


def test_tiers_are_read_as_they_were_written(tmp_path: Path) -> None:
    tiers = tiers_from_ratings(toy(3), rated(1, 2, 3), rated_by="\u2603")
    write_tiers(tiers, tmp_path / "deep" / "tiers.json")
    assert read_tiers(tmp_path / "deep" / "tiers.json", toy(3)) == tiers
    text = (tmp_path / "deep" / "tiers.json").read_text()
    assert sum(line.startswith('  {"task_id"') for line in text.splitlines()) == 3  # a task a line
    assert json.loads(text)["source"]["kind"] == "ratings"


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        ({"benchmark": "other"}, "has the tiers of 'other'"),
        ({"dataset_digest": "e" * 64}, "not of 'toy'"),
        ({"format": 2}, "format 1"),
        ({"tasks": [{"task_id": "T/0", "tier": "easy"}] * 3}, "does not name each task of toy once"),
        ({"tasks": [{"task_id": "T/0", "tier": ""}]}, "format 1"),
        ({"tasks": 3}, "is not a file of tiers"),
        ({"source": {"kind": "guess"}}, "is not a file of tiers"),
    ],
)
def test_a_file_of_other_tiers_is_refused_with_the_command_to_type(
    tmp_path: Path, change: Mapping[str, Any], needle: str
) -> None:
    path = tmp_path / "tiers.json"
    write_tiers(tiers_from_ratings(toy(3), rated(1, 2, 3)), path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UsageError, match=needle) as caught:
        read_tiers(path, toy(3))
    assert str(caught.value).endswith(f"write it with `harness tiers toy --out {path}`")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b"3"])
def test_what_is_no_file_of_tiers_is_one_message(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tiers.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is not a file of tiers") as caught:
        read_tiers(path, toy(3))
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="No such file"):
        read_tiers(tmp_path / "none.json", toy(3))


# From the command line


@pytest.fixture(scope="module")
def tinypy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with samples of tinypy-execution, of which every second is right, and ratings of its tasks."""
    folder = tmp_path_factory.mktemp("tinypy")
    with (folder / "samples.jsonl").open("w") as samples, (folder / "ratings.jsonl").open("w") as ratings:
        for n, task in enumerate(load_benchmark("tinypy-execution").tasks):
            answer = task.reference.removeprefix(task.prompt) if n % 2 else "0.5"
            samples.write(json.dumps({"task_id": task.task_id, "completion": answer}) + "\n")
            ratings.write(json.dumps({"task_id": task.task_id, "rating": n % 7}) + "\n")
    return folder


def evaluated(folder: Path, out: Path, *more: object) -> Result:
    ran = harness("eval", "--samples", folder / "samples.jsonl", "--tasks", "tinypy-execution", "--out", out, *more)
    assert ran.exit_code == 0, ran.output
    return ran


def test_ratings_become_the_tiers_of_a_run_and_are_recorded(tinypy: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "tiers.json", tmp_path / "run"
    made = harness("tiers", "tinypy-execution", "--ratings", tinypy / "ratings.jsonl", "--out", file)
    assert made.exit_code == 0, made.output
    assert made.stdout.splitlines()[0].split() == ["task", "tier", "rating", "ratings"]
    printed = evaluated(tinypy, run, "--tiers", file).stdout
    assert "tiers by ratings (ratings.jsonl; tertiles); weak: interval wholly below the pass rate" in printed
    config, report = read_config(run), read_report(run)
    assert report.tier_source == config.tier_source
    assert (report.tier_source.kind, report.tier_source.settings["ratings"]) == ("ratings", "1400")
    assert [(one.tier, one.tasks) for one in report.tiers] == [("easy", 400), ("medium", 600), ("hard", 400)]
    assert len(config.tiers_digest) == 64
    assert harness("show", run, "--failures", "0").stdout == printed


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_tiers_or_another_rule(tinypy: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "tiers.json", tmp_path / "run"
    assert harness("tiers", "tinypy-execution", "--out", file, "--thresholds", 1, 9).exit_code == 0
    evaluated(tinypy, run)
    before = (run / "run.json").read_bytes(), (run / "report.json").read_bytes()
    for options, field in ((("--tiers", file), "tiers_digest"), (("--weak-below", "0.9"), "weak_rule")):
        ran = harness(
            *("eval", "--samples", tinypy / "samples.jsonl", "--tasks", "tinypy-execution", "--out", run, *options)
        )
        assert isinstance(ran.exception, StoreMismatch)
        assert f"{field} was " in str(ran.exception)
    assert ((run / "run.json").read_bytes(), (run / "report.json").read_bytes()) == before
    evaluated(tinypy, run)


@pytest.mark.slow
def test_a_run_from_before_tiers_could_be_chosen_goes_on(tinypy: Path, tmp_path: Path) -> None:
    evaluated(tinypy, tmp_path)
    config = json.loads((tmp_path / "run.json").read_text())
    for name in ("tiers_digest", "tier_source", "weak_rule", "weak_rates"):
        del config[name]
    (tmp_path / "run.json").write_text(json.dumps(config))
    evaluated(tinypy, tmp_path)
    assert read_config(tmp_path).tier_source.settings["cut"] == "thresholds 2 and 4"


@pytest.mark.slow
def test_earlier_runs_that_differ_as_by_luck_are_refused(tinypy: Path, tmp_path: Path) -> None:
    evaluated(tinypy, tmp_path / "half")
    whole = ("eval", "--model", "canonical", "--tasks", "tinypy-execution", "--out", tmp_path / "whole")
    assert harness(*whole).exit_code == 0
    runs = ("--from-runs", tmp_path / "half", "--from-runs", tmp_path / "whole")
    assert "no more than by luck" in refused("tiers", "tinypy-execution", *runs)  # 1 of 2 half the time, else 2 of 2


def test_earlier_runs_with_several_samples_become_tiers(tmp_path: Path) -> None:
    benchmark = load_benchmark("ladder")
    cases = {task.task_id: [n % 4 > place for place in range(3)] for n, task in enumerate(benchmark.tasks)}
    run = write_run(tmp_path / "run", cases, benchmark="ladder", dataset_digest=benchmark.digest)
    ran = harness("tiers", "ladder", "--from-runs", run, "--out", tmp_path / "t.json", "--json")
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert [one["tier"] for one in found[:4]] == ["hard", "medium", "medium", "easy"]
    assert found[0]["evidence"] == 3
    assert read_tiers(tmp_path / "t.json", benchmark).source.settings["samples"] == "720"
    table = harness("tiers", "ladder", "--from-runs", run).stdout.splitlines()
    assert table[0].split() == ["task", "tier", "failure", "rate", "pass", "rate", "samples"]


def test_a_tiers_command_with_two_sources_or_unused_options_is_refused(tinypy: Path, tmp_path: Path) -> None:
    ratings = tinypy / "ratings.jsonl"
    assert "one source" in refused("tiers", "ladder", "--ratings", ratings, "--from-runs", tmp_path)
    assert "one source" in refused("tiers", "ladder", "--ratings", ratings, "--halstead", "radon")
    assert "no task of ladder" in refused("tiers", "ladder", "--ratings", ratings)
    assert "folder of a finished run" in refused("tiers", "ladder", "--from-runs", tmp_path)


def test_little_evidence_is_pointed_out(tmp_path: Path) -> None:
    benchmark = load_benchmark("ladder")
    ids = [task.task_id for task in benchmark.tasks[:-3]]
    cases = {task: [n % 3 > 0, n % 5 > 1] for n, task in enumerate(ids)}
    cases |= {task: [True, True] for task in ids[:60]}
    run = write_run(tmp_path / "run", cases, benchmark="ladder", dataset_digest=benchmark.digest)
    ran = harness("tiers", "ladder", "--from-runs", run)
    assert ran.exit_code == 0, ran.output
    assert "3 tasks have no judged sample in these runs and count as the mean task" in ran.stderr
    assert "of the spread of these rates is difficulty, the rest is luck" in ran.stderr


# The weak rule of a run


def test_a_target_is_recorded_and_decides(tinypy: Path, tmp_path: Path) -> None:
    printed = evaluated(tinypy, tmp_path, "--weak-below", "0.7").stdout
    report = read_report(tmp_path)
    assert report.weak_rule == read_config(tmp_path).weak_rule
    assert (report.weak_rule.kind, report.weak_rule.target) == ("below_target", 0.7)
    assert all(tier.weak and tier.tune and tier.tune.weak for tier in report.tiers)
    assert "weak: interval wholly below 70.0%" in printed
    assert report.tune is not None
    assert report.tune.weak


@pytest.mark.slow
def test_a_baseline_is_recorded_and_decides(tinypy: Path, tmp_path: Path) -> None:
    evaluated(tinypy, tmp_path / "first")
    printed = evaluated(tinypy, tmp_path / "same", "--weak-baseline", tmp_path / "first").stdout
    assert "weak: interval of the paired difference to samples.jsonl wholly below zero" in printed
    assert not any(tier.weak for tier in read_report(tmp_path / "same").tiers)  # however low they are
    folder = tmp_path / "worse"
    folder.mkdir()
    lines = (tinypy / "samples.jsonl").read_text().splitlines()
    worse = [json.dumps({**json.loads(line), "completion": "0.5"}) for line in lines[:700]]
    (folder / "samples.jsonl").write_text("\n".join([*worse, *lines[700:]]) + "\n")
    assert harness("baseline", tmp_path / "first", "--out", tmp_path / "baseline.json").exit_code == 0
    evaluated(folder, folder / "run", "--weak-baseline", tmp_path / "baseline.json")
    report, config = read_report(folder / "run"), read_config(folder / "run")
    assert any(tier.weak for tier in report.tiers)
    assert (report.weak_rule.kind, report.weak_rule.baseline) == ("below_baseline", "samples.jsonl")
    assert len(report.weak_rule.digest) == 64
    assert len(config.weak_rates) == 1400


@pytest.mark.slow
def test_rules_that_do_not_fit_are_refused_before_anything_runs(tinypy: Path, tmp_path: Path) -> None:
    evaluated(tinypy, tmp_path / "first")
    asked = ("eval", "--model", "canonical", "--tasks", "tinypy-execution", "--out", tmp_path / "run")
    first = tmp_path / "first"
    assert "one rule" in refused(*asked, "--weak-below", 0.5, "--weak-baseline", first)
    assert "--weak-below 70: a pass rate" in refused(*asked, "--weak-below", 70)
    assert "its protocol is samples, this run's canonical" in refused(*asked, "--weak-baseline", first)
    other = write_run(tmp_path / "other", passes([1]))
    assert "no baseline for 'tinypy-execution'" in refused(*asked, "--weak-baseline", other)
    digest = load_benchmark("tinypy-execution").digest
    names = {"benchmark": "tinypy-execution", "protocol": "canonical", "dataset_digest": digest}
    early = write_run(tmp_path / "early", passes([1]), stopped_early=True, **names)
    assert "it was stopped early. Name a whole run" in refused(*asked, "--weak-baseline", early)
    unjudged = write_run(tmp_path / "unjudged", {"T/0": [None]}, **names)
    assert "1 of its samples were not judged" in refused(*asked, "--weak-baseline", unjudged)
    several = ("eval", "--model", "canonical", "--tasks", "tinypy-execution,ladder", "--out", tmp_path / "run")
    assert "belongs to one benchmark" in refused(*several, "--tiers", tmp_path / "tiers.json")
    assert not (tmp_path / "run").exists()


# Halves and old runs


def test_a_run_gives_the_verdicts_of_one_half(tmp_path: Path) -> None:
    tiers = {f"T/{n}": "easy" for n in range(9)}
    run = load_run(write_run(tmp_path, passes([1] * 9, judged=2), tiers=tiers))
    tune = [verdict.task_id for verdict in run.verdicts(Half.TUNE)]
    held_back = [verdict.task_id for verdict in run.verdicts(Half.HELD_BACK)]
    assert (len(tune), len(held_back)) == (8, 10)
    assert {halves(tiers)[task] for task in tune} == {Half.TUNE}
    assert sorted([*tune, *held_back]) == sorted(verdict.task_id for verdict in run.verdicts())
    assert run.report.tune is not None
    assert run.report.tune.tasks == 4


def test_a_run_without_tiers_has_no_half_to_give(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path, passes([1, 2])))
    assert len(list(run.verdicts())) == 20
    with pytest.raises(UsageError, match="knows no tiers of its tasks, so it has no halves"):
        run.verdicts(Half.TUNE)


def test_a_run_from_before_halves_is_still_read(tmp_path: Path) -> None:
    run = write_run(tmp_path, passes([1] * 9), tiers={f"T/{n}": "easy" for n in range(9)})
    config, report = json.loads((run / "run.json").read_text()), json.loads((run / "report.json").read_text())
    for name in ("tiers_digest", "tier_source", "weak_rule", "weak_rates"):
        del config[name]
    for name in ("tune", "held_back", "tier_source", "weak_rule"):
        del report[name]
    for tier in report["tiers"]:
        del tier["tune"], tier["held_back"]
    (run / "run.json").write_text(json.dumps(config))
    (run / "report.json").write_text(json.dumps(report))
    old = load_run(run)
    assert (old.report.tune, old.report.tiers[0].tune) == (None, None)
    assert len(old.halves()) == 9  # they follow from the tiers
    shown = harness("show", run, "--failures", "0")
    assert shown.exit_code == 0
    assert "easy: 9 tasks, pass@1 90.0% (" in shown.stdout
    assert harness("compare", run, run, "--half", "held-back").exit_code == 0
    assert harness("gate", run, "--baseline", run).exit_code == 0
