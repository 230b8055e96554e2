"""Pages of finished runs, which another package writes: it registers what does in the entry points `harness.pages`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

from harness.errors import MissingDependency, UsageError
from harness.records import Report


def write_run_page(run: Path, page: Path, failures: int | None, task: str | None) -> None:
    """Write the page of a run. Raises UsageError for what cannot be shown, MissingDependency where nothing writes."""
    _writer("run")(run, page, failures, task)


def write_leaderboard(runs: Sequence[Path], out: Path, title: str) -> Path:
    """Write the leaderboard of runs to the folder `out`, and return its page; the same runs give the same bytes.

    Raises UsageError for runs that cannot be ranked, MissingDependency where nothing writes leaderboards.
    """
    try:
        page: Path = _writer("leaderboard")(runs, out, title)
    except click.ClickException as error:
        raise UsageError(error.message) from error
    return page


def write_curve(report: Report, path: Path) -> None:
    """Draw the exits of an encoder that were timed; nothing where there are none, or where nothing draws."""
    if report.exits and entry_points(group="harness.pages", name="curve"):
        _writer("curve")(report, path)


def _writer(name: str) -> Any:
    found = list(entry_points(group="harness.pages", name=name))
    if not found:
        raise MissingDependency("no installed package writes pages: pip install 'code-harness[leaderboard]'")
    return found[0].load()
