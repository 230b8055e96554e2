"""Where a run is, seen from the folder of the leaderboard: links to its files, and the command that checks it."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from leaderboards.runs import REPORT, Run
from leaderboards.text import one_line


@dataclass(frozen=True, slots=True)
class Links:
    """Links that are relative to `out`, so that the folder may move together with its runs."""

    out: Path

    def folder(self, run: Run) -> str:
        """Return the path of the run's folder, as one line of text."""
        return one_line(Path(os.path.relpath(run.folder, self.out)).as_posix(), 400)

    def report(self, run: Run) -> str:
        """Return the address of the run's report; it can name no scheme, because a colon is quoted."""
        return quote(Path(os.path.relpath(run.folder / REPORT, self.out)).as_posix(), errors="surrogateescape")

    def verify(self, run: Run) -> str:
        """Return the command that judges a sample of the run again, to be given in the leaderboard's folder."""
        return f"harness verify {shlex.quote(self.folder(run))}"

    def show(self, run: Run) -> str:
        """Return the command that prints the run's failures."""
        return f"harness show {shlex.quote(self.folder(run))}"
