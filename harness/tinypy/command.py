"""What `harness tinypy` does between its options and the functions that it calls."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.tinypy.corpus import Recipe
from harness.tinypy.grammar import Level
from harness.tinypy.training import Written, write_training_files


def make(options: dict[str, Any]) -> Written:
    """Write the files that the options of `harness tinypy` ask for. Raises UsageError for those that do not fit."""
    recipe = Recipe(count=options["count"], levels=_levels(options["levels"]), seed=options["seed"])
    workers = options["workers"] or len(os.sched_getaffinity(0))
    return write_training_files(recipe, Path(options["out"]), options["sandbox"], workers)


def _levels(text: str) -> tuple[Level, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return tuple(Level)
    try:
        return tuple(map(Level, names))
    except ValueError:
        unknown = ", ".join(sorted({*names} - {*Level}))
        raise UsageError(f"--levels: there is no {unknown[:80]!r}, but {', '.join(Level)}, or all") from None


def print_written(written: Written, as_json: bool) -> None:
    """Print what was written: the files, and the means of each level."""
    from rich.table import Table

    from harness.print_report import console

    if as_json:
        print(json.dumps({**asdict(written), "text": str(written.text), "lines": str(written.lines)}, indent=2))
        return
    table = Table("level", "programs", "cyclomatic", "Halstead", "difficulty", "characters", box=None, pad_edge=False)
    for one in written.levels:
        means = (f"{value:.2f}" for value in (one.cyclomatic, one.halstead, one.overall, one.characters))
        table.add_row(one.level, str(one.programs), *means)
    out = console()
    out.print(table)
    programs = sum(one.programs for one in written.levels)
    rate = programs / written.seconds
    out.print(f"{programs} programs in {written.seconds:.1f} s ({rate:.0f}/s): {written.text}, {written.lines}")
