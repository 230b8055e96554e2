"""What is ranked against what, and how rows and columns come about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.records import Outcome, Tokens
from leaderboards.boards import Board, build_boards
from leaderboards.runs import read_run
from tests.leaderboards.folders import MakeRun, Texts, outcomes_of

GOOD, FAIR, POOR = "1" * 30, "1" * 27 + "0" * 3, "1" * 12 + "0" * 18


def boards(*folders: Path) -> list[Board]:
    return build_boards(read_run(folder) for folder in folders)


def ranks(board: Board, column: int = 0) -> dict[str, tuple[int, int] | None]:
    cells = {row.label: row.cells[column] for row in board.rows}
    return {label: (c.rank.rank, c.rank.ties) if c.rank else None for label, c in cells.items() if c}


def test_runs_of_one_column_are_ranked_with_ties(make_run: MakeRun) -> None:
    (board,) = boards(
        make_run("a", outcomes_of(POOR), model="poor"),
        make_run("b", outcomes_of(GOOD), model="good"),
        make_run("c", outcomes_of(FAIR), model="fair"),
    )
    assert [row.model for row in board.rows] == ["good", "fair", "poor"]
    assert ranks(board) == {"good": (1, 2), "fair": (1, 2), "poor": (3, 1)}


@pytest.mark.parametrize(
    "settings", [{"protocol": "other"}, {"temperature": 0.8}, {"max_new_tokens": 64}, {"backend": "file"}]
)
def test_another_protocol_or_decoding_is_another_board(make_run: MakeRun, settings: dict[str, object]) -> None:
    found = boards(make_run("a", outcomes_of(GOOD), model="a"), make_run("b", outcomes_of(POOR), model="b", **settings))
    assert [ranks(board) for board in found] in ([{"a": (1, 1)}, {"b": (1, 1)}], [{"b": (1, 1)}, {"a": (1, 1)}])


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({"dataset_digest": "e" * 64}, "humaneval (data eeeeeeee)"),
        ({"cpu_seconds": 30.0}, "humaneval (30 s CPU, 10 s wall, 1024 MiB)"),
        ({"memory_bytes": 1 << 28}, "humaneval (3 s CPU, 10 s wall, 256 MiB)"),
    ],
)
def test_other_data_or_limits_are_another_column(make_run: MakeRun, settings: dict[str, object], label: str) -> None:
    (board,) = boards(
        make_run("a", outcomes_of(GOOD), model="a"), make_run("b", outcomes_of(POOR), model="b", **settings)
    )
    assert label in [column.label for column in board.columns]
    assert sorted((ranks(board, 0), ranks(board, 1)), key=str) == [{"a": (1, 1)}, {"b": (1, 1)}]


def test_a_part_of_the_tasks_is_another_column(make_run: MakeRun) -> None:
    (board,) = boards(make_run("a", outcomes_of(GOOD), model="a"), make_run("b", outcomes_of("11"), model="b"))
    assert [column.label for column in board.columns] == ["humaneval (30 tasks)", "humaneval (2 tasks)"]
    assert (ranks(board, 0), ranks(board, 1)) == ({"a": (1, 1)}, {"b": (1, 1)})


@pytest.mark.parametrize("gap", [[], [Outcome.NOT_JUDGED]])
def test_an_incomplete_run_has_no_rank_and_says_why(make_run: MakeRun, gap: list[Outcome]) -> None:
    lucky = [*outcomes_of(GOOD)[:-1], gap]
    (board,) = boards(make_run("a", outcomes_of(POOR), model="a"), make_run("b", lucky, model="lucky", n_samples=1))
    assert ranks(board) == {"a": (1, 1), "lucky": None}
    cell = board.rows[1].cells[0]
    assert cell is not None
    assert cell.unranked.startswith("not ranked: 1 of 30 tasks without a judged sample")


def test_a_run_that_was_stopped_early_has_no_rank(make_run: MakeRun) -> None:
    run = make_run("a", outcomes_of(GOOD))
    report = json.loads((run / "report.json").read_text())
    (run / "report.json").write_text(json.dumps(report | {"stopped_early": True}))
    (board,) = boards(run)
    cell = board.rows[0].cells[0]
    assert cell is not None
    assert cell.rank is None
    assert "stopped early" in cell.unranked


def test_a_models_benchmarks_share_a_row(make_run: MakeRun) -> None:
    texts = Texts(tokens=Tokens(prompt=10, completion=5))
    stated = {"parameters": "1B", "cost_usd": "0.5"}
    (board,) = boards(
        make_run("a", outcomes_of("10"), texts, model="m", runtime=stated),
        make_run("b", outcomes_of("11"), texts, benchmark="mbpp", model="m", runtime=stated),
        make_run("c", outcomes_of("11"), benchmark="mbpp", model="n"),
    )
    assert [(row.label, [cell is not None for cell in row.cells]) for row in board.rows] == [
        ("m", [True, True]),
        ("n", [False, True]),
    ]
    first, second = board.rows
    assert (first.tokens, first.cost, first.parameters) == (30, 1.0, 1e9)
    assert (second.tokens, second.cost, second.parameters) == (None, None, None)


@pytest.mark.parametrize(
    ("settings", "variants"),
    [
        ({"seed": 7}, {"seed 0", "seed 7"}),
        ({"model_digest": "f" * 64}, {"digest mmmmmmmm", "digest ffffffff"}),
        ({"runtime": {"dtype": "float16"}}, {"", "dtype float16"}),
        ({}, {"folder runs/a", "folder runs/b"}),
    ],
)
def test_rows_of_one_model_are_told_apart(make_run: MakeRun, settings: dict[str, object], variants: set[str]) -> None:
    (board,) = boards(make_run("a", outcomes_of("10")), make_run("b", outcomes_of("11"), **settings))
    assert {row.variant for row in board.rows} == variants


def test_files_of_one_name_share_a_row_although_their_digests_differ(make_run: MakeRun) -> None:
    (board,) = boards(
        make_run("a", outcomes_of("10"), backend="file", model="s.jsonl"),
        make_run("b", outcomes_of("10"), backend="file", model="s.jsonl", model_digest="x", benchmark="mbpp"),
    )
    assert [row.label for row in board.rows] == ["s.jsonl"]


def test_the_order_of_runs_does_not_matter(make_run: MakeRun) -> None:
    folders = [
        make_run("a", outcomes_of("1011"), model="x"),
        make_run("b", outcomes_of("1011"), model="x"),
        make_run("c", outcomes_of("1101"), model="y", protocol="z"),
        make_run("d", outcomes_of("1100"), model="y", benchmark="mbpp"),
    ]
    assert boards(*folders) == boards(*reversed(folders))
