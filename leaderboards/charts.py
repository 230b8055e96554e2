"""pass@1 against parameters as SVG, drawn here: the page needs no chart library, and the picture is always the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 46, 18, 14, 44
LABELLED = 14  # with more points than this, names would cover each other and show on hover alone
GLYPH = 6.1  # how wide a character of a label is, about


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A row of the table in the chart: scores in 0..1, parameters as a number."""

    label: str
    parameters: float
    value: float
    low: float
    high: float
    row: str = ""  # the id of the row that a click opens


@dataclass(frozen=True, slots=True)
class Dot:
    """A point in the picture's coordinates; `label` is empty where there is no room for one."""

    x: float
    y: float
    y_low: float
    y_high: float
    title: str
    row: str
    label: str = ""
    label_x: float = 0.0
    label_y: float = 0.0
    anchor: str = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A line of the grid."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """Everything that the template draws."""

    dots: tuple[Dot, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    without: int  # rows that are not in it because their parameters are not known
    summary: str
    width: int = WIDTH
    height: int = HEIGHT


def scatter(points: Sequence[Point], without: int, summary: str) -> Scatter | None:
    """Return the chart of some points on a logarithmic axis of parameters, or None if there is none."""
    if not points:
        return None
    low, high = _decades([point.parameters for point in points])
    bottom, top = _bounds(points)

    def x(parameters: float) -> float:
        share = (math.log10(parameters) - low) / (high - low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        share = (value - bottom) / (top - bottom)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    dots = [
        Dot(
            x(point.parameters),
            y(point.value),
            y(max(point.low, bottom)),
            y(min(point.high, top)),
            f"{point.label}: {100 * point.value:.1f} at {_short(point.parameters)}",
            point.row,
        )
        for point in sorted(points, key=lambda point: (point.parameters, -point.value, point.label))
    ]
    names = [point.label for point in sorted(points, key=lambda point: (point.parameters, -point.value, point.label))]
    step = next(step for step in (5, 10, 20) if (top - bottom) * 100 <= 6 * step)
    steps = [value / 100 for value in range(math.ceil(100 * bottom / step - 1e-9) * step, round(100 * top) + 1, step)]
    return Scatter(
        dots=tuple(_label(dots, names) if len(dots) <= LABELLED else dots),
        across=tuple(Tick(at=x(value), text=_short(value)) for value in ticks(low, high)),
        up=tuple(Tick(at=y(value), text=f"{100 * value:.0f}") for value in steps),
        without=without,
        summary=summary,
    )


def _decades(parameters: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis as powers of ten, with some air."""
    low, high = math.log10(min(parameters)), math.log10(max(parameters))
    air = max(0.12, 0.06 * (high - low))
    return (low - air, high + air) if high > low else (low - 0.5, high + 0.5)


def _bounds(points: Sequence[Point]) -> tuple[float, float]:
    """Return the ends of the score axis: multiples of 10 points that hold every interval."""
    bottom = math.floor(min(point.low for point in points) * 10) / 10
    top = math.ceil(max(point.high for point in points) * 10) / 10
    return (bottom, top) if top - bottom >= 0.15 else (max(0.0, top - 0.2), max(top, 0.2))


def ticks(low: float, high: float, most: int = 9) -> list[float]:
    """Return round numbers in an axis of powers of ten: 1, 2, 5 in each decade, or 1, 3 if those were too many."""
    for digits in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [
            digit * 10.0**decade
            for decade in range(math.floor(low), math.ceil(high) + 1)
            for digit in digits
            if low <= math.log10(digit * 10.0**decade) <= high
        ]
        if len(found) <= most:
            return found
    return found[:: math.ceil(len(found) / most)]


def _short(parameters: float) -> str:
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if parameters >= unit:
            return f"{parameters / unit:.3g}{name}"
    return f"{parameters:.3g}"


def _label(dots: Sequence[Dot], names: Sequence[str]) -> list[Dot]:
    """Return the dots with a label each, where one finds a free place beside, above or below its dot."""
    taken = [(dot.x - 6, dot.y - 6, dot.x + 6, dot.y + 6) for dot in dots]
    labelled = []
    for dot, full in zip(dots, names, strict=True):
        name = full if len(full) <= 28 else full[:27] + "…"
        wide = GLYPH * len(name)
        for dx, dy, anchor in ((9, 4, "start"), (-9, 4, "end"), (0, -10, "middle"), (0, 18, "middle")):
            left = dot.x + dx - {"start": 0, "end": wide, "middle": wide / 2}[anchor]
            box = (left, dot.y + dy - 10, left + wide, dot.y + dy + 3)
            if left < LEFT or left + wide > WIDTH - 2 or any(_overlap(box, other) for other in taken):
                continue
            taken.append(box)
            dot = Dot(
                dot.x, dot.y, dot.y_low, dot.y_high, dot.title, dot.row, name, dot.x + dx, round(dot.y + dy, 1), anchor
            )
            break
        labelled.append(dot)
    return labelled


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
