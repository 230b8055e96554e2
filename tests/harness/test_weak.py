"""Scores of tiers and of their halves, and when one of them is weak."""

from __future__ import annotations

import hashlib

import pytest

from harness import metrics
from harness.half import Half, halves
from harness.paired import difference, interval
from harness.scores import WeakKind, WeakRule
from harness.weak import score_tiers, weak_text

TIERS = {f"t{i}": "easy" if i < 60 else "hard" for i in range(120)}
HALVES = halves(TIERS)


def counts(*passing: str, samples: int = 1) -> dict[str, tuple[int, int]]:
    """Return counts in which the tasks of these tiers pass."""
    return {task: (samples, samples * (tier in passing)) for task, tier in TIERS.items()}


# Halves


@pytest.mark.parametrize("size", [0, 1, 2, 3, 50, 51])
def test_halves_of_a_tier_differ_by_one_task_at_most_which_is_held_back(size: int) -> None:
    split = halves({f"Task/{n}": ("easy", "hard")[n < size] for n in range(size + 7)})
    for count, tasks in ((size, range(size)), (7, range(size, size + 7))):
        tune = sum(split[f"Task/{n}"] is Half.TUNE for n in tasks)
        assert tune == count // 2


def test_a_half_depends_on_nothing_but_the_ids_and_their_tier() -> None:
    assert halves(dict(reversed(TIERS.items()))) == HALVES
    assert list(HALVES) == list(TIERS)
    renamed = halves({task: {"easy": "1", "hard": "2"}[tier] for task, tier in TIERS.items()})
    assert renamed == HALVES


def test_the_split_is_the_documented_hash() -> None:
    ids = [f"HumanEval/{n}" for n in range(6)]
    ranked = sorted(ids, key=lambda task: hashlib.sha256(f"harness halves 1:{task}".encode()).hexdigest())
    split = halves(dict.fromkeys(ids, "easy"))
    assert [task for task in ranked if split[task] is Half.TUNE] == ranked[:3]
    assert {task for task in ids if split[task] is Half.TUNE} == {"HumanEval/0", "HumanEval/4", "HumanEval/5"}


def test_any_text_is_a_task_id() -> None:
    assert len(halves({"\ud800": "a", "": "a", "\u2603": "a"})) == 3


def test_a_task_that_comes_to_a_tier_moves_few_of_the_others() -> None:
    more = halves({**TIERS, "new": "hard"})
    assert sum(more[task] is not half for task, half in HALVES.items()) <= 1


# Scores


def test_a_tier_is_weak_only_when_its_interval_lies_below_the_whole() -> None:
    clear = score_tiers(TIERS, counts("easy")).tiers
    assert [(one.tier, one.tasks, one.weak) for one in clear] == [("easy", 60, False), ("hard", 60, True)]
    even = score_tiers(TIERS, {task: (1, int(task[-1] in "02468")) for task in TIERS}).tiers
    assert not any(one.weak for one in even)
    none = score_tiers(TIERS, {})
    assert (none.tiers, none.tune, none.held_back) == ((), None, None)


def test_scores_come_from_easy_to_expert_then_by_first_task() -> None:
    tiers = {"a": "steep", "b": "expert", "c": "flat", "d": "hard", "e": "easy", "f": "steep", "g": "medium"}
    scores = score_tiers(tiers, dict.fromkeys(tiers, (1, 1))).tiers
    assert [one.tier for one in scores] == ["easy", "medium", "hard", "expert", "steep", "flat"]
    assert [one.tasks for one in scores] == [1, 1, 1, 1, 2, 1]
    assert scores[0].tune is None  # the one task of a tier is held back
    assert scores[0].held_back is not None
    assert scores[4].tune is not None


def test_each_half_has_its_own_score_and_the_two_make_the_tier() -> None:
    passed = {task: (2, n % 3) for n, task in enumerate(TIERS)}
    scores = score_tiers(TIERS, passed)
    for tier in scores.tiers:
        for half, score in ((Half.TUNE, tier.tune), (Half.HELD_BACK, tier.held_back)):
            assert score is not None
            rates = [passed[task][1] / 2 for task in TIERS if HALVES[task] is half and TIERS[task] == tier.tier]
            assert (score.tasks, score.pass_at_1) == (30, metrics.estimate(rates))
    assert scores.tune is not None
    assert scores.held_back is not None
    assert (scores.tune.tasks, scores.held_back.tasks) == (60, 60)
    mean = (scores.tune.pass_at_1.value + scores.held_back.pass_at_1.value) / 2
    assert mean == pytest.approx(sum(c for _, c in passed.values()) / 240)


