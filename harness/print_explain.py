"""Print why two runs differ."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.evidence import clean
from harness.explain import Explanation
from harness.print_report import console

if TYPE_CHECKING:
    from rich.console import Console

_LISTED = 40


def print_explanation(one: Explanation, as_json: bool) -> None:
    """Print an explanation: what differs, how often each cause made a task flip, and the tasks."""
    if as_json:
        print(json.dumps(asdict(one), indent=2))
        return
    out = console()
    names = [f"{model} on {benchmark}" for model, benchmark in zip(one.models, one.benchmarks, strict=True)]
    out.print(clean(f"{names[0]} -> {names[1]}, {one.tasks} tasks in common"))
    out.print(f"pass@1 over these: {one.before:.1%} -> {one.after:.1%}")
    if one.only_one:
        out.print(f"left out: {one.only_one} tasks that only one of the runs has")
    _print_settings(one, out)
    if one.prompts:
        out.print(clean(f"{one.prompts.tasks} tasks were asked otherwise, for example {one.prompts.task_id}:"))
        for line in one.prompts.diff:
            out.print(f"  {line}")
    _print_flips(one, out)


def _print_settings(one: Explanation, out: Console) -> None:
    from rich.table import Table

    if not one.settings:
        out.print("their settings are the same")
        return
    table = Table("", "", "before", "after", box=None, pad_edge=False)
    group = ""
    for setting in one.settings:
        table.add_row("" if setting.group == group else setting.group, setting.name, setting.before, setting.after)
        group = setting.group
    out.print(table)


def _print_flips(one: Explanation, out: Console) -> None:
    from rich.table import Table

    if not one.flips:
        out.print("no task flipped")
        return
    counts = ", ".join(f"{cause} {count}" for cause, count in one.causes.items())
    out.print(f"{len(one.flips)} tasks flipped, by cause: {counts}")
    table = Table("task", "before", "after", "cause", "what shows it", box=None, pad_edge=False)
    for flip in one.flips[:_LISTED]:
        causes = ", ".join(cause if count == 1 else f"{cause} x {count}" for cause, count in flip.causes.items())
        table.add_row(clean(flip.task_id, 100), f"{flip.before:.0%}", f"{flip.after:.0%}", causes, clean(flip.evidence))
    out.print(table)
    if len(one.flips) > _LISTED:
        out.print(f"{len(one.flips) - _LISTED} more: --json lists all")
