"""Two runs beside one another: what is paired, what is refused, what is said to differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from made_runs import baseline, tasks, write_run

from harness import compare_runs
from harness.cli import main
from harness.compare import compare
from harness.errors import UsageError
from harness.half import Half, halves
from harness.runs import load_baselines, write_baseline


def test_tasks_are_paired_by_name_whatever_their_order() -> None:
    before = baseline({"a": [True], "b": [False], "c": [True]})
    after = baseline({"c": [False], "a": [True], "b": [True]})
    found = compare(before, after)
    assert (found.tasks, found.lost, found.gained) == (3, ("c",), ("b",))
    assert (found.before.value, found.after.value) == pytest.approx((2 / 3, 2 / 3))
    assert found.difference.value == 0.0


def test_several_samples_a_task_compare_rates() -> None:
    before = baseline({f"T/{n}": [True, True, False, False] for n in range(30)})
    after = baseline({f"T/{n}": [n % 2 == 0, False, False, False] for n in range(30)})
    found = compare(before, after)
    assert found.difference.value == pytest.approx(-0.375)
    assert found.difference.test.startswith("sign-flip")
    assert len(found.lost) == 30
    assert found.difference.high < 0 < 0.001 + found.difference.p_value


def test_tasks_of_one_run_alone_are_counted_and_left_out() -> None:
    found = compare(baseline(tasks(3)), baseline({**tasks(2), "T/9": [False]}))
    assert (found.tasks, found.only_one) == (2, 2)


def test_samples_that_were_not_judged_do_not_count() -> None:
    found = compare(baseline({"a": [True], "b": [True]}), baseline({"a": [True, None], "b": [None]}))
    assert (found.tasks, found.only_one, found.lost) == (1, 1, ())


def test_every_tier_is_compared() -> None:
    tiers = {f"T/{n}": "easy" if n < 6 else "hard" for n in range(10)}
    found = compare(baseline(tasks(10)), baseline(tasks(6, 4), tiers=tiers))
    easy, hard = found.tiers
    assert (easy.tier, easy.tasks, easy.difference.value) == ("easy", 6, 0.0)
    assert (hard.tier, hard.tasks, hard.difference.value) == ("hard", 4, -1.0)
    assert hard.difference.p_value == pytest.approx(2 / 16)


@pytest.mark.parametrize(
    ("field", "value"), [("benchmark", "other"), ("dataset_digest", "e" * 64), ("protocol", "chat")]
)
def test_other_data_or_protocol_is_refused_unless_crossed(field: str, value: str) -> None:
    before, after = baseline(tasks(3)), baseline(tasks(3), **{field: value})
    with pytest.raises(UsageError, match=rf"{field} .*{value[:6]}.*--cross"):
        compare(before, after)
    found = compare(before, after, cross=True)
    assert [text.split()[0] for text in found.differing] == [field]


def test_other_settings_are_compared_and_said() -> None:
    before = baseline(tasks(3), settings={"temperature": "0.0", "seed": "1"})
    after = baseline(tasks(3), settings={"temperature": "0.8", "seed": "1"}, stopped_early=True)
    assert compare(before, after).differing == ("temperature '0.0' and '0.8'", "stopped_early False and True")


def test_nothing_in_common_is_an_error() -> None:
    with pytest.raises(UsageError, match="no judged task in common"):
        compare(baseline({"a": [True]}), baseline({"b": [True]}))


@pytest.mark.parametrize("alpha", [0.0, 1.0, float("nan")])
def test_impossible_levels_are_refused(alpha: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        compare(baseline(tasks(2)), baseline(tasks(2)), alpha)


def test_folders_of_runs_are_matched_by_benchmark(tmp_path: Path) -> None:
    for side in ("old", "new"):
        write_run(tmp_path / side / "first", tasks(4), benchmark="first")
        write_run(tmp_path / side / f"only-{side}", tasks(4), benchmark=f"only-{side}")
        write_run(tmp_path / side / "second", tasks(2, 2), benchmark="second")
    found = compare_runs(tmp_path / "old", str(tmp_path / "new"))
    assert [one.benchmark for one in found] == ["first", "second"]


def test_two_runs_of_a_benchmark_on_one_side_are_refused(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write_run(tmp_path / "old" / name, tasks(4), model=name)
    write_run(tmp_path / "new" / "x", tasks(4))
    with pytest.raises(UsageError, match="two runs of 'toy': of 'x' and of 'y'"):
        compare_runs(tmp_path / "old", tmp_path / "new")


def test_command_prints_both_directions_of_flips_and_the_power(tmp_path: Path) -> None:
    before = write_run(tmp_path / "before", {**tasks(6, 4), "gain": [False]})
    after = write_run(tmp_path / "after", {**tasks(5, 5), "gain": [True]}, model="student-2")
    ran = CliRunner().invoke(main, ["compare", str(before), str(after)])
    assert ran.exit_code == 0
    assert "toy: student -> student-2, 11 tasks in common" in ran.stdout
    assert "worse (1): T/5" in ran.stdout
    assert "better (1): gain" in ran.stdout
    assert "exact McNemar; with these tasks a change of" in ran.stdout


def test_command_prints_one_json_document(tmp_path: Path) -> None:
    before, after = write_run(tmp_path / "before", tasks(6)), write_run(tmp_path / "after", tasks(3, 3))
    ran = CliRunner().invoke(main, ["compare", str(before), str(after), "--json"])
    found = json.loads(ran.stdout)
    assert found["difference"]["value"] == -0.5
    assert found["lost"] == ["T/3", "T/4", "T/5"]


def test_command_refuses_with_exit_code_2(tmp_path: Path) -> None:
    before = write_run(tmp_path / "before", tasks(3))
    after = write_run(tmp_path / "after", tasks(3), protocol="chat")
    refused = CliRunner().invoke(main, ["compare", str(before), str(after)])
    assert isinstance(refused.exception, UsageError)
    assert refused.exception.exit_code == 2
    crossed = CliRunner().invoke(main, ["compare", str(before), str(after), "--cross"])
    assert crossed.exit_code == 0
    assert "not the same: protocol 'samples' and 'chat'" in crossed.stdout


# Halves

TIERS = {f"T/{n}": "easy" if n < 6 else "hard" for n in range(12)}
HALVES = halves(TIERS)


def in_halves(tune: bool, held_back: bool) -> dict[str, list[bool]]:
    return {task: [tune if HALVES[task] is Half.TUNE else held_back] for task in TIERS}


def test_one_half_is_compared_alone() -> None:
    before = baseline(in_halves(False, False), tiers=TIERS, halves=HALVES)
    after = baseline(in_halves(True, False), tiers=TIERS, halves=HALVES)
    tune, held_back = compare(before, after, half=Half.TUNE), compare(before, after, half=Half.HELD_BACK)
    assert (tune.half, tune.tasks, tune.difference.value, len(tune.gained)) == (Half.TUNE, 6, 1.0, 6)
    assert (held_back.tasks, held_back.difference.value, held_back.gained) == (6, 0.0, ())
    assert [(one.tier, one.tasks) for one in held_back.tiers] == [("easy", 3), ("hard", 3)]
    assert compare(before, after).half is None


def test_halves_are_those_that_either_run_knows_and_must_agree() -> None:
    plain = baseline(in_halves(True, True))
    known = baseline(in_halves(True, True), halves=HALVES)
    other = baseline(in_halves(True, True), halves={**HALVES, "T/0": {*Half}.difference({HALVES["T/0"]}).pop()})
    assert compare(plain, known, half=Half.TUNE) == compare(known, plain, half=Half.TUNE)
    with pytest.raises(UsageError, match="no halves: evaluate them again"):
        compare(plain, plain, half=Half.TUNE)
    with pytest.raises(UsageError, match="'T/0' is in different halves: evaluate both with the same tiers"):
        compare(known, other, half=Half.TUNE)
    assert compare(known, other).tasks == 12


def test_command_compares_one_half_and_says_so(tmp_path: Path) -> None:
    before = write_run(tmp_path / "before", in_halves(True, True), tiers=TIERS)
    after = write_run(tmp_path / "after", in_halves(False, True), tiers=TIERS)
    ran = CliRunner().invoke(main, ["compare", str(before), str(after), "--half", "held-back"])
    assert "6 tasks in common (held-back half)" in ran.stdout
    found = json.loads(
        CliRunner().invoke(main, ["compare", str(before), str(after), "--half", "tune", "--json"]).stdout
    )
    assert (found["half"], found["difference"]["value"]) == ("tune", -1.0)
    (written,) = load_baselines(before)
    write_baseline([written], tmp_path / "baseline.json")
    again = CliRunner().invoke(
        main, ["compare", str(tmp_path / "baseline.json"), str(after), "--half", "tune", "--json"]
    )
    assert json.loads(again.stdout)["difference"] == found["difference"]


def test_runs_of_other_tiers_are_said_to_differ(tmp_path: Path) -> None:
    before = write_run(tmp_path / "before", in_halves(True, True), tiers=TIERS)
    after = write_run(tmp_path / "after", in_halves(True, True), tiers=TIERS, tiers_digest="f" * 64)
    (found,) = compare_runs(before, after)
    assert found.differing == (f"tiers_digest None and '{'f' * 64}'",)
