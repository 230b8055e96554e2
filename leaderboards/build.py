"""Run folders -> the leaderboard's files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leaderboards.boards import build_boards
from leaderboards.documents import to_evalplus, to_json
from leaderboards.links import Links
from leaderboards.published import read_published
from leaderboards.runs import TaskLists, find_runs, read_run
from leaderboards.tables import to_csv, to_latex, to_markdown
from leaderboards.text import one_line
from leaderboards.view import index_page
from leaderboards.writing import write_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was written, and what was left out."""

    files: tuple[Path, ...]
    document: str  # leaderboard.json
    runs: int
    unfinished: tuple[Path, ...]


def build(paths: Iterable[Path], out: Path, title: str = "Leaderboard", published: bool = True) -> Built:
    """Read every run at or below `paths` and write the leaderboard to `out`.

    The same runs give the same bytes. Nothing is written when a run is not sound (raises `Unusable`).
    """
    folders, unfinished = find_runs(paths)
    task_lists: TaskLists = {}
    boards = build_boards(read_run(folder, task_lists) for folder in folders)
    reported = read_published() if published else []
    links = Links(out.resolve())
    title = one_line(title)
    files = {
        "leaderboard.json": to_json(title, boards, reported, links),
        "leaderboard.md": to_markdown(title, boards, reported, links),
        "leaderboard.csv": to_csv(boards, links),
        "leaderboard.tex": to_latex(boards, reported),
        "results.json": to_evalplus(boards, links),
        "index.html": index_page(title, boards, reported, links),
    }
    write_folder(out, files)
    return Built(
        files=tuple(out / name for name in files),
        document=files["leaderboard.json"],
        runs=len(folders),
        unfinished=tuple(unfinished),
    )


def write_board(paths: Iterable[Path], out: Path, title: str) -> Path:
    """Write the leaderboard of runs of one's own alone, and return its page. Raises `Unusable`."""
    build(paths, out, title, published=False)
    return out / "index.html"


def names(paths: Sequence[Path]) -> str:
    """Return paths as one line for a message, the first few of them."""
    shown = ", ".join(one_line(str(path)) for path in paths[:3])
    return f"{shown} and {len(paths) - 3} more" if len(paths) > 3 else shown
