"""What a loop's rounds measured, as numbers and as a picture: the reports' numbers, and nothing else."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from click.testing import CliRunner
from made_runs import write_run

from distill.command import distill
from distill.config import dump
from distill.history import BEFORE, RoundScores, history_of
from distill.keep import Decision
from distill.loop import CONFIG, DECISION, STAGES, LoopConfig, StageDone
from distill.picture import alt_text, draw
from harness import Half, MissingDependency, UsageError, halves, load_run

SVG = "{http://www.w3.org/2000/svg}"
TIERS = ("easy", "hard", "odd $x$ <&>")
TASKS = {f"{tier}/{number}": tier for tier in TIERS for number in range(20)}
PASSED = [{"easy": 19, "hard": 5}, {"easy": 18, "hard": 12}, {"easy": 3, "hard": 13}, {"easy": 19, "hard": 16}]
KEPT = (True, False, True)  # the first, third and fifth round trains; the fourth finds nothing to learn


def measure(folder: Path, passed: dict[str, int]) -> str:
    done = {task: [int(task.rpartition("/")[2]) < passed.get(tier, 4)] for task, tier in TASKS.items()}
    return str(write_run(folder, done, tiers=TASKS))


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """Return a loop's folder: kept, discarded, nothing trained, kept, and a round that is not decided yet."""
    plain = {"student": "s", "teacher": {"model": "t"}, "training": {"steps": 1}, "rounds": 5}
    (tmp_path / CONFIG).write_text(dump(msgspec.convert(plain, LoopConfig)))
    measure(tmp_path / "rounds" / "01" / "student", PASSED[0])
    for number, kept, passed in ((1, True, PASSED[1]), (2, False, PASSED[2]), (3, False, None), (4, True, PASSED[3])):
        folder = tmp_path / "rounds" / f"{number:02}"
        run = measure(folder / "candidate", passed) if passed else ""
        stages = ["answers", "candidate"] if passed else ["answers"]
        lines = [msgspec.json.encode(StageDone(stage=stage, seconds=1.0, counts={})) + b"\n" for stage in stages]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STAGES).write_bytes(b"".join(lines))
        decision = Decision(round=number, kept=kept, reason=f"why {number}", student="s", run=run, weak=("hard",))
        (folder / DECISION).write_bytes(msgspec.json.encode(decision))
    measure(tmp_path / "rounds" / "05" / "candidate", PASSED[0])
    return tmp_path


def test_the_numbers_are_those_of_the_reports_held_back_halves(loop: Path) -> None:
    history = history_of(loop)
    assert [(one.round, one.kept, one.reason) for one in history] == [
        (0, True, BEFORE),
        (1, True, "why 1"),
        (2, False, "why 2"),
        (3, False, "why 3"),
        (4, True, "why 4"),
    ]
    assert [one.weak for one in history] == [(), *[("hard",)] * 4]
    runs = ["01/student", "01/candidate", "02/candidate", None, "04/candidate"]
    held_back = {task for task, half in halves(TASKS).items() if half is Half.HELD_BACK}
    for one, name in zip(history, runs, strict=True):
        if name is None:
            assert (one.tiers, one.overall) == ((), None)
            continue
        run = load_run(loop / "rounds" / name)
        passed = {verdict.task_id for verdict in run.verdicts() if verdict.passed}
        assert tuple(score.tier for score in one.tiers) == tuple(tier.tier for tier in run.report.tiers)
        for score, tier in zip(one.tiers, run.report.tiers, strict=True):
            assert tier.held_back is not None
            assert (score.tasks, score.pass_at_1) == (10, tier.held_back.pass_at_1)
            mine = {task for task in held_back if TASKS[task] == score.tier}
            assert score.pass_at_1.value == pytest.approx(len(mine & passed) / 10)
        assert one.overall is not None
        assert one.overall.pass_at_1.value == pytest.approx(len(held_back & passed) / 30)


