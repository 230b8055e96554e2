"""Schedules: which examples each stage has, and the exact order in which an optimizer gets them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.curriculum import (
    Graded,
    Schedule,
    Stage,
    Strategy,
    draws,
    levels_by_rank,
    levels_of,
    plan,
    shares,
)
from harness import UsageError

# Twelve examples, four of each level; the hardest of level 1 are 2 and 3, of level 2 they are 4 and 6.
DIFFICULTIES = [1.0, 1.2, 1.9, 1.5, 3.9, 2.0, 3.0, 2.5, 9.0, 4.0, 5.0, 6.0]
LEVELS = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
CATEGORIES = ["b", "a"] * 6
GRADED = Graded(difficulties=DIFFICULTIES, levels=LEVELS, categories=CATEGORIES)


def stages_of(name: Strategy, **options: Any) -> tuple[Stage, ...]:
    return plan(Schedule(strategy=name, **options), GRADED, seed=5)


def examples_of(name: Strategy, **options: Any) -> list[tuple[int, ...]]:
    return [stage.examples for stage in stages_of(name, **options)]


def test_random_is_one_stage_of_all() -> None:
    assert stages_of(Strategy.RANDOM) == (Stage(name="all", examples=tuple(range(12)), share=1.0, shuffled=True),)


def test_restarts_have_all_examples_in_the_stages_of_a_curriculum() -> None:
    assert examples_of(Strategy.RANDOM_RESTARTS) == [tuple(range(12))] * 3
    for like in (Strategy.SEQUENTIAL, Strategy.INCREMENTAL, Strategy.HYBRID):
        control = stages_of(Strategy.RANDOM_RESTARTS, restarts_like=like)
        assert [stage.share for stage in control] == [stage.share for stage in stages_of(like)]


def test_sequential_has_a_level_after_another() -> None:
    assert examples_of(Strategy.SEQUENTIAL) == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)]


def test_incremental_adds_levels() -> None:
    assert examples_of(Strategy.INCREMENTAL) == [(0, 1, 2, 3), tuple(range(8)), tuple(range(12))]


def test_hybrid_keeps_exactly_the_hardest_half_of_each_earlier_level() -> None:
    assert examples_of(Strategy.HYBRID) == [(0, 1, 2, 3), (2, 3, 4, 5, 6, 7), (2, 3, 4, 6, 8, 9, 10, 11)]


@pytest.mark.parametrize(("share", "kept"), [(0.25, (2,)), (0.75, (1, 2, 3)), (0.1, ()), (0.125, (2,))])
def test_hybrid_keeps_the_share_that_was_asked_for(share: float, kept: tuple[int, ...]) -> None:
    assert examples_of(Strategy.HYBRID, hybrid_share=share)[1] == (*kept, 4, 5, 6, 7)


def test_hybrid_lies_between_sequential_and_incremental() -> None:
    assert examples_of(Strategy.HYBRID, hybrid_share=0.0) == examples_of(Strategy.SEQUENTIAL)
    assert examples_of(Strategy.HYBRID, hybrid_share=1.0) == examples_of(Strategy.INCREMENTAL)


def test_ordered_ascends_in_one_pass() -> None:
    (stage,) = stages_of(Strategy.ORDERED)
    assert not stage.shuffled
    assert stage.examples == (0, 1, 3, 2, 5, 7, 6, 4, 9, 10, 11, 8)


def test_blocked_has_a_category_after_another() -> None:
    (stage,) = stages_of(Strategy.BLOCKED)
    assert not stage.shuffled
    assert [CATEGORIES[one] for one in stage.examples] == ["a"] * 6 + ["b"] * 6
    assert stage.examples != tuple(sorted(stage.examples, key=lambda one: (CATEGORIES[one], one)))


def test_blocked_easy_first_ascends_within_a_category() -> None:
    (order,) = examples_of(Strategy.BLOCKED, easy_first=True)
    assert order == (1, 3, 5, 7, 9, 11, 0, 2, 6, 4, 10, 8)


def test_interleaved_deals_thirds_of_the_categories_in_turn() -> None:
    (order,) = examples_of(Strategy.INTERLEAVED)
    assert [CATEGORIES[one] for one in order] == ["a", "a", "b", "b"] * 3
    assert sorted(order) == list(range(12))


def test_interleaved_easy_first_has_all_categories_easy_examples_before_harder_ones() -> None:
    (order,) = examples_of(Strategy.INTERLEAVED, easy_first=True)
    assert [LEVELS[one] for one in order] == sorted(LEVELS)
    assert [CATEGORIES[one] for one in order] == ["a", "a", "b", "b"] * 3


@pytest.mark.parametrize("name", Strategy)
def test_no_example_is_lost_and_shares_add_up(name: Strategy) -> None:
    stages = stages_of(name)
    assert {one for stage in stages for one in stage.examples} == set(range(12))
    assert sum(stage.share for stage in stages) == pytest.approx(1)
    assert all(len(set(stage.examples)) == len(stage.examples) for stage in stages)


@pytest.mark.parametrize("name", Strategy)
def test_the_same_seed_gives_the_same_plan(name: Strategy) -> None:
    assert plan(Schedule(strategy=name), GRADED, 3) == plan(Schedule(strategy=name), GRADED, 3)


@pytest.mark.parametrize("name", [Strategy.BLOCKED, Strategy.INTERLEAVED])
def test_another_seed_gives_another_order(name: Strategy) -> None:
    assert plan(Schedule(strategy=name), GRADED, 3) != plan(Schedule(strategy=name), GRADED, 4)


def test_shares_of_three_levels_are_the_papers() -> None:
    assert shares(Strategy.SEQUENTIAL, 3) == pytest.approx([1 / 3] * 3)
    assert shares(Strategy.INCREMENTAL, 3) == pytest.approx([25 / 120, 30 / 120, 65 / 120])
    assert shares(Strategy.HYBRID, 3) == pytest.approx([20 / 120, 30 / 120, 70 / 120])


def test_shares_of_other_numbers_of_levels_lie_on_the_papers_line() -> None:
    assert shares(Strategy.INCREMENTAL, 2) == pytest.approx([40 / 120, 80 / 120])
    assert shares(Strategy.HYBRID, 6) == pytest.approx([10 / 120, 10 / 120, 15 / 120, 15 / 120, 35 / 120, 35 / 120])
    assert shares(Strategy.SEQUENTIAL, 4) == pytest.approx([0.25] * 4)
    assert shares(Strategy.HYBRID, 1) == [1.0]


def test_levels_begin_at_thresholds() -> None:
    assert levels_of([1.9, 2.0, 3.9, 4.0, 9.0], (2, 4)) == [0, 1, 1, 2, 2]


def test_levels_by_rank_are_of_like_size_even_where_difficulties_are_alike() -> None:
    assert levels_by_rank([5.0, 1.0, 3.0, 4.0, 2.0, 6.0]) == [2, 0, 1, 1, 0, 2]
    assert Counter(levels_by_rank([1.0] * 9)) == {0: 3, 1: 3, 2: 3}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plan(Schedule(strategy=Strategy.HYBRID), Graded(difficulties=[1, 9], levels=[0, 2])), "level 2 of 3"),
        (lambda: plan(Schedule(strategy=Strategy.BLOCKED), Graded(difficulties=[1], levels=[0])), "category"),
        (lambda: Graded(difficulties=[], levels=[]), "no examples"),
        (lambda: Graded(difficulties=[1, 2], levels=[0]), "each example needs one"),
        (lambda: Graded(difficulties=[float("nan")], levels=[0]), "not a number"),
        (lambda: Schedule(strategy=Strategy.HYBRID, hybrid_share=1.5), "0 to 1"),
        (lambda: Schedule(strategy=Strategy.HYBRID, easy_first=True), "blocked and interleaved"),
        (lambda: Schedule(strategy=Strategy.RANDOM_RESTARTS, restarts_like=Strategy.ORDERED), "use one of"),
        (lambda: levels_of([1.0], (4, 2)), "each above the one before"),
        (lambda: levels_of([1.0, 3.0], (2, 4)), "level 3 of 3 has no examples"),
        (lambda: levels_by_rank([1.0, 2.0], 3), "at least 1 level"),
        (lambda: draws(Stage(name="s", examples=(), share=1, shuffled=True), [], 2, 3, 0), "no examples"),
    ],
)
def test_what_makes_no_sense_is_said(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()


def shuffled(examples: int) -> Stage:
    return Stage(name="s", examples=tuple(range(examples)), share=1.0, shuffled=True)


def passed_over(*order: int) -> Stage:
    return Stage(name="s", examples=order, share=1.0, shuffled=False)


@given(examples=st.integers(1, 40), batch=st.integers(1, 8), steps=st.integers(0, 60), seed=st.integers(0, 9))
def test_shuffled_draws_are_whole_epochs(examples: int, batch: int, steps: int, seed: int) -> None:
    lengths = [1 + (7 * place) % 5 for place in range(examples)]
    drawn = draws(shuffled(examples), lengths, batch, steps, seed)
    assert len(drawn) == steps * batch
    counts = Counter(drawn).values()
    assert all(len(drawn) // examples <= count <= len(drawn) // examples + 1 for count in counts)
    assert drawn == draws(shuffled(examples), lengths, batch, steps, seed)


def test_another_seed_draws_in_another_order() -> None:
    assert draws(shuffled(50), [1] * 50, 5, 10, 0) != draws(shuffled(50), [1] * 50, 5, 10, 1)


def test_a_batch_is_of_like_length_and_batches_are_not_sorted() -> None:
    lengths = [place % 97 for place in range(640)]
    drawn = draws(shuffled(640), lengths, 20, 32, 0)
    batches = [[lengths[one] for one in drawn[start : start + 20]] for start in range(0, 640, 20)]
    assert sum(max(batch) - min(batch) for batch in batches) / len(batches) < 10  # 90 for batches of a permutation
    assert batches != sorted(batches)
    assert len({drawn[0] for drawn in (draws(shuffled(640), lengths, 20, 1, seed) for seed in range(9))}) > 1


def test_an_order_is_passed_over_once() -> None:
    assert draws(passed_over(3, 1, 4, 0, 5, 2), [], 2, 3, 0) == [3, 1, 4, 0, 5, 2]


def test_few_steps_leave_gaps_and_many_overlap_but_both_go_from_start_to_end() -> None:
    assert draws(passed_over(*range(10)), [], 2, 3, 0) == [0, 1, 4, 5, 8, 9]
    assert draws(passed_over(*range(4)), [], 2, 5, 0) == [0, 1, 0, 1, 1, 2, 2, 3, 2, 3]
    assert draws(passed_over(*range(4)), [], 2, 1, 0) == [0, 1]


@given(examples=st.integers(1, 30), batch=st.integers(1, 8), steps=st.integers(2, 60))
def test_passing_over_never_goes_back_and_ends_at_the_end(examples: int, batch: int, steps: int) -> None:
    drawn = draws(passed_over(*range(examples)), [], batch, steps, 0)
    batches = [drawn[start : start + batch] for start in range(0, len(drawn), batch)]
    assert len(batches) == steps
    if examples >= batch:
        assert all(len(set(one)) == batch for one in batches)
        assert all(before[0] <= after[0] for before, after in pairwise(batches))
        assert (batches[0][0], batches[-1][-1]) == (0, examples - 1)
    else:
        assert all(set(one) == set(range(examples)) for one in batches)
