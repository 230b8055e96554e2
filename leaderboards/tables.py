"""Boards as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from harness.records import Estimate
from leaderboards.boards import Board, Cell, Row
from leaderboards.links import Links
from leaderboards.published import Reported
from leaderboards.signs import lost, signs
from leaderboards.text import csv_cell, latex, markdown

APART = (
    "Tables are kept apart where protocol or decoding differ, and columns where data, tasks or limits do: "
    "such runs are never ranked against each other."
)
RANKING = (
    "Ranks share a place where the exact paired test (McNemar; sign flips for several samples a task; Holm's "
    "correction within a benchmark, 5 %) does not tell a row from the first of its group. Intervals are at 95 %."
)
REPORTED = "Reported by others, not measured here and not ranked: each number is its source's, with its protocol."


def points(value: float) -> str:
    """Return a share as percent with one digit, without the sign."""
    return f"{100 * value:.1f}"


def interval(estimate: Estimate) -> str:
    """Return an interval as `76.1-88.0`, in percent."""
    return f"{points(estimate.low)}-{points(estimate.high)}"


def place(cell: Cell) -> str:
    """Return a rank as `1`, or `2=` where it is shared, or a dash."""
    return "-" if cell.rank is None else f"{cell.rank.rank}{'=' if cell.rank.ties > 1 else ''}"


def size(parameters: float | None) -> str:
    """Return a number of parameters as `1.3B`, or nothing."""
    if parameters is None:
        return ""
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if parameters >= unit:
            return f"{parameters / unit:.3g}{name}"
    return f"{parameters:g}"


def grouped(number: float | None, form: str = ",.0f") -> str:
    """Return a number with separators, or nothing."""
    return "" if number is None else f"{number:{form}}"


def shown_columns(board: Board) -> list[tuple[bool, bool]]:
    """Return for each column whether any row has a score on base tests, and a pass@10."""
    cells = [[row.cells[at] for row in board.rows if row.cells[at]] for at in range(len(board.columns))]
    return [(any(c and c.base_1 for c in column), any(c and c.pass_10 for c in column)) for column in cells]


def to_markdown(title: str, boards: Sequence[Board], reported: Sequence[Reported], links: Links) -> str:
    """Return the whole leaderboard as one Markdown page."""
    parts = [f"# {markdown(title)}", f"{RANKING} {APART}"]
    for board in boards:
        parts += [f"## {markdown(board.label)}", _markdown_board(board), "### Runs and how to check them"]
        parts += ["The commands are to be given in the folder of this page.", _markdown_runs(board, links)]
    if reported:
        parts += ["## Reported by others", REPORTED, _markdown_reported(reported)]
    return "\n\n".join(parts) + "\n"


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _markdown_board(board: Board) -> str:
    shown = shown_columns(board)
    head = ["model", "parameters"]
    for column, (base, ten) in zip(board.columns, shown, strict=True):
        name = markdown(column.label)
        head += [f"{name} pass@1", *([f"{name} base"] if base else []), *([f"{name} pass@10"] if ten else [])]
    rows = [[markdown(row.label), size(row.parameters), *_scores(row, shown), *_totals(row)] for row in board.rows]
    return _markdown_table([*head, "tokens", "seconds", "US$"], rows)


def _scores(row: Row, shown: Sequence[tuple[bool, bool]]) -> list[str]:
    texts: list[str] = []
    for cell, (base, ten) in zip(row.cells, shown, strict=True):
        texts.append(f"{points(cell.pass_1.value)} ({interval(cell.pass_1)}) #{place(cell)}" if cell else "")
        if base:
            texts.append(points(cell.base_1.value) if cell and cell.base_1 else "")
        if ten:
            texts.append(points(cell.pass_10.value) if cell and cell.pass_10 else "")
    return texts


def _totals(row: Row) -> list[str]:
    return [grouped(row.tokens), grouped(row.seconds, ",.1f"), grouped(row.cost, ",.2f")]


def _markdown_runs(board: Board, links: Links) -> str:
    rows = [
        [
            markdown(row.label),
            markdown(column.label),
            f"[report]({links.report(cell.run)})",
            tiers(cell),
            markdown(links.verify(cell.run)),
            "; ".join(filter(None, [cell.unranked, *(markdown(text) for _, text in signs(cell.run.report))])),
        ]
        for row in board.rows
        for column, cell in zip(board.columns, row.cells, strict=True)
        if cell
    ]
    return _markdown_table(["model", "benchmark", "report", "pass@1 per tier", "check", "note"], rows)


def tiers(cell: Cell) -> str:
    """Return the tiers of a run as `easy 90.1 (n), hard 20.0 (n), weak`."""
    return ", ".join(
        f"{markdown(tier.tier)} {points(tier.pass_at_1.value)} ({tier.tasks}{', weak' if tier.weak else ''})"
        for tier in cell.run.report.tiers
    )


def _markdown_reported(reported: Sequence[Reported]) -> str:
    rows = [
        [
            markdown(row.model),
            size(row.parameters),
            ", ".join(f"{markdown(name)} {value:.1f}" for name, value in sorted(row.pass_1.items())),
            markdown(row.protocol),
            f"[{markdown(row.source)}]({row.link})",
            row.date.isoformat(),
        ]
        for row in reported
    ]
    return _markdown_table(["model", "parameters", "pass@1, reported", "protocol", "source", "date"], rows)


def to_latex(boards: Sequence[Board], reported: Sequence[Reported]) -> str:
    """Return one `tabular` per board and one of what others reported; they need the package booktabs."""
    parts = ["% Needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}.", f"% {RANKING}", f"% {APART}"]
    for board in boards:
        head = ["Model", "Parameters", *(latex(column.label) for column in board.columns)]
        rows = []
        for row in board.rows:
            scores = [
                f"{points(cell.pass_1.value)} ({interval(cell.pass_1).replace('-', '--')})$^{{{place(cell)}}}$"
                if cell
                else ""
                for cell in row.cells
            ]
            rows.append([latex(row.label), size(row.parameters), *scores])
        parts += ["", f"% pass@1 in percent, with 95 % interval and rank: {latex(board.label)}", _tabular(head, rows)]
    if reported:
        rows = [
            [
                latex(row.model),
                size(row.parameters),
                ", ".join(f"{latex(name)} {value:.1f}" for name, value in sorted(row.pass_1.items())),
                f"{latex(row.source)}, {row.date.isoformat()}",
            ]
            for row in reported
        ]
        parts += ["", f"% {REPORTED}", _tabular(["Model", "Parameters", "pass@1, reported", "Source"], rows)]
    return "\n".join(parts) + "\n"


def _tabular(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" & ".join(row) + r" \\" for row in rows]
    form = "l" + "r" * (len(head) - 1)
    top = [rf"\begin{{tabular}}{{{form}}}", r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
    return "\n".join([*top, *lines, r"\bottomrule", r"\end{tabular}"])


RUN_FIELDS = (
    "model",
    "variant",
    "parameters",
    "protocol",
    "decoding",
    "n_samples",
    "benchmark",
    "column",
    "dataset_digest",
    "tasks",
    "rank",
    "ties",
    "pass_1",
    "pass_1_low",
    "pass_1_high",
    "base_pass_1",
    "pass_10",
    "tiers",
    "tokens",
    "seconds",
    "cost_usd",
    "flaky",
    "hardcoded",
    "extraction_loss",
    "note",
    "report",
    "verify",
)


def to_csv(boards: Sequence[Board], links: Links) -> str:
    """Return one line per run, with shares in 0..1; texts that a spreadsheet would take for formulas begin with '."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(RUN_FIELDS)
    for board in boards:
        for row in board.rows:
            for at, cell in enumerate(row.cells):
                if cell:
                    writer.writerow([_csv_value(value) for value in _csv_row(board, row, at, cell, links)])
    return file.getvalue()


def _csv_value(value: object) -> object:
    return csv_cell(value) if isinstance(value, str) else "" if value is None else value


def _csv_row(board: Board, row: Row, at: int, cell: Cell, links: Links) -> tuple[object, ...]:
    column, run = board.columns[at], cell.run
    return (
        row.model,
        row.variant,
        row.parameters,
        board.protocol,
        board.decoding,
        row.n_samples,
        column.benchmark,
        column.label,
        column.dataset_digest,
        column.tasks,
        cell.rank.rank if cell.rank else None,
        cell.rank.ties if cell.rank else None,
        cell.pass_1.value,
        cell.pass_1.low,
        cell.pass_1.high,
        cell.base_1.value if cell.base_1 else None,
        cell.pass_10.value if cell.pass_10 else None,
        "; ".join(f"{tier.tier} {tier.pass_at_1.value:.4f}" for tier in run.report.tiers),
        (run.report.tokens.prompt + run.report.tokens.completion) or None,
        run.report.seconds,
        run.cost,
        run.report.flaky,
        run.report.hardcoded,
        lost(run.report),
        cell.unranked,
        links.report(run),
        links.verify(run),
    )