def test_the_command_prints_the_numbers(loop: Path) -> None:
    shown = CliRunner().invoke(distill, ["picture", str(loop), "--json"], catch_exceptions=False)
    assert msgspec.json.decode(shown.stdout, type=list[RoundScores]) == history_of(loop)
    text = CliRunner().invoke(distill, ["picture", str(loop)], catch_exceptions=False).stdout
    assert "round 2: not kept: why 2\n" in text
    for one in history_of(loop):
        for score in (*one.tiers, *([one.overall] if one.overall else [])):
            assert f"{score.pass_at_1.value:6.1%} (95 % {score.pass_at_1.low:.1%} to {score.pass_at_1.high:.1%}" in text


def test_a_folder_without_a_decided_round_is_refused(loop: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no loop"):
        history_of(tmp_path / "nowhere")
    for path in loop.glob(f"rounds/*/{DECISION}"):
        path.unlink()
    with pytest.raises(UsageError, match="no round that is decided"):
        history_of(loop)


def drawn(loop: Path, name: str = "picture.svg") -> Path:
    if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
        pytest.importorskip("matplotlib")
    shown = CliRunner().invoke(distill, ["picture", str(loop), "--to", str(loop / name)], catch_exceptions=False)
    assert alt_text(history_of(loop)) in shown.stdout
    return loop / name


@pytest.mark.slow
def test_the_picture_has_a_panel_for_each_tier_and_all_tasks(loop: Path) -> None:
    root = ElementTree.parse(drawn(loop)).getroot()
    texts = ["".join(one.itertext()).strip() for one in root.iter(f"{SVG}text")]
    titles = [text for text in texts if "(n = " in text]
    assert titles == [*(f"{tier} (n = 10)" for tier in TIERS), "all tasks (n = 30)"]
    assert (root.get("role"), root[0].tag) == ("img", f"{SVG}title")
    assert root.findtext(f"{SVG}desc") == alt_text(history_of(loop))
    assert "hard: " in alt_text(history_of(loop))
    assert " after round 2 (discarded)" in alt_text(history_of(loop))


def heights(group: ElementTree.Element) -> list[float]:
    return [float(one.get("y", "")) for one in group.iter(f"{SVG}use")]


@pytest.mark.slow
def test_what_is_drawn_lies_where_the_numbers_say(loop: Path) -> None:
    groups = {one.get("id", ""): one for one in ElementTree.parse(drawn(loop)).getroot().iter(f"{SVG}g")}
    ticks = [heights(one)[-1] for name, one in groups.items() if name.startswith("ytick")]
    bottom, top = max(ticks), min(ticks)  # 0 % and 100 %
    for one in history_of(loop):
        for score in (*one.tiers, *([one.overall] if one.overall else [])):
            (height,) = heights(groups[f"round {one.round}: {score.tier}"])
            assert (bottom - height) / (bottom - top) == pytest.approx(score.pass_at_1.value, abs=1e-4)


@pytest.mark.slow
def test_the_same_loop_gives_the_same_bytes(loop: Path) -> None:
    assert drawn(loop).read_bytes() == drawn(loop, "again.svg").read_bytes()


@pytest.mark.slow
def test_a_kept_round_and_a_discarded_one_look_different(loop: Path) -> None:
    before = drawn(loop).read_text()
    path = loop / "rounds" / "02" / DECISION
    path.write_text(json.dumps(json.loads(path.read_text()) | {"kept": True}))
    after = drawn(loop).read_text()
    assert before.count("#d55e00") > after.count("#d55e00") > 0  # the legend has one of each


@pytest.mark.slow
def test_another_kind_of_file_and_one_that_cannot_be_written_are_refused(loop: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.svg"):
        draw(history_of(loop), loop / "picture.png")
    drawn(loop)
    with pytest.raises(UsageError, match="cannot write"):
        draw(history_of(loop), loop / "nowhere" / "picture.svg")


def test_without_matplotlib_the_message_has_the_command(loop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependency, match=r"code-harness\[plots\]"):
        draw(history_of(loop), loop / "picture.svg")
