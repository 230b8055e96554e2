"""The gate: four answers, their exit codes, and how often it alarms for nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from made_runs import baseline, tasks, write_run

from harness.cli import main
from harness.errors import UsageError
from harness.gate import GateOutcome, GateRules, gate
from harness.half import Half, halves
from harness.runs import Baseline, load_baselines, write_baseline

WHOLE = baseline(tasks(100))
STRICT = GateRules(strict=True)


def outcome(passed: int, failed: int, rules: GateRules | None = None) -> GateOutcome:
    return gate([baseline(tasks(passed, failed))], [WHOLE], rules or GateRules()).outcome


@pytest.mark.parametrize(
    ("lost", "outcome", "code", "strict_code"),
    [
        (0, GateOutcome.PASSED, 0, 0),
        (1, GateOutcome.INCONCLUSIVE, 0, 4),
        (3, GateOutcome.INCONCLUSIVE, 0, 4),
        (20, GateOutcome.REGRESSED, 1, 1),
        (100, GateOutcome.REGRESSED, 1, 1),
    ],
)
def test_the_outcome_decides_the_exit_code(lost: int, outcome: GateOutcome, code: int, strict_code: int) -> None:
    run = baseline(tasks(100 - lost, lost))
    assert gate([run], [WHOLE], GateRules()).outcome is outcome
    assert gate([run], [WHOLE], GateRules()).exit_code == code
    assert gate([run], [WHOLE], STRICT).exit_code == strict_code


def test_a_drop_within_the_allowed_one_is_no_regression_however_clear_it_is() -> None:
    assert outcome(60, 40, GateRules(max_drop=0.6)) is GateOutcome.PASSED
    assert outcome(60, 40, GateRules(max_drop=0.4)) is GateOutcome.INCONCLUSIVE
    assert outcome(60, 40, GateRules(max_drop=0.2)) is GateOutcome.REGRESSED
    (finding,) = gate([baseline(tasks(60, 40))], [WHOLE], GateRules(max_drop=0.4)).findings
    assert "a drop is shown, but not to be beyond the 40 allowed" in finding.reason


def test_a_better_run_passes_and_says_which_tasks_changed() -> None:
    result = gate([baseline({**tasks(90, 10), "new": [True]})], [baseline({**tasks(50, 50), "new": [True]})], STRICT)
    assert (result.exit_code, len(result.findings[0].gained), result.findings[0].lost) == (0, 40, ())
    assert "no task got worse" in result.findings[0].reason


def test_losses_beside_as_many_gains_pass_where_a_drop_is_excluded() -> None:
    before = {f"T/{n}": [n % 2 == 0] for n in range(1000)}
    after = {f"T/{n}": [(n % 2 == 0) != (n in (0, 1, 2, 3))] for n in range(1000)}
    (finding,) = gate([baseline(after)], [baseline(before)], STRICT).findings
    assert finding.outcome is GateOutcome.PASSED
    assert "excluded" in finding.reason
    assert (len(finding.lost), len(finding.gained)) == (2, 2)


@pytest.mark.parametrize(
    ("run", "base", "reason"),
    [
        (baseline({**tasks(99), "T/99": [None]}), WHOLE, "1 samples were not judged"),
        (WHOLE, baseline({**tasks(99), "T/99": [None]}), "1 samples of the baseline were not judged"),
        (baseline(tasks(98)), WHOLE, "2 tasks of the baseline are not in the run, e.g. T/98"),
        (baseline(tasks(12), stopped_early=True), WHOLE, "--sequential judges such a one"),
    ],
)
def test_what_was_not_measured_is_not_valid(run: Baseline, base: Baseline, reason: str) -> None:
    result = gate([run], [base], GateRules())
    assert (result.outcome, result.exit_code) == (GateOutcome.NOT_VALID, 3)
    assert reason in result.findings[0].reason


def test_not_valid_outweighs_a_regression_and_a_regression_outweighs_doubt() -> None:
    lame = baseline(tasks(98), benchmark="lame")
    broken = baseline(tasks(10, 90), benchmark="broken")
    doubtful = baseline(tasks(98, 2), benchmark="doubtful")
    bases = [replace(WHOLE, benchmark=name) for name in ("lame", "broken", "doubtful")]
    assert gate([doubtful, broken, lame], bases, STRICT).exit_code == 3
    assert gate([doubtful, broken], bases, STRICT).exit_code == 1
    assert gate([doubtful], bases, STRICT).exit_code == 4


def test_a_minimum_is_held_by_the_estimate_itself() -> None:
    run = baseline(tasks(62, 38))
    for least, expected in ((0.62, GateOutcome.PASSED), (0.621, GateOutcome.REGRESSED)):
        result = gate([run], [run], GateRules(minimum={"pass@1": least}))
        assert result.outcome is expected
        assert f"pass@1 at least {least:.1%}" in result.findings[0].subject


def test_a_minimum_of_any_k_that_the_samples_allow() -> None:
    run = baseline({f"T/{n}": [True, False, False] for n in range(10)})
    assert gate([run], [run], GateRules(minimum={"pass@2": 0.66})).exit_code == 0  # 1 - C(2,2) / C(3,2) = 2/3
    with pytest.raises(UsageError, match="fewer samples than that"):
        gate([run], [run], GateRules(minimum={"pass@4": 0.5}))


def test_a_tier_may_regress_where_the_whole_does_not() -> None:
    tiers = {f"T/{n}": "hard" if n < 12 else "easy" for n in range(200)}
    base = baseline(tasks(200), tiers=tiers)
    passes = {f"T/{n}": [n >= 12] for n in range(200)}
    run = baseline(passes, tiers=tiers)
    assert gate([run], [base], GateRules(max_drop=0.12)).exit_code == 0
    result = gate([run], [base], GateRules(max_drop=0.12, tier_max_drop=0.1))
    assert result.exit_code == 1
    assert {one.subject: one.outcome.value for one in result.findings} == {
        "toy": "passed",
        "toy, tier hard": "regressed",
        "toy, tier easy": "passed",
    }


def test_a_tier_rule_without_tiers_is_an_error_and_not_ignored() -> None:
    with pytest.raises(UsageError, match="knows no tiers"):
        gate([WHOLE], [WHOLE], GateRules(tier_max_drop=0.1))


def test_several_benchmarks_are_corrected_together() -> None:
    # 5 losses of 100 tasks and no gain: p = 1/32 for one benchmark, 3/32 where it is the smallest of three.
    rules = GateRules(max_drop=0.0)
    bases = [replace(WHOLE, benchmark=name) for name in "abc"]
    runs = [baseline(tasks(95, 5), benchmark="a"), *(replace(WHOLE, benchmark=name) for name in "bc")]
    assert gate(runs[:1], bases, rules).exit_code == 1
    assert gate(runs, bases, rules).exit_code == 0


@pytest.mark.parametrize("other", [{"dataset_digest": "e" * 64}, {"protocol": "chat"}])
def test_a_baseline_of_other_data_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="cannot be compared"):
        gate([WHOLE], [replace(WHOLE, **other)], GateRules())


def test_a_run_without_a_baseline_is_refused() -> None:
    with pytest.raises(UsageError, match="no baseline for 'toy': there are 'other'"):
        gate([WHOLE], [replace(WHOLE, benchmark="other")], GateRules())


@pytest.mark.parametrize(
    "rule",
    [{"max_drop": -0.1}, {"max_drop": float("nan")}, {"max_drop": 1.1}, {"tier_max_drop": -1.0}, {"alpha": 0.0}],
)
def test_rules_out_of_range_are_refused(rule: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        GateRules(**rule)  # type: ignore[arg-type]


def drawn(generator: np.random.Generator, name: str, count: int, lose: float, gain: float) -> tuple[Baseline, Baseline]:
    """Return a baseline and a run that loses and gains tasks with these chances."""
    change = generator.choice([-1, 1, 0], size=count, p=[lose, gain, 1 - lose - gain])
    old = np.where(change == 0, generator.random(count) < 0.5, change < 0)
    new = np.where(change == 0, old, change > 0)
    tiers = {f"T/{n}": ("easy", "medium", "hard")[n % 3] for n in range(count)}
    before, after = (
        baseline({f"T/{n}": [bool(one)] for n, one in enumerate(passes)}, benchmark=name, tiers=tiers)
        for passes in (old, new)
    )
    return before, after


def alarms(cases: dict[str, tuple[int, float, float]], rules: GateRules, repetitions: int) -> int:
    """Return how often the gate alarms, over benchmarks of (tasks, chance to lose, chance to gain)."""
    generator = np.random.default_rng(11)
    count = 0
    for _ in range(repetitions):
        pairs = [drawn(generator, name, *case) for name, case in cases.items()]
        result = gate([after for _, after in pairs], [before for before, _ in pairs], rules)
        count += result.outcome is GateOutcome.REGRESSED
    return count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cases", "rules"),
    [
        ({"one": (164, 0.06, 0.06)}, GateRules(max_drop=0.0)),
        ({"one": (164, 0.06, 0.04)}, GateRules(max_drop=0.02)),
        (
            {"one": (164, 0.06, 0.04), "two": (378, 0.05, 0.03), "three": (100, 0.04, 0.02)},
            GateRules(max_drop=0.02, tier_max_drop=0.02),
        ),
    ],
    ids=["no change", "the allowed drop", "three benchmarks and their tiers"],
)
def test_the_gate_alarms_for_nothing_at_most_at_alpha(cases: Any, rules: GateRules) -> None:
    repetitions = 100
    assert alarms(cases, rules, repetitions) <= 9  # of 100; above that is 1 case of 35 at 5 %


@pytest.mark.slow
def test_the_gate_alarms_for_nothing_at_most_at_alpha_in_many_cases() -> None:
    cases = {"one": (164, 0.06, 0.04), "two": (378, 0.05, 0.03), "three": (100, 0.04, 0.02)}
    assert alarms(cases, GateRules(max_drop=0.02), 1000) <= 0.05 * 1000


def test_the_gate_sees_a_student_that_is_clearly_worse() -> None:
    assert alarms({"one": (164, 0.20, 0.04)}, GateRules(max_drop=0.02), 100) >= 90


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, ["gate", *map(str, words)])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, passed in (("good", 100), ("doubtful", 98), ("broken", 50)):
        write_run(tmp_path / name, tasks(passed, 100 - passed), model=name)
    write_run(tmp_path / "lame", {**tasks(99), "T/99": [None]})
    write_baseline(load_baselines(tmp_path / "good"), tmp_path / "baseline.json")
    return tmp_path


@pytest.mark.parametrize("base", ["baseline.json", "good"])
@pytest.mark.parametrize(
    ("run", "words", "verdict", "code"),
    [
        ("good", [], "passed", 0),
        ("doubtful", [], "inconclusive", 0),
        ("doubtful", ["--strict"], "inconclusive", 4),
        ("broken", [], "regressed", 1),
        ("broken", ["--max-drop", "70"], "passed", 0),
        ("lame", [], "not valid", 3),
        ("good", ["--min", "pass@1=1.0"], "passed", 0),
        ("doubtful", ["--min", "pass@1=0.99"], "regressed", 1),
    ],
)
def test_printed_verdict_and_exit_code_are_one_value(
    files: Path, base: str, run: str, words: list[str], verdict: str, code: int
) -> None:
    junit, summary = files / "junit.xml", files / "summary.md"
    command = [files / run, "--baseline", files / base, "--junit", junit, "--summary", summary, *words]
    ran = invoke(*command)
    assert ran.exit_code == code, ran.output
    assert ran.stdout.splitlines()[-1] == f"gate: {verdict}"
    assert summary.read_text().startswith(f"### gate: {verdict}\n")
    told = json.loads(invoke(*command, "--json").stdout)
    assert (told["outcome"], told["exit_code"]) == (verdict, code)
    if verdict == "regressed":
        assert 'failures="1"' in junit.read_text()


def test_on_github_annotations_and_the_summary_are_written(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(files / "step.md"))
    ran = invoke(files / "broken", "--baseline", files / "baseline.json")
    assert ran.exit_code == 1
    assert ran.stderr.startswith("::error title=harness gate::toy: regressed: -50.0 points")
    assert (files / "step.md").read_text().startswith("### gate: regressed\n")


def test_files_that_cannot_be_written_are_no_regression(files: Path) -> None:
    (files / "file").write_text("")
    for words in (["--junit", files / "file" / "x.xml"], ["--summary", files / "file" / "x.md"]):
        ran = invoke(files / "good", "--baseline", files / "good", *words)
        assert isinstance(ran.exception, UsageError)
        assert "gate:" not in ran.stdout
    assert invoke(files / "good", "--baseline", files / "good", "--junit", files / "new" / "x.xml").exit_code == 0
    assert (files / "new" / "x.xml").exists()


def test_hostile_names_are_harmless_on_standard_output(tmp_path: Path) -> None:
    name = "::error::x\n::stop-commands::y\x1b[2J"
    passes = {f"{name}{n}": [True] for n in range(60)}
    good = write_run(tmp_path / "good", passes, benchmark=name)
    bad = write_run(tmp_path / "bad", {task: [False] for task in passes}, benchmark=name, model=name)
    for words in (["gate", str(bad), "--baseline", str(good)], ["compare", str(good), str(bad)]):
        ran = CliRunner().invoke(main, words)
        assert ran.exit_code == (1 if words[0] == "gate" else 0)
        assert not [line for line in ran.output.splitlines() if line.strip().startswith("::")]
        assert "\x1b" not in ran.output


@pytest.mark.parametrize("bad", ["pass@1", "pass@1=2", "pass@1=x", "pass@1=nan", "pass@0=0.5", "score=0.5", "=0.5"])
def test_a_malformed_minimum_is_refused(files: Path, bad: str) -> None:
    ran = invoke(files / "good", "--baseline", files / "good", "--min", bad)
    assert isinstance(ran.exception, UsageError)


@pytest.mark.parametrize("words", [["--max-drop", "-1"], ["--alpha", "2"], ["--max-drop", "nan"]])
def test_options_out_of_range_are_refused(files: Path, words: list[str]) -> None:
    ran = invoke(files / "good", "--baseline", files / "good", *words)
    assert ran.exit_code == 2 or isinstance(ran.exception, UsageError)


# One half

TIERS = {f"T/{n}": "easy" for n in range(100)}
HALVES = halves(TIERS)


def losing(half: Half) -> dict[str, list[bool]]:
    return {task: [HALVES[task] is not half] for task in TIERS}


@pytest.mark.parametrize("half", list(Half))
def test_a_drop_in_the_other_half_does_not_count(tmp_path: Path, half: Half) -> None:
    before = write_run(tmp_path / "before", tasks(100), tiers=TIERS)
    option = half.replace("_", "-")
    for lost in Half:
        after = write_run(tmp_path / lost, losing(lost), tiers=TIERS)
        words = [str(after), "--baseline", str(before), "--half", option, "--tier-max-drop", "1", "--json"]
        ran = CliRunner().invoke(main, ["gate", *words])
        found = json.loads(ran.stdout)
        assert ran.exit_code == (1 if lost is half else 0)
        assert found["rules"]["half"] == half
        subjects = [one["subject"] for one in found["findings"]]
        assert subjects == [f"toy, {option} half", f"toy, {option} half, tier easy"]
        assert found["findings"][0]["comparison"]["tasks"] == 50
        assert found["findings"][0]["comparison"]["half"] == half


def test_a_least_value_is_asked_of_the_half_alone() -> None:
    run = baseline(losing(Half.TUNE), halves=HALVES)
    for half, outcome in ((Half.TUNE, GateOutcome.REGRESSED), (Half.HELD_BACK, GateOutcome.PASSED)):
        found = gate([run], [run], GateRules(minimum={"pass@1": 0.9}, half=half))
        assert found.outcome is outcome
        assert found.findings[0].subject == f"toy, {half.replace('_', '-')} half, pass@1 at least 90.0%"


def test_a_half_does_not_make_a_run_valid_that_is_not() -> None:
    whole = baseline(tasks(100), halves=HALVES)
    held_back = [task for task in TIERS if HALVES[task] is Half.HELD_BACK]
    part = baseline({task: [True] for task in held_back}, halves={task: HALVES[task] for task in held_back})
    assert gate([part], [whole], GateRules(half=Half.HELD_BACK)).outcome is GateOutcome.NOT_VALID


def test_a_sequential_gate_takes_no_half(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", tasks(10), tiers=TIERS)
    ran = CliRunner().invoke(main, ["gate", str(run), "--baseline", str(run), "--half", "tune", "--sequential"])
    assert isinstance(ran.exception, UsageError)
    assert "leave it or --half out" in str(ran.exception)
