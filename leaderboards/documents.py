"""Boards as JSON: our own document, and the rows of EvalPlus's results.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from harness.records import Estimate
from leaderboards.boards import Board, Cell, Row
from leaderboards.links import Links
from leaderboards.published import Reported
from leaderboards.signs import lost
from leaderboards.tables import APART, RANKING, REPORTED
from leaderboards.text import one_line

FORMAT = 1
# What EvalPlus's board calls each number, and where it comes from here: (benchmark, whether on its base tests).
EVALPLUS = {
    "humaneval": (("humaneval+", True), ("humaneval", False)),
    "humaneval+": (("humaneval+", False),),
    "mbpp": (("mbpp+", True),),  # not our `mbpp`, which is the test split of 500
    "mbpp+": (("mbpp+", False),),
}


def to_json(title: str, boards: Sequence[Board], reported: Sequence[Reported], links: Links) -> str:
    """Return the whole leaderboard as one JSON document."""
    document = {
        "format": FORMAT,
        "title": title,
        "notes": [RANKING, APART],
        "boards": [_board(board, links) for board in boards],
        "reported": [_reported(row) for row in reported],
        "reported_note": REPORTED,
    }
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _board(board: Board, links: Links) -> dict[str, Any]:
    return {
        "protocol": board.protocol,
        "decoding": board.decoding,
        "columns": [
            {
                "label": column.label,
                "benchmark": column.benchmark,
                "dataset_digest": column.dataset_digest,
                "tasks": column.tasks,
                "limits": column.limits,
            }
            for column in board.columns
        ],
        "rows": [_row(board, row, links) for row in board.rows],
    }


def _row(board: Board, row: Row, links: Links) -> dict[str, Any]:
    return {
        "kind": "measured",
        "model": row.model,
        "variant": row.variant,
        "parameters": row.parameters,
        "n_samples": row.n_samples,
        "tokens": row.tokens,
        "seconds": round(row.seconds, 3),
        "cost_usd": row.cost,
        "runs": {
            column.label: _cell(cell, links)
            for column, cell in zip(board.columns, row.cells, strict=True)
            if cell is not None
        },
    }


def _cell(cell: Cell, links: Links) -> dict[str, Any]:
    report = cell.run.report
    return {
        "pass_at_k": {k: _estimate(one) for k, one in report.pass_at_k.items()},
        "base_pass_at_k": {k: _estimate(one) for k, one in (report.base_pass_at_k or {}).items()} or None,
        "tiers": [
            {
                "tier": one_line(tier.tier),
                "tasks": tier.tasks,
                "pass_at_1": _estimate(tier.pass_at_1),
                "weak": tier.weak,
            }
            for tier in report.tiers
        ],
        "metrics": {one_line(name): _estimate(one) for name, one in report.metrics.items()},
        "rank": cell.rank.rank if cell.rank else None,
        "ties": cell.rank.ties if cell.rank else None,
        "p_value_to_first": round(cell.rank.p_value, 6) if cell.rank else None,
        "note": cell.unranked,
        "flaky": report.flaky,
        "hardcoded": report.hardcoded,
        "extraction_loss": lost(report),
        "outcomes": {name: count for name, count in sorted(report.outcomes.items()) if count},
        "tokens": {"prompt": report.tokens.prompt, "completion": report.tokens.completion},
        "seconds": report.seconds,
        "sandbox": one_line(report.sandbox),
        "fingerprint": one_line(report.fingerprint),
        "report": links.report(cell.run),
        "verify": links.verify(cell.run),
    }


def _estimate(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _reported(row: Reported) -> dict[str, Any]:
    return {
        "kind": "reported",
        "model": row.model,
        "parameters": row.parameters,
        "protocol": row.protocol,
        "pass_1_percent": row.pass_1,
        "pass_10_percent": row.pass_10,
        "source": row.source,
        "link": row.link,
        "date": row.date.isoformat(),
    }


def to_evalplus(boards: Sequence[Board], links: Links) -> str:
    """Return measured rows as EvalPlus's results.json has them: percent with one digit, sizes in billions.

    A row is there if it has one of the four scores. A model of several boards has its protocol in its name.
    """
    rows: dict[str, dict[str, Any]] = {}
    for board in boards:
        for row in board.rows:
            scores = {name: _first(board, row, sources) for name, sources in EVALPLUS.items()}
            if all(score is None for score in scores.values()):
                continue
            name = row.label if row.label not in rows else f"{row.label} [{board.label}]"
            rows[name] = {
                "link": links.report(row.runs[0]),
                "open-data": "NONE",
                "pass@1": scores,
                "prompted": "chat" in board.protocol or "instruct" in board.protocol,
                "size": round(row.parameters / 1e9, 3) if row.parameters else None,
            }
    return json.dumps(rows, indent=4, sort_keys=True) + "\n"


def _first(board: Board, row: Row, sources: Sequence[tuple[str, bool]]) -> float | None:
    """Return the first of these scores that the row has on a benchmark's whole data, in percent."""
    for benchmark, on_base in sources:
        for column, cell in zip(board.columns, row.cells, strict=True):
            if cell is None or column.benchmark != benchmark or cell.unranked:
                continue
            estimate = cell.base_1 if on_base else cell.pass_1
            if estimate is not None:
                return round(100 * estimate.value, 1)
    return None
