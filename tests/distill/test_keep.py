"""Keep or discard: several looks at the same held-back tasks share one level."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.command import print_decisions
from distill.keep import Change, Decision, KeepRule, decide, level_of_round
from distill.loop import LoopConfig, Machine, run_loop
from distill.round import Round
from harness import Baseline, Difference, Half, NoProgress, UsageError


def measured(counts: dict[str, tuple[int, int]]) -> Baseline:
    """Return what a run of hard, held-back tasks counted."""
    return Baseline(
        benchmark="b",
        model="m",
        dataset_digest="d",
        protocol="p",
        counts=counts,
        tiers=dict.fromkeys(counts, "hard"),
        halves=dict.fromkeys(counts, Half.HELD_BACK),
    )


def runs(gained: int, lost: int, others: int = 40) -> tuple[Baseline, Baseline]:
    """Return a run before and one after it, a sample a task, in which so many tasks changed each way."""
    sides = [(0, 1)] * gained + [(1, 0)] * lost + [(1, 1)] * others
    before, after = ({str(place): (1, side[at]) for place, side in enumerate(sides)} for at in (0, 1))
    return measured(before), measured(after)


def test_a_gain_is_tested_at_the_level_of_its_round() -> None:
    before, after = runs(gained=5, lost=0)  # p = 1/32
    rule = KeepRule(alpha=0.05)
    kept = [decide(before, after, ["hard"], rule, alpha)[0] for alpha in (0.05, 0.032, 0.031, 0.05 / 3)]
    assert kept == [True, True, False, False]
    _, reason, _ = decide(before, after, ["hard"], rule, 0.05 / 3)
    assert "p = 0.031, kept up to 0.0167" in reason


def test_a_drop_and_the_intervals_keep_the_whole_level() -> None:
    before, after = runs(gained=0, lost=6, others=0)  # p = 1/64: shown at 0.05, and not at a third of it
    rule = KeepRule(alpha=0.05, max_drop=0.0, tier_max_drop=0.0)
    found = [decide(before, after, ["hard"], rule, alpha) for alpha in (0.05, 0.005)]
    assert all("no gain" not in reason for _, reason, _ in found)
    assert found[0][2] == found[1][2]


def test_rounds_share_the_level_and_one_without_a_test_leaves_its_share() -> None:
    rule = KeepRule(alpha=0.06)
    assert level_of_round(rule, [], 3) == pytest.approx(0.02)
    assert level_of_round(rule, [0.02, 0.02], 3) == pytest.approx(0.02)
    assert level_of_round(rule, [0.0, 0.0], 3) == pytest.approx(0.06)
    assert level_of_round(rule, [0.02], 5) == pytest.approx(0.01)  # the loop was given more rounds
    with pytest.raises(UsageError, match="used up"):
        level_of_round(rule, [0.02, 0.02, 0.02], 4)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), min_size=1, max_size=12))
def test_the_levels_of_a_loop_never_add_up_to_more_than_its_alpha(course: list[tuple[bool, int]]) -> None:
    spent: list[float] = []
    for tested, more in course:  # each round tests or does not, whatever number of rounds is then asked for
        try:
            level = level_of_round(KeepRule(alpha=0.05), spent, len(spent) + more)
        except UsageError:
            break
        spent.append(level if tested else 0.0)
    assert sum(spent) <= 0.05 * (1 + 1e-9)


def test_a_printed_interval_has_the_level_that_it_was_made_for(capsys: pytest.CaptureFixture[str]) -> None:
    gain = Difference(
        value=0.1, low=0.0, high=0.2, p_value=1, p_worse=1, p_better=1, smallest_effect=0.1, test="exact McNemar"
    )
    change = Change(subject="all", tasks=9, before=0.4, after=0.5, difference=gain)
    for level, shown in ((0.95, "95 %"), (0.9, "90 %"), (0.975, "97.5 %")):
        decision = Decision(round=1, kept=True, reason="r", student="s", run="r", changes=(change,), confidence=level)
        print_decisions([decision])
        assert f"points, {shown} +0.0 to +20.0)" in capsys.readouterr().out


def test_a_loop_gives_each_round_its_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_: list[float | None] = []

    def play(self: Round, measured: Path | None, alpha: float | None = None) -> Decision:
        given_.append(alpha)
        tested = alpha or 0.0 if len(given_) != 1 else 0.0  # in the first round the teacher had no right answer
        return Decision(
            round=len(given_), kept=False, reason="r", student="demo:student", run="r", weak=("a",), alpha=tested
        )

    monkeypatch.setattr(Round, "play", play)
    config = msgspec.convert(
        {"student": "demo:student", "teacher": {"model": "demo:teacher"}, "training": {"steps": 1}, "rounds": 3},
        LoopConfig,
    )
    said: list[str] = []
    machine = Machine(progress=NoProgress, say=said.append)
    run_loop(config, tmp_path, machine)
    assert [text for text in said if text.startswith("no leaderboard: ")]  # no run is there, and that stops no round
    assert given_ == pytest.approx([0.05 / 3, 0.025, 0.025])
    with pytest.raises(UsageError, match="used up"):
        run_loop(msgspec.structs.replace(config, rounds=4), tmp_path, machine)
    run_loop(msgspec.structs.replace(config, rounds=3), tmp_path, machine)  # what is done can always be read
    assert len(given_) == 3