def test_whether_the_tune_half_is_weak_depends_on_no_held_back_task() -> None:
    def passing(held_back: int) -> dict[str, tuple[int, int]]:
        tune = {task: int(TIERS[task] == "easy") for task in TIERS}
        return {task: (1, tune[task] if HALVES[task] is Half.TUNE else held_back) for task in TIERS}

    found = [score_tiers(TIERS, passing(held_back)) for held_back in (0, 1)]
    assert found[0].tune == found[1].tune
    assert [one.tune for one in found[0].tiers] == [one.tune for one in found[1].tiers]
    hard = found[0].tiers[1]
    assert (hard.weak, hard.tune and hard.tune.weak, hard.held_back and hard.held_back.weak) == (True, True, False)
    assert not found[1].tiers[1].held_back.weak  # type: ignore[union-attr]


def test_tasks_that_were_not_run_still_count_for_the_split() -> None:
    few = dict.fromkeys(list(TIERS)[:10], (1, 1))
    scores = score_tiers(TIERS, few)
    assert scores.tune is not None
    assert scores.tune.tasks == sum(HALVES[task] is Half.TUNE for task in few)


def test_below_a_target_the_whole_interval_must_lie() -> None:
    rule = WeakRule(kind=WeakKind.BELOW_TARGET, target=0.7)
    for passed, weak in (
        (35, True),
        (36, False),
        (42, False),
        (60, False),
    ):  # Wilson: 35 of 60 ends at 0.6994, 36 at 0.7143
        some = {task: (1, int(n < passed)) for n, task in enumerate(TIERS) if n < 60}
        (easy,) = score_tiers(TIERS, some, rule).tiers
        assert easy.weak is weak, passed
        assert easy.weak == (easy.pass_at_1.high < 0.7)


def test_below_a_baseline_the_interval_of_the_paired_difference_must_lie() -> None:
    rule = WeakRule(kind=WeakKind.BELOW_BASELINE, baseline="teacher")
    baseline = dict.fromkeys(TIERS, 1.0)
    ours = {task: (1, int(tier == "easy" or n % 10 > 0)) for n, (task, tier) in enumerate(TIERS.items())}
    easy, hard = score_tiers(TIERS, ours, rule, baseline).tiers
    assert (easy.weak, hard.weak) == (False, True)
    assert hard.pass_at_1.value == 0.9  # which no rule about its own interval alone would call weak
    assert not any(one.weak for one in score_tiers(TIERS, ours, rule, {}).tiers)  # nothing to compare with


def test_a_few_tasks_are_not_weak_however_narrow_their_bootstrap() -> None:
    rule = WeakRule(kind=WeakKind.BELOW_BASELINE)
    for tasks, weak in ((2, False), (5, False), (6, True)):  # flipping signs: 1 of 2^5 is above 2.5 %, 1 of 2^6 below
        tiers = {f"t{n}": "easy" for n in range(tasks)}
        ours = {task: (4, n % 2) for n, task in enumerate(tiers)}
        before, after = [0.75] * tasks, [passed / judged for judged, passed in ours.values()]
        assert interval(before, after)[1] < 0
        assert score_tiers(tiers, ours, rule, dict.fromkeys(tiers, 0.75)).tiers[0].weak is weak


def test_several_samples_a_task_are_held_against_a_baseline_by_the_bootstrap() -> None:
    rule = WeakRule(kind=WeakKind.BELOW_BASELINE)
    ours = {task: (4, n % 3 if tier == "hard" else 3) for n, (task, tier) in enumerate(TIERS.items())}
    scores = score_tiers(TIERS, ours, rule, dict.fromkeys(TIERS, 0.75))
    assert [one.weak for one in scores.tiers] == [False, True]
    assert [bool(one.tune and one.tune.weak) for one in scores.tiers] == [False, True]


@pytest.mark.parametrize(
    ("before", "after"), [([1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]), ([0.5, 0.25, 1.0], [0.25, 0.0, 1.0])]
)
def test_the_interval_alone_is_that_of_the_difference(before: list[float], after: list[float]) -> None:
    change = difference(before, after)
    assert interval(before, after) == (change.low, change.high)
    with pytest.raises(ValueError, match="cannot be paired"):
        interval([], [])


def test_rules_are_said_in_words() -> None:
    assert "of all tasks" in weak_text(WeakRule())
    assert "70.0%" in weak_text(WeakRule(kind=WeakKind.BELOW_TARGET, target=0.7))
    assert "to teacher" in weak_text(WeakRule(kind=WeakKind.BELOW_BASELINE, baseline="teacher"))
