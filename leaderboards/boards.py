"""Runs -> boards: which runs may be ranked against each other, in which rows and columns, with which ranks.

A board holds the runs of one protocol with one decoding; a column of it holds those on the same tasks of the same data
with the same limits. So within a column everything is comparable, and nothing else is ever ranked.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.records import Estimate, Outcome, RunConfig
from leaderboards.ranking import Rank, Scored, rank
from leaderboards.runs import Run
from leaderboards.text import one_line

WITHOUT_DIGEST = frozenset({"file", "reference"})  # their digest is of the file or of the data, not of a model
DIGITS = 8  # of a digest, where one is shown
ColumnKey = tuple[str, str, tuple[str, ...], tuple[str, ...], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run in a board. `rank` is None where `unranked` says why not."""

    run: Run
    rank: Rank | None
    unranked: str = ""

    @property
    def pass_1(self) -> Estimate:
        return self.run.report.pass_at_k["1"]

    @property
    def pass_10(self) -> Estimate | None:
        return self.run.report.pass_at_k.get("10")

    @property
    def base_1(self) -> Estimate | None:
        return (self.run.report.base_pass_at_k or {}).get("1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One benchmark of a board, or one of several variants of it, which the label tells apart."""

    label: str
    benchmark: str
    dataset_digest: str
    tasks: int
    limits: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model in a board, with a cell or None for each column."""

    model: str
    variant: str
    n_samples: int
    parameters: float | None
    cells: tuple[Cell | None, ...]

    @property
    def label(self) -> str:
        return f"{self.model} ({self.variant})" if self.variant else self.model

    @property
    def runs(self) -> list[Run]:
        return [cell.run for cell in self.cells if cell]

    @property
    def tokens(self) -> int | None:
        """Tokens read and written, added up over the cells; None where they were not counted."""
        counts = [run.report.tokens for run in self.runs]
        return sum(count.prompt + count.completion for count in counts) or None

    @property
    def seconds(self) -> float:
        """Wall seconds of the judged programs, added up over the cells."""
        return sum(run.report.seconds for run in self.runs)

    @property
    def cost(self) -> float | None:
        """US dollars, added up over the cells; None unless every run states its cost."""
        costs = [run.cost for run in self.runs]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The runs of one protocol and decoding."""

    protocol: str
    decoding: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def label(self) -> str:
        return f"{self.protocol}, {self.decoding}" if self.decoding else self.protocol


def build_boards(runs: Iterable[Run]) -> list[Board]:
    """Return the boards, those with most rows first. What comes out depends on nothing but the runs."""
    groups: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.report.fingerprint, str(run.folder))):
        groups[one_line(run.config.protocol), decoding(run.config)].append(run)
    boards = [_board(*key, group) for key, group in groups.items()]
    return sorted(boards, key=lambda board: (-len(board.rows), board.label))


def decoding(config: RunConfig) -> str:
    """Return how answers were decoded, in words."""
    if config.backend == "file":
        return "read from files, decoding not stated"
    if config.backend == "reference":
        return "the benchmarks' own solutions"
    if not config.max_new_tokens:
        return "rankings"
    tokens = f"{config.max_new_tokens} tokens"
    if config.max_length is not None:
        tokens += f", {config.max_length} with the prompt"
    if config.temperature == 0:
        return f"greedy, at most {tokens}"
    return f"T={config.temperature:g}, top-p {config.top_p:g}, at most {tokens}"


def limits(config: RunConfig) -> str:
    """Return the limits that programs ran under, in words."""
    memory = f"{config.memory_bytes >> 20} MiB"
    if config.call_cpu_seconds is not None:
        return f"{config.call_cpu_seconds:g} s or {config.call_cpu_factor or 0:g} x the reference per call, {memory}"
    return f"{config.cpu_seconds:g} s CPU, {config.wall_seconds:g} s wall, {memory}"


def _board(protocol: str, decoding: str, runs: list[Run]) -> Board:
    columns = _columns(runs)
    ranks = _ranks(runs)
    entries: list[tuple[Run, dict[int, Cell]]] = []
    rows_of: defaultdict[str, list[dict[int, Cell]]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (str(run.folder), run.report.fingerprint)):
        place = columns[_column_key(run)][0]
        candidates = rows_of[_row_key(run.config)]
        cells = next((cells for cells in candidates if place not in cells), None)
        if cells is None:
            cells = {}
            candidates.append(cells)
            entries.append((run, cells))
        cells[place] = ranks[id(run)]
    variants = _variants([run for run, _ in entries])
    rows = [_row(run, variant, cells, len(columns)) for (run, cells), variant in zip(entries, variants, strict=True)]
    labels = [column for _, column in sorted(columns.values(), key=lambda pair: pair[0])]
    return Board(protocol=protocol, decoding=decoding, columns=tuple(labels), rows=tuple(sorted(rows, key=_order)))


