"""Accuracy and latency of the exits of encoders, as SVG: a panel a set, a line a model, a point an exit.

Drawn here, as `charts` is, for two places: the folder of a run, and the page of a board. Time is the median that a
query took, on a logarithmic axis; bars are 95 % intervals. The same reports give the same bytes. Background is none,
and the colours can be told apart on white and on black, and by people who see fewer of them; marks say the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from harness.records import Report
from leaderboards.charts import ticks
from leaderboards.text import one_line
from leaderboards.writing import write_file

GREY = "#7a7a7a"
COLOURS = ("#1f83c6", "#d55e00", "#009e73", "#b5679d", "#a8890a", "#7a7a7a")
MARKS = ("circle", "square", "diamond")
COLUMNS, WIDTH, HEIGHT = 3, 230, 190  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 34, 12, 24, 34
LINE = 16  # of the legend
MOST_TICKS = 5
MOST = 12  # models in one picture; more could not be told apart
TITLE = "Accuracy and latency of encoders' exits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One exit: its layer, the milliseconds of a query, and its score in 0..1 with an interval."""

    exit: int
    milliseconds: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The exits of one model, the shallowest first; `number` is which model it is in all panels."""

    name: str
    number: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One set of queries or pairs, by its first measure."""

    name: str
    measure: str
    curves: tuple[Curve, ...]


def write_curve(report: Report, path: Path) -> None:
    """Write the picture of one run's exits, where they were timed. `harness eval` calls it when a run is finished."""
    if panels := panels_of([(report.model, report)]):
        write_file(path, f'<?xml version="1.0" encoding="UTF-8"?>\n{to_svg(panels)}\n')


def panels_of(reports: Iterable[tuple[str, Report]]) -> list[Panel]:
    """Return a panel for each set of runs by their names, in the order of the reports; none without timed exits."""
    found: dict[tuple[str, str], list[Curve]] = {}
    timed = [(name, report, times) for name, report in reports if (times := _times(report))]
    for number, (name, report, times) in enumerate(timed[:MOST]):
        points: dict[tuple[str, str], list[Point]] = {}
        for exit in report.exits:
            for one in exit.sets if exit.exit in times else ():
                for measure, score in list(one.metrics.items())[:1]:
                    point = Point(
                        exit=exit.exit,
                        milliseconds=times[exit.exit],
                        value=score.value,
                        low=score.low,
                        high=score.high,
                    )
                    points.setdefault((one.name, measure), []).append(point)
        for key, of_set in points.items():
            curve = Curve(name=one_line(name, 60), number=number, points=tuple(of_set))
            found.setdefault(key, []).append(curve)
    return [
        Panel(name=one_line(name, 40), measure=one_line(measure, 40), curves=tuple(curves))
        for (name, measure), curves in found.items()
    ]


def _times(report: Report) -> dict[int, float]:
    """Return the milliseconds of a query at each exit that was timed."""
    timed = {exit.exit: 1000 * exit.latency.seconds_per_query for exit in report.exits if exit.latency}
    return {exit: milliseconds for exit, milliseconds in timed.items() if milliseconds > 0}


def in_words(panels: Sequence[Panel]) -> str:
    """Return the picture in words, for those who cannot see it."""
    said = []
    for panel in panels:
        curves = []
        for curve in panel.curves:
            points = [f"{_exit(one)}{one.value:.0%} at {one.milliseconds:.3g} ms" for one in curve.points]
            curves.append(f"{curve.name} {', '.join(points)}")
        said.append(f"{panel.name} ({panel.measure}): {'; '.join(curves)}")
    return f"{TITLE}. {'. '.join(said)}."


def _exit(point: Point) -> str:
    return f"exit {point.exit} " if point.exit else ""


def to_svg(panels: Sequence[Panel], ink: str = GREY) -> str:
    """Return the picture as an `svg` element with a title and a description; `ink` is the colour of texts and lines."""
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    names = {curve.number: curve.name for panel in panels for curve in panel.curves}
    width, height = columns * WIDTH, rows * HEIGHT + LINE * len(names) + 8
    low, high = _decades([point.milliseconds for panel in panels for curve in panel.curves for point in curve.points])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label={quoteattr(TITLE)} '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="10" color="{ink}" fill="currentColor">',
        f"<title>{escape(TITLE)}</title><desc>{escape(in_words(panels))}</desc>",
    ]
    for place, panel in enumerate(panels):
        x, y = place % columns * WIDTH, place // columns * HEIGHT
        parts.append(f'<g transform="translate({x} {y})">{_panel(panel, low, high)}</g>')
    for line, (number, name) in enumerate(names.items()):
        y = rows * HEIGHT + LINE * line + 8
        parts.append(f'{_mark(number, LEFT, y)}<text x="{LEFT + 10}" y="{y + 3.5}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def _decades(milliseconds: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis as powers of ten, with some air."""
    logs = [math.log10(one) for one in milliseconds]
    air = max(0.15, 0.06 * (max(logs) - min(logs)))
    return min(logs) - air, max(logs) + air


def _panel(panel: Panel, low: float, high: float) -> str:
    def across(milliseconds: float) -> float:
        return round(LEFT + (math.log10(milliseconds) - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    def up(value: float) -> float:
        return round(HEIGHT - BOTTOM - value * (HEIGHT - TOP - BOTTOM), 1)

    parts = [f'<text x="{LEFT}" y="14" font-size="11">{escape(panel.name)}, {escape(panel.measure)}</text>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = up(share)
        parts.append(_grid(LEFT, y, WIDTH - RIGHT, y) + _text(LEFT - 5, y + 3.5, f"{100 * share:.0f}", "end"))
    for tick in ticks(low, high, MOST_TICKS):
        x = across(tick)
        parts.append(_grid(x, up(0), x, up(1)) + _text(x, HEIGHT - BOTTOM + 13, f"{tick:.3g}", "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 26, "ms a query", "middle"))
    for curve in panel.curves:
        colour = _colour(curve.number)
        way = " ".join(f"{across(one.milliseconds)},{up(one.value)}" for one in curve.points)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for one in curve.points:
            x, y = across(one.milliseconds), up(one.value)
            said = f"{curve.name}, {_exit(one)}{100 * one.value:.1f} at {one.milliseconds:.3g} ms"
            parts.append(
                f'<g><title>{escape(said)}</title><path d="M{x} {up(one.low)}V{up(one.high)}" stroke="{colour}"/>'
                f"{_mark(curve.number, x, y)}{_text(x + 6, y - 5, str(one.exit), 'start') if one.exit else ''}</g>"
            )
    return "".join(parts)


def _grid(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1} {y1}L{x2} {y2}" stroke="currentColor" stroke-opacity="0.25" stroke-width="0.6"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _mark(number: int, x: float, y: float) -> str:
    """Return the mark of a model: another shape where colours come again, and for every second one."""
    shape, colour = MARKS[(number % 2 + number // len(COLOURS)) % len(MARKS)], _colour(number)
    if shape == "circle":
        return f'<circle cx="{x}" cy="{y}" r="3.2" fill="{colour}"/>'
    turn = f' transform="rotate(45 {x} {y})"' if shape == "diamond" else ""
    return f'<rect x="{round(x - 3, 1)}" y="{round(y - 3, 1)}" width="6" height="6" fill="{colour}"{turn}/>'
