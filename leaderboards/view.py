"""The leaderboard's page: boards -> what its template shows. Nothing here is HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.records import Estimate
from leaderboards.boards import Board, Cell, Column, Row
from leaderboards.cards import Lengths, failures
from leaderboards.charts import Point, scatter
from leaderboards.curves import Panel, panels_of, to_svg
from leaderboards.detail import NAMES, run_detail, task_names
from leaderboards.links import Links
from leaderboards.page import render
from leaderboards.published import Reported
from leaderboards.runs import Run
from leaderboards.tables import APART, RANKING, grouped, interval, place, points, shown_columns, size
from leaderboards.text import one_line, script_json, searchable

SCRIPTS = ("list.min.js", "detail.js", "page.js")
CARDS_IN_PAGE = 3_000  # over all runs; a run gets its share of them
CARDS_OF_RUN = 12
DASH = "\u2013"
SHORT = Lengths(program=2_500, value=400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One column of a board's table: of benchmark column `at`, one of the kinds of number."""

    at: int
    kind: str  # pass@1, base, pass@10, tiers
    contested: bool  # whether it ranks more than one row


def index_page(title: str, boards: Sequence[Board], reported: Sequence[Reported], links: Links) -> str:
    """Return index.html."""
    rows = sum(len(board.rows) for board in boards)
    runs = sum(len(row.runs) for board in boards for row in board.rows)
    benchmarks = sorted({column.benchmark for board in boards for column in board.columns})
    summary = f"{_count(rows, 'row')}, {_count(len(benchmarks), 'benchmark')}, {_count(runs, 'run')}"
    return render(
        "index.html",
        SCRIPTS,
        title=title,
        summary=f"{summary}, each judged behind a wall. pass@1 in percent, with its 95 % interval.",
        benchmarks=sorted({*benchmarks, *_reported_benchmarks(reported)} if len(benchmarks) > 1 else benchmarks),
        boards=[_board(f"board-{number}", board, links) for number, board in enumerate(boards, 1)],
        reported=_reported(reported),
        notes={"ranking": RANKING, "apart": APART},
        data=script_json(_data(boards, links, runs)),
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _row_id(board: str, number: int) -> str:
    return f"{board}-row-{number}"


def _metrics(board: Board) -> list[Metric]:
    metrics = []
    for at, (base, ten) in enumerate(shown_columns(board)):
        cells = [cell for row in board.rows if (cell := row.cells[at])]
        contested = sum(cell.rank is not None for cell in cells) > 1
        tiers = any(cell.run.report.tiers for cell in cells)
        kinds = {"pass@1": True, "base": base, "pass@10": ten, "tiers": tiers}
        metrics += [Metric(at=at, kind=kind, contested=contested) for kind, is_there in kinds.items() if is_there]
    return metrics


_TITLES = {
    "base": "pass@1 on the base tests alone",
    "tiers": "pass@1 of each tier of difficulty; sorted by the last, the hardest",
}


def _board(name: str, board: Board, links: Links) -> dict[str, Any]:
    metrics = _metrics(board)
    rows = board.rows
    totals = [
        ("tokens", "tokens", "Prompt and completion tokens of all its runs", [grouped(row.tokens) for row in rows]),
        ("seconds", "seconds", "Wall seconds of the judged programs", [grouped(row.seconds, ",.0f") for row in rows]),
        ("cost", "US$", "Cost, as run.json states it", [grouped(row.cost, ",.2f") for row in rows]),
    ]
    shown = [total for total in totals if any(total[3])]
    heads = [
        {
            "column": f"m{number}",
            "benchmark": board.columns[metric.at].benchmark,
            "label": board.columns[metric.at].label,
            "metric": metric.kind,
            "title": _TITLES.get(
                metric.kind, f"{board.columns[metric.at].tasks} tasks; {board.columns[metric.at].limits}"
            ),
        }
        for number, metric in enumerate(metrics)
    ]
    charts = _charts(name, board)
    curves = [_panels(board, at) for at in range(len(board.columns))]
    return {
        "id": name,
        "label": board.label,
        "protocol": board.protocol,
        "decoding": board.decoding,
        "heads": heads,
        "totals": [{"column": column, "metric": metric, "title": title} for column, metric, title, _ in shown],
        "rows": [
            _row(_row_id(name, number), board, row, metrics, links) | {"totals": [texts[number] for *_, texts in shown]}
            for number, row in enumerate(rows)
        ],
        "sizes": any(row.parameters for row in rows),
        "charts": charts,
        "curves": [to_svg(panels, ink="currentColor") for panels in curves if panels],
        "no_chart": "" if charts else "No chart of pass@1 against parameters: no run here states its parameters.",
    }


def _conditions(column: Column) -> str:
    return f"{column.tasks} tasks; {column.limits}"


def _row(name: str, board: Board, row: Row, metrics: Sequence[Metric], links: Links) -> dict[str, Any]:
    cells = [_cell(board, row.cells[metric.at], metric, links) for metric in metrics]
    sort = [(f"m{number}", cell["sort"]) for number, cell in enumerate(cells)]
    sort += [("tokens", row.tokens or ""), ("seconds", round(row.seconds, 3)), ("cost", row.cost or "")]
    return {
        "id": name,
        "model": row.model,
        "variant": row.variant,
        "parameters": f"{row.parameters:.0f}" if row.parameters else "",
        "size": size(row.parameters),
        "search": searchable(f"{row.label} {board.label}"),
        "sort": sort,
        "cells": cells,
    }


def _cell(board: Board, cell: Cell | None, metric: Metric, links: Links) -> dict[str, Any]:
    """Return one cell, with the keys that the template asks for; `sort` is empty where there is no number."""
    empty = {"score": False, "tiers": None, "text": "", "sort": "", "benchmark": board.columns[metric.at].benchmark}
    if cell is None:
        return empty
    if metric.kind == "pass@1":
        return empty | _score(cell, metric.contested, links)
    if metric.kind == "tiers":
        return empty | _tiers(cell)
    estimate = cell.base_1 if metric.kind == "base" else cell.pass_10
    return empty if estimate is None else empty | {"text": points(estimate.value), "sort": f"{estimate.value:.6f}"}


def _score(cell: Cell, contested: bool, links: Links) -> dict[str, Any]:
    estimate: Estimate = cell.pass_1
    rank = cell.rank
    if rank is None:
        title = cell.unranked
    elif rank.ties > 1:
        title = f"Rank {rank.rank}, shared by {rank.ties}: the paired test does not tell them from the group's first"
    else:
        title = f"Rank {rank.rank}"
    return {
        "score": True,
        "text": points(estimate.value),
        "sort": f"{estimate.value:.6f}",
        "interval": interval(estimate).replace("-", DASH),
        "rank": place(cell).replace("-", DASH) if contested or rank is None else "",
        "first": rank is not None and rank.rank == 1,
        "rank_title": title,
        "report": links.report(cell.run),
        "check": f"Report. Check it with: {links.verify(cell.run)}",
        "low": round(100 * estimate.low, 2),
        "width": round(100 * (estimate.high - estimate.low), 2),
        "at": round(100 * estimate.value, 2),
    }


def _tiers(cell: Cell) -> dict[str, Any]:
    tiers = cell.run.report.tiers
    if not tiers:
        return {}
    title = "; ".join(
        f"{one_line(tier.tier)} {points(tier.pass_at_1.value)}{' (weak)' if tier.weak else ''}" for tier in tiers
    )
    bars = []
    for tier in tiers:
        height = round(26 * tier.pass_at_1.value, 1)
        bars.append({"y": round(26 - height, 1), "height": height, "weak": tier.weak})
    return {"tiers": bars, "title": title, "sort": f"{tiers[-1].pass_at_1.value:.6f}"}


def _panels(board: Board, at: int) -> list[Panel]:
    """Return the exits of the encoders of one column."""
    return panels_of((row.label, cell.run.report) for row in board.rows if (cell := row.cells[at]))


def _charts(name: str, board: Board) -> list[dict[str, Any]]:
    charts = []
    for at, column in enumerate(board.columns):
        numbered = [(number, row, cell) for number, row in enumerate(board.rows) if (cell := row.cells[at])]
        there = [
            Point(
                label=row.label,
                parameters=row.parameters,
                value=cell.pass_1.value,
                low=cell.pass_1.low,
                high=cell.pass_1.high,
                row=_row_id(name, number),
            )
            for number, row, cell in numbered
            if row.parameters
        ]
        summary = f"pass@1 on {column.label} against parameters, {len(there)} rows; the numbers are in the table"
        plot = scatter(there, len(numbered) - len(there), summary)
        if plot:
            charts.append({"id": f"{name}-chart-{at}", "label": column.label, "plot": plot})
    return charts


def _data(boards: Sequence[Board], links: Links, runs: int) -> dict[str, Any]:
    """Return what the dialog draws from: rows by id, their runs, and each list of tasks once."""
    cards = min(CARDS_OF_RUN, max(1, CARDS_IN_PAGE // max(1, runs)))
    lists: dict[tuple[str, ...], int] = {}
    names: list[list[str]] = []
    details: list[dict[str, Any]] = []
    rows: dict[str, Any] = {}

    def add(run: Run, label: str) -> int:
        tasks = run.config.task_ids
        if tasks not in lists:
            lists[tasks] = len(names)
            names.append(task_names(run))
        details.append({**run_detail(run, failures(run, cards, SHORT), links), "column": label, "tasks": lists[tasks]})
        return len(details) - 1

    for number, board in enumerate(boards, 1):
        for at, row in enumerate(board.rows):
            shown = [add(cell.run, column.label) for column, cell in zip(board.columns, row.cells, strict=True) if cell]
            rows[_row_id(f"board-{number}", at)] = {"label": row.label, "board": board.label, "runs": shown}
    return {"rows": rows, "runs": details, "tasks": names, "codes": NAMES}


def _reported_benchmarks(reported: Sequence[Reported]) -> list[str]:
    return sorted({name for row in reported for name in row.pass_1})


def _reported(reported: Sequence[Reported]) -> dict[str, Any]:
    names = _reported_benchmarks(reported)
    tens = sorted({name for row in reported for name in row.pass_10})
    kinds = [(name, "pass@1") for name in names] + [(name, "pass@10") for name in tens]
    rows = []
    for row in reported:
        scores = [(row.pass_1 if kind == "pass@1" else row.pass_10).get(name) for name, kind in kinds]
        texts = [grouped(score, ".1f") for score in scores]
        facts = (("protocol", row.protocol), ("source", row.source), ("date", row.date.isoformat()))
        rows.append(
            {
                "model": row.model,
                "parameters": f"{row.parameters:.0f}" if row.parameters else "",
                "size": size(row.parameters),
                "search": searchable(f"{row.model} {row.source} {row.protocol}"),
                "sort": [*((f"r{at}", text) for at, text in enumerate(texts)), *((n, searchable(t)) for n, t in facts)],
                "scores": [(text, name) for text, (name, _) in zip(texts, kinds, strict=True)],
                "protocol": row.protocol,
                "source": row.source,
                "link": row.link,
                "date": row.date.isoformat(),
            }
        )
    heads = [
        {"column": f"r{at}", "benchmark": name, "label": name, "metric": kind} for at, (name, kind) in enumerate(kinds)
    ]
    return {"heads": heads, "rows": rows, "charts": [_reported_chart(reported, name) for name in names]}


def _reported_chart(reported: Sequence[Reported], name: str) -> dict[str, Any]:
    there = [row for row in reported if name in row.pass_1]
    dots = [
        Point(
            label=f"{row.model} ({row.source})",
            parameters=row.parameters,
            value=row.pass_1[name] / 100,
            low=row.pass_1[name] / 100,
            high=row.pass_1[name] / 100,
        )
        for row in there
        if row.parameters
    ]
    summary = f"Reported pass@1 on {name} against parameters, {len(dots)} rows; the numbers are in the table"
    return {"id": f"reported-{name}", "label": name, "plot": scatter(dots, len(there) - len(dots), summary)}