def _row(run: Run, variant: str, cells: dict[int, Cell], columns: int) -> Row:
    known = {cell.run.parameters for cell in cells.values() if cell.run.parameters is not None}
    return Row(
        model=one_line(run.config.model, 120),
        variant=variant,
        n_samples=run.config.n_samples,
        parameters=known.pop() if len(known) == 1 else None,
        cells=tuple(cells.get(place) for place in range(columns)),
    )


def _order(row: Row) -> tuple[tuple[tuple[float, float], ...], str]:
    """Sort by the first column's rank and score, then by the next; rows without a score there come last."""
    return (
        tuple((cell.rank.rank if cell.rank else 1e9, -cell.pass_1.value) if cell else (2e9, 0.0) for cell in row.cells),
        row.label,
    )


def _column_key(run: Run) -> ColumnKey:
    config = run.config
    return config.benchmark, config.dataset_digest, config.task_ids, config.stop, limits(config)


def _columns(runs: Sequence[Run]) -> dict[ColumnKey, tuple[int, Column]]:
    """Return place and column for each key, in the order of the labels."""
    configs = {_column_key(run): run.config for run in runs}
    parts: list[Callable[[RunConfig], str]] = [
        lambda config: f"{len(config.task_ids)} tasks",
        lambda config: f"data {one_line(config.dataset_digest)[:DIGITS]}",
        limits,
    ]
    labelled: dict[ColumnKey, Column] = {}
    for key, config in configs.items():
        name = one_line(config.benchmark, 80)
        same = [other for other in configs.values() if one_line(other.benchmark, 80) == name]
        telling = [part for part in parts if len({part(other) for other in same}) > 1]
        texts = [[part(other) for part in telling] for other in same]
        own = [part(config) for part in telling]
        if texts.count(own) > 1:
            own.append(f"settings {_short_digest([config.task_ids, config.stop])}")
        labelled[key] = Column(
            label=f"{name} ({', '.join(own)})" if len(same) > 1 else name,
            benchmark=name,
            dataset_digest=one_line(config.dataset_digest),
            tasks=len(config.task_ids),
            limits=limits(config),
        )
    order = sorted(labelled, key=lambda key: (labelled[key].benchmark, -labelled[key].tasks, labelled[key].label, key))
    return {key: (place, labelled[key]) for place, key in enumerate(order)}


def _short_digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:DIGITS]


def _ranks(runs: list[Run]) -> dict[int, Cell]:
    """Return the cell of each run (by identity), ranked within its column."""
    groups: defaultdict[ColumnKey, list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (-run.report.pass_at_k["1"].value, run.config.model, str(run.folder))):
        groups[_column_key(run)].append(run)
    cells: dict[int, Cell] = {}
    for group in groups.values():
        whole = [run for run in group if run.is_complete]
        places = rank([Scored(judged=run.judged, passed=run.passed) for run in whole])
        cells |= {id(run): Cell(run=run, rank=place) for run, place in zip(whole, places, strict=True)}
        cells |= {id(run): Cell(run=run, rank=None, unranked=_gap(run)) for run in group if not run.is_complete}
    return cells


def _gap(run: Run) -> str:
    missing = run.judged.count(0)
    unjudged = run.report.outcomes.get(Outcome.NOT_JUDGED, 0)
    early = ", stopped early" if run.report.stopped_early else ""
    return f"not ranked: {missing} of {len(run.judged)} tasks without a judged sample, {unjudged} not judged{early}"


def _row_key(config: RunConfig) -> str:
    digest = "" if config.backend in WITHOUT_DIGEST else config.model_digest
    runtime = sorted(config.runtime.items())
    return json.dumps([config.model, digest, config.backend, config.n_samples, config.seed, runtime])


def _variants(runs: list[Run]) -> list[str]:
    """Return what tells rows of the same model apart; empty for a model with one row."""
    by_model: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_model[run.config.model].append(run)
    texts = {id(run): text for same in by_model.values() for run, text in zip(same, _tell_apart(same), strict=True)}
    return [texts[id(run)] for run in runs]


def _tell_apart(same: list[Run]) -> list[str]:
    parts = [
        [f"n={run.config.n_samples}" for run in same],
        [f"seed {run.config.seed}" for run in same],
        [f"digest {one_line(run.config.model_digest)[:DIGITS]}" for run in same],
        [", ".join(f"{one_line(k)} {one_line(v)}" for k, v in sorted(run.config.runtime.items())) for run in same],
    ]
    telling = [part for part in parts if len(set(part)) > 1]
    texts = [", ".join(filter(None, words)) for words in zip(*telling, strict=True)] or [""] * len(same)
    often = Counter(texts)
    folders = [one_line(f"{run.folder.parent.name}/{run.folder.name}") for run in same]
    return [
        ", ".join(filter(None, [text, f"folder {folder}"])) if often[text] > 1 else text
        for text, folder in zip(texts, folders, strict=True)
    ]
