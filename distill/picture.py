"""A picture of a loop: pass@1 of the held-back tasks over its rounds, a panel for each tier and one for all tasks.

The same loop gives the same bytes, whenever it is drawn by the same matplotlib. Background is none, and the colours can
be told apart on white and on black, and by people who see fewer of them; shapes say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from math import ceil
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from distill.history import HeldBackScore, RoundScores
from harness import MissingDependency, UsageError

GREY, BLUE, VERMILLION = "#7a7a7a", "#1f83c6", "#d55e00"  # contrast of 3 or more on GitHub's white and black
_COLUMNS, _WIDTH, _HEIGHT = 5, 2.1, 2.5  # panels in a row; inches of a panel
_TITLE = "pass@1 of the held-back tasks over the rounds of a distillation loop"
_STYLE = {
    "svg.hashsalt": "harness distill picture",  # else the names of clip paths are random
    "svg.fonttype": "none",  # text stays text: small, and found by search
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": GREY,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
}


def draw(history: Sequence[RoundScores], path: Path) -> None:
    """Write the picture as SVG. Raises UsageError for another kind of file, MissingDependency without matplotlib."""
    if path.suffix != ".svg":
        raise UsageError(f"{path}: the picture is an SVG: give it a name that ends in .svg")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependency("pictures need matplotlib: pip install 'code-harness[plots]'") from error

    with mpl.rc_context(_STYLE):
        names = [score.tier for score in history[0].tiers] + [""]
        columns = min(_COLUMNS, len(names))
        rows = ceil(len(names) / columns)
        figure = Figure(figsize=(_WIDTH * columns, _HEIGHT * rows + 0.5), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for place, panel in enumerate(panels.flat):
            if place < len(names):
                _draw_panel(panel, history, names[place])
                panel.set_xlabel("round" if place else "round (0: before)")
            else:
                panel.set_axis_off()
        for row in panels:
            row[0].set_ylabel("pass@1, held-back half")
        _add_legend(figure)
        text = StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    try:
        path.write_text(_described(text.getvalue(), alt_text(history)), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def alt_text(history: Sequence[RoundScores]) -> str:
    """Return the picture in words: for its `<desc>`, and for the `alt` of a page that shows it."""
    said = []
    for name in [score.tier for score in history[0].tiers] + [""]:
        steps = [f"{_percent(score.pass_at_1.value)} {_when(one)}" for one in history if (score := score_of(one, name))]
        said.append(f"{name or 'all tasks'}: {', '.join(steps)}")
    return f"{_TITLE}. {'; '.join(said)}."


def score_of(one: RoundScores, tier: str) -> HeldBackScore | None:
    """Return a round's score of a tier, or of all tasks for an empty name; None where it has none."""
    return next((score for score in one.tiers if score.tier == tier), None) if tier else one.overall


def _when(one: RoundScores) -> str:
    return f"after round {one.round}{'' if one.kept else ' (discarded)'}" if one.round else "before"


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _draw_panel(panel: Any, history: Sequence[RoundScores], tier: str) -> None:
    """Draw the student's way as a line through what was kept, with what was discarded beside it."""
    path: list[float] = []
    for one in history:
        score = score_of(one, tier)
        if score is not None:
            _draw_point(panel, one, score)
        path.append(score.pass_at_1.value if one.kept and score else path[-1] if path else float("nan"))
        if tier in one.weak:
            panel.axvspan(one.round - 1, one.round, color=GREY, alpha=0.15, linewidth=0)
    panel.plot([one.round for one in history], [100 * value for value in path], color=BLUE, linewidth=1.5)
    tasks = next((score.tasks for one in history if (score := score_of(one, tier))), 0)
    panel.set_title(f"{tier or 'all tasks'} (n = {tasks})", fontsize=10, parse_math=False)
    panel.set_xlim(-0.4, history[-1].round + 0.4)
    panel.set_xticks([one.round for one in history])
    panel.set_ylim(0, 103)
    panel.set_yticks([0, 25, 50, 75, 100], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    panel.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _draw_point(panel: Any, one: RoundScores, score: HeldBackScore) -> None:
    rate = score.pass_at_1
    bars = panel.errorbar(
        one.round,
        100 * rate.value,
        yerr=[[100 * (rate.value - rate.low)], [100 * (rate.high - rate.value)]],
        **_look(one.kept),
    )
    bars.lines[0].set_gid(f"round {one.round}: {score.tier}")


def _look(kept: bool) -> dict[str, Any]:
    colour, marker = (BLUE, "o") if kept else (VERMILLION, "s")
    face = colour if kept else "none"
    return {
        "color": colour,
        "marker": marker,
        "markerfacecolor": face,
        "markersize": 5.5,
        "elinewidth": 1.2,
        "capsize": 2.5,
        "linestyle": "none",
    }


def _add_legend(figure: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = {"color", "marker", "markerfacecolor", "markersize"}
    looks = [{name: value for name, value in _look(kept).items() if name in shown} for kept in (True, False)]
    handles = [
        Line2D([], [], linewidth=1.5, label="student, with 95 % interval", **looks[0]),
        Line2D([], [], linestyle="none", label="candidate, discarded", **looks[1]),
        Patch(color=GREY, alpha=0.15, linewidth=0, label="round for this tier, which was weak"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)


def _described(svg: str, text: str) -> str:
    """Return an SVG with a title and a description in words, for those who cannot see it."""
    head, tag, rest = svg.partition("<svg ")
    attributes, _, inside = rest.partition(">")
    words = f"\n <title>{_TITLE}</title>\n <desc>{escape(text)}</desc>"
    return f'{head}{tag}role="img" {attributes}>{words}{inside}'
