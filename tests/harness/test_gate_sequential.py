"""The gate that stops early: its evidence, its error rate under optional stopping, and runs that end by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from made_runs import CONFIG, baseline, sample, tasks, verdict, write_run

from harness.cli import main
from harness.errors import StoreMismatch, UsageError
from harness.gate import GateOutcome, GateRules
from harness.gate_sequential import gate_sequentially
from harness.records import Sample
from harness.runs import Run, load_run
from harness.sequential import PairedBets, StopRule, Watch, random_order
from harness.store import read_report

RULES = GateRules()


def bets(changes: list[float], max_drop: float = 0.02) -> PairedBets:
    """Return the bets after these changes, one task each."""
    made = PairedBets(max_drop)
    for change in changes:
        made.see(change)
    return made


def test_wealth_by_hand() -> None:
    # With no drop allowed and one task lost, a bet of share s gains s: wealth 1 + s on average over s in (0, 1): 1.5.
    assert bets([-1.0], 0.0).beyond.p_value == pytest.approx(1 / 1.5, rel=1e-3)
    # A second one: the mean of (1 + s)² is 7/3. After a gained task wealth is the mean of (1 + s)²(1 - s): 11/12,
    # but the evidence that there once was stays.
    assert bets([-1.0, -1.0], 0.0).beyond.p_value == pytest.approx(3 / 7, rel=1e-3)
    assert bets([-1.0, -1.0, 1.0], 0.0).beyond.p_value == pytest.approx(3 / 7, rel=1e-3)


def test_both_claims_are_bet_on() -> None:
    worse, same = bets([-1.0, 0.0] * 15), bets([0.0] * 1000)
    assert worse.beyond.p_value < 0.001 < worse.within.p_value
    assert same.within.p_value < 0.001 < same.beyond.p_value
    assert bets([0.0] * 1000, 0.0).within.p_value == 1.0


@pytest.mark.parametrize("max_drop", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("change", [-1.0, 1.0])
def test_the_worst_sequences_are_survived(max_drop: float, change: float) -> None:
    made = bets([change] * 3000, max_drop)
    assert 0.0 <= made.beyond.p_value <= 1.0
    assert 0.0 <= made.within.p_value <= 1.0


def ever_decided(lose: float, gain: float, max_drop: float, repetitions: int, seed: int) -> tuple[int, int]:
    """Return how often the bets ever say `beyond` and ever say `within` at 0.05, looking after every task."""
    generator = np.random.default_rng(seed)
    beyond = within = 0
    for _ in range(repetitions):
        made = bets(generator.choice([-1.0, 1.0, 0.0], size=164, p=[lose, gain, 1 - lose - gain]).tolist(), max_drop)
        beyond += made.beyond.p_value <= 0.05
        within += made.within.p_value <= 0.05
    return beyond, within


@pytest.mark.slow
@pytest.mark.parametrize(("lose", "gain"), [(0.05, 0.05), (0.02, 0.0), (0.12, 0.10)])
def test_looking_after_every_task_alarms_for_nothing_at_most_at_alpha(lose: float, gain: float) -> None:
    beyond, within = ever_decided(lose, gain, max_drop=round(lose - gain, 6), repetitions=150, seed=3)
    assert beyond <= 0.05 * 150  # the truth is the allowed drop itself, where either claim is false
    assert within <= 0.05 * 150


@pytest.mark.slow
def test_looking_after_every_task_alarms_for_nothing_in_many_cases() -> None:
    beyond, within = ever_decided(0.08, 0.06, max_drop=0.02, repetitions=1500, seed=4)
    assert beyond <= 0.05 * 1500
    assert within <= 0.05 * 1500


def test_a_student_that_lost_a_third_is_seen_in_a_third_of_the_tasks() -> None:
    generator = np.random.default_rng(8)
    needed = []
    for _ in range(40):
        made = PairedBets(0.02)
        for change in generator.choice([-1.0, 1.0, 0.0], size=164, p=[0.35, 0.02, 0.63]).tolist():
            made.see(change)
            if made.is_decided(0.05, 1):
                break
        assert made.beyond.p_value <= 0.05
        needed.append(made.tasks)
    assert np.median(needed) <= 164 / 3


def test_the_order_is_that_of_the_data_and_of_nothing_else() -> None:
    names = [f"T/{n}" for n in range(50)]
    order = random_order("d", names)
    assert order == random_order("d", reversed(names)) != names
    assert sorted(order) == sorted(names)
    assert order != random_order("e", names)
    assert [one for one in order if one in names[:10]] == random_order("d", names[:10])


def rule(passes: Any, **changes: Any) -> StopRule:
    return StopRule(baselines=(baseline(passes, **changes),), max_drop=0.02, alpha=0.05, benchmarks=1)


class Stream:
    """Samples of tasks, in order; counts how many were taken."""

    def __init__(self, *ids: str, each: int = 1) -> None:
        self.taken = 0
        self._samples = [sample(task, index) for task in ids for index in range(each)]

    def __iter__(self) -> Iterator[Sample]:
        for one in self._samples:
            self.taken += 1
            yield one


@pytest.mark.parametrize("each", [1, 3])
def test_a_watch_takes_no_more_samples_once_it_has_decided(each: int) -> None:
    names = [f"T/{n}" for n in range(100)]
    watch = rule(tasks(100)).watch(CONFIG)
    stream = Stream(*names, each=each)
    for one in watch.until_decided(iter(stream)):
        watch.judged(verdict(one.task_id, one.sample_index, False))
    assert watch.is_decided
    assert stream.taken < 12 * each


def test_a_watch_counts_tasks_in_their_order_whichever_is_judged_first() -> None:
    names = [f"T/{n}" for n in range(60)]
    passed = {name: n % 3 == 0 for n, name in enumerate(names)}

    def decided_after(delay: int) -> int:
        watch = Watch(dict.fromkeys(names, 1.0), rule(tasks(60)))
        held: list[Sample] = []
        for one in watch.until_decided(iter(Stream(*names))):
            held.append(one)
            if len(held) > delay:  # several in flight come back in the wrong order
                for late in reversed(held):
                    watch.judged(verdict(late.task_id, 0, passed[late.task_id]))
                held.clear()
        assert watch.is_decided
        return watch._bets.tasks

    assert decided_after(0) == decided_after(4) == decided_after(7)


def test_a_watch_waits_for_a_task_that_was_not_judged() -> None:
    watch = rule(tasks(100)).watch(CONFIG)
    for one in watch.until_decided(iter(Stream(*(f"T/{n}" for n in range(100))))):
        watch.judged(verdict(one.task_id, 0, None if one.task_id == "T/0" else False))
    assert not watch.is_decided


def test_a_watch_refuses_other_data_before_anything_is_generated() -> None:
    with pytest.raises(UsageError, match="cannot be compared"):
        rule(tasks(3), protocol="chat").watch(CONFIG)
    with pytest.raises(UsageError, match="no baseline for 'toy'"):
        rule(tasks(3), benchmark="other").watch(CONFIG)


def test_another_rule_is_another_configuration() -> None:
    assert str(rule(tasks(3))) == str(rule(tasks(3)))
    assert str(rule(tasks(3))) != str(rule(tasks(2, 1)))


def stopped_run(folder: Path, names: list[str], reached: int, passes: bool = False) -> Run:
    """Write a run that ended after `reached` of these tasks in random order."""
    order = random_order(CONFIG.dataset_digest, names)
    written = {task: [passes] for task in order[:reached]}
    return load_run(write_run(folder, written, stopped_early=True, task_ids=tuple(order), sequential="made up"))


NAMES = [f"T/{n}" for n in range(100)]


def test_a_run_that_stopped_is_judged_by_the_tasks_until_then(tmp_path: Path) -> None:
    result = gate_sequentially([stopped_run(tmp_path, NAMES, 20)], [baseline(tasks(100))], RULES)
    (finding,) = result.findings
    assert (result.outcome, result.exit_code) == (GateOutcome.REGRESSED, 1)
    assert finding.reason.startswith(f"-100.0 points after {100 - finding.tasks_left} of 100 tasks")
    assert 80 < finding.tasks_left < 100
    assert len(finding.lost) == 100 - finding.tasks_left
    assert finding.comparison is None


def test_a_run_that_stopped_by_another_rule_is_not_valid(tmp_path: Path) -> None:
    run = stopped_run(tmp_path, NAMES, 20, passes=True)
    result = gate_sequentially([run], [baseline(tasks(100))], RULES)
    assert (result.exit_code, "stopped by another rule (made up)" in result.findings[0].reason) == (3, True)


def test_a_run_that_a_time_limit_ended_is_not_valid(tmp_path: Path) -> None:
    order = random_order(CONFIG.dataset_digest, NAMES)
    written = {task: [False] for task in order[:20]}
    run = load_run(write_run(tmp_path, written, stopped_early=True, task_ids=tuple(order), time_limit_seconds=60.0))
    result = gate_sequentially([run], [baseline(tasks(100))], RULES)
    assert (result.exit_code, "time limit has ended the run" in result.findings[0].reason) == (3, True)


def test_a_run_that_never_had_all_tasks_in_view_is_not_valid(tmp_path: Path) -> None:
    run = stopped_run(tmp_path, NAMES[:50], 20)
    result = gate_sequentially([run], [baseline(tasks(100))], RULES)
    assert (result.exit_code, "50 tasks of the baseline" in result.findings[0].reason) == (3, True)


@pytest.mark.parametrize(
    ("passed", "expected", "why"),
    [
        (100, GateOutcome.PASSED, "no task got worse"),
        (97, GateOutcome.INCONCLUSIVE, "neither shown nor excluded"),
        (40, GateOutcome.REGRESSED, "is shown"),
    ],
)
def test_a_whole_run_is_judged_as_well(tmp_path: Path, passed: int, expected: GateOutcome, why: str) -> None:
    run = load_run(write_run(tmp_path, tasks(passed, 100 - passed)))
    (finding,) = gate_sequentially([run], [baseline(tasks(100))], RULES).findings
    assert (finding.outcome, why in finding.reason) == (expected, True)
    assert finding.comparison is not None


def test_several_benchmarks_are_corrected(tmp_path: Path) -> None:
    # Seven losses in a row: wealth is the mean of (1 + s)^7, about 32, enough for one benchmark and not for two (40).
    bases = [baseline(tasks(100), benchmark=name) for name in "ab"]
    order = random_order(CONFIG.dataset_digest, NAMES)
    losing = {task: [place >= 7] for place, task in enumerate(order)}
    run = load_run(write_run(tmp_path / "a", losing, benchmark="a"))
    other = load_run(write_run(tmp_path / "b", tasks(100), benchmark="b"))
    alone, both = gate_sequentially([run], bases, RULES), gate_sequentially([run, other], bases, RULES)
    assert (alone.outcome, both.outcome) == (GateOutcome.REGRESSED, GateOutcome.INCONCLUSIVE)


@pytest.mark.parametrize("rules", [GateRules(minimum={"pass@1": 0.5}), GateRules(tier_max_drop=0.1)])
def test_rules_for_whole_runs_are_refused(rules: GateRules) -> None:
    with pytest.raises(UsageError, match="need a whole run"):
        gate_sequentially([], [], rules)


def toy_benchmark(folder: Path, count: int = 60) -> Path:
    """Write a benchmark, samples that solve it, and samples of which half do."""
    rows = [
        {
            "task_id": f"Toy/{n}",
            "prompt": f"def add{n}(x):\n",
            "entry_point": f"add{n}",
            "canonical_solution": f"    return x + {n}\n",
            "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n",
        }
        for n in range(count)
    ]
    good = [{"task_id": row["task_id"], "completion": row["canonical_solution"]} for row in rows]
    broken = [{**one, "completion": "    return None\n"} if n % 2 else one for n, one in enumerate(good)]
    for name, lines in (("toy", rows), ("good", good), ("broken", broken)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def toy(tmp_path: Path, require: Any) -> Path:
    """A folder with toy.jsonl, good.jsonl, broken.jsonl and the whole run of the good samples."""
    from sandbox import examine

    require(any(one.ok for one in examine() if one.name in ("docker", "local")), "a sandbox that works")
    folder = toy_benchmark(tmp_path)
    ran = harness("eval", "--samples", folder / "good.jsonl", "--tasks", folder / "toy.jsonl", "--out", folder / "good")
    assert ran.exit_code == 0, ran.output
    return folder


def harness(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.slow
def test_a_broken_student_is_stopped_early_and_says_so(toy: Path) -> None:
    behind = ["--samples", toy / "broken.jsonl", "--tasks", toy / "toy.jsonl", "--workers", "1"]
    command = ["gate", toy / "run", "--baseline", toy / "good", "--sequential"]
    ran = harness(*command, "--", *behind)
    assert ran.exit_code == 1, ran.output
    assert ran.stdout.splitlines()[-1] == "gate: regressed"

    report = read_report(toy / "run")
    assert report.stopped_early
    assert report.tasks == 60
    assert report.samples + len(report.missing_tasks) == 60
    assert len(report.missing_tasks) > 30
    assert "stopped early by a sequential gate" in harness("show", toy / "run", "--failures", 0).stdout

    # The same answer from what is there, and from the same command again, which generates nothing more.
    again = harness(*command, "--json")
    resumed = harness(*command, "--json", "--", *behind)
    assert again.exit_code == resumed.exit_code == 1
    assert again.stdout == resumed.stdout
    assert read_report(toy / "run") == report

    # It cannot be taken for a whole run.
    assert harness("gate", toy / "run", "--baseline", toy / "good").exit_code == 3
    assert isinstance(harness("baseline", toy / "run", "--out", toy / "b.json").exception, UsageError)
    assert "stopped_early" in harness("compare", toy / "good", toy / "run").stdout
    whole = harness("eval", *behind, "--out", toy / "run")
    assert isinstance(whole.exception, StoreMismatch)
    assert "sequential was" in str(whole.exception)


@pytest.mark.slow
def test_a_student_as_good_as_before_runs_whole(toy: Path) -> None:
    behind = ["--", "--samples", toy / "good.jsonl", "--tasks", toy / "toy.jsonl"]
    ran = harness("gate", toy / "run", "--baseline", toy / "good", "--sequential", "--strict", *behind)
    assert ran.exit_code == 0, ran.output
    report = read_report(toy / "run")
    assert (report.stopped_early, report.missing_tasks, report.samples) == (False, (), 60)
    assert not read_report(toy / "good").stopped_early


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--", "--model", "canonical", "--tasks", "toy"], "only --sequential"),
        (["--sequential", "--", "--model", "canonical", "--tasks", "toy", "--out", "x"], "RUN is the folder"),
        (["--sequential", "--", "--model", "canonical", "--tasks", "toy", "--json"], "RUN is the folder"),
        (["--sequential", "--", "--samples", "x", "--tasks", "toy", "--partial"], "RUN is the folder"),
        (["--sequential", "--", "--no-such"], "No such option"),
        (["--sequential"], "holds no finished run"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, words: list[str], said: str) -> None:
    base = write_run(tmp_path / "base", tasks(3))
    ran = harness("gate", tmp_path / "run", "--baseline", base, *words)
    assert ran.exit_code == 2
    assert said in ran.output
    assert not (tmp_path / "run").exists()
