"""The picture of encoders' exits: where its points lie, what it says in words, and where it is shown."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.records import Estimate, ExitScore, Report
from harness.scores import Latency, SetScore
from leaderboards.build import build
from leaderboards.curves import COLOURS, in_words, panels_of, to_svg, write_curve
from leaderboards.runs import Unusable, read_run
from tests.leaderboards.folders import MakeRun, outcomes_of
from tests.leaderboards.test_runs import edit

SVG = "{http://www.w3.org/2000/svg}"


def exit_score(exit: int, seconds: float, mrr: float) -> ExitScore:
    latency = Latency(
        exit=exit,
        seconds_per_query=seconds,
        seconds_per_document=seconds,
        queries=64,
        documents=64,
        passes=5,
        batch_size=32,
        threads=1,
        device="cpu",
    )
    score = SetScore(name="mbpp", queries=9, metrics={"mrr@100": Estimate(value=mrr, low=mrr / 2, high=(1 + mrr) / 2)})
    return ExitScore(exit=exit, sets=(score,), latency=latency)


EXITS = (exit_score(2, 0.001, 0.25), exit_score(4, 0.01, 0.75))


@pytest.fixture
def run(make_run: MakeRun) -> Path:
    """Return the folder of an encoder's run."""
    folder = make_run("enc", outcomes_of("10"), model="<b>enc</b>")
    edit(folder / "report.json", lambda report: report.update(exits=msgspec.to_builtins(EXITS)))
    return folder


def report_of(folder: Path) -> Report:
    return read_run(folder).report


def test_points_lie_by_the_logarithm_of_time_and_by_score(run: Path, tmp_path: Path) -> None:
    write_curve(report_of(run), tmp_path / "curve.svg")
    root = ET.fromstring((tmp_path / "curve.svg").read_text())  # so it is well-formed, whatever models are called
    (line,) = root.iter(f"{SVG}polyline")
    points = [[float(number) for number in point.split(",")] for point in line.attrib["points"].split()]
    (left, low), (right, high) = points
    assert low - high == pytest.approx(2 * (low - high_of(root, 50)), abs=0.2)  # 25 and 75 lie on both sides of 50
    ticks = {text.text: float(text.attrib["x"]) for text in root.iter(f"{SVG}text")}
    assert left == pytest.approx(ticks["1"], abs=0.2)
    assert right == pytest.approx(ticks["10"], abs=0.2)
    assert [one.text for one in root.iter(f"{SVG}title")][1:] == [
        "<b>enc</b>, exit 2 25.0 at 1 ms",
        "<b>enc</b>, exit 4 75.0 at 10 ms",
    ]


def high_of(root: ET.Element, percent: int) -> float:
    """Return where the grid has a percentage; its text stands a little lower."""
    return next(float(text.attrib["y"]) for text in root.iter(f"{SVG}text") if text.text == str(percent)) - 3.5


def test_the_picture_says_itself_in_words_and_is_always_the_same(run: Path) -> None:
    panels = panels_of([("enc", report_of(run)), ("other", report_of(run))])
    assert in_words(panels).endswith(
        "mbpp (mrr@100): enc exit 2 25% at 1 ms, exit 4 75% at 10 ms; other exit 2 25% at 1 ms, exit 4 75% at 10 ms."
    )
    assert to_svg(panels) == to_svg(panels_of([("enc", report_of(run)), ("other", report_of(run))]))
    assert all(colour in to_svg(panels) for colour in COLOURS[:2])


def test_a_run_without_timed_exits_has_no_picture(make_run: MakeRun, tmp_path: Path) -> None:
    write_curve(report_of(make_run("plain", outcomes_of("10"))), tmp_path / "curve.svg")
    assert not (tmp_path / "curve.svg").exists()


def test_the_page_of_a_board_shows_the_picture(run: Path, make_run: MakeRun, tmp_path: Path) -> None:
    page = (build([run], tmp_path / "with").files[-1]).read_text()
    assert "Accuracy and latency of exits" in page
    assert "<polyline" in page
    assert "<b>enc" not in page
    other = build([make_run("plain", outcomes_of("10"))], tmp_path / "without")
    assert "<polyline" not in other.files[-1].read_text()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda exit: exit["latency"].update(seconds_per_query=-1.0), "seconds or tokens are not counts"),
        (lambda exit: exit["sets"][0]["metrics"]["mrr@100"].update(value=2.0), "mbpp is no share"),
    ],
)
def test_an_exit_that_cannot_be_is_refused(run: Path, change: Any, match: str) -> None:
    edit(run / "report.json", lambda report: change(report["exits"][0]))
    with pytest.raises(Unusable, match=match):
        read_run(run)
