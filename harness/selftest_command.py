"""The command `harness selftest`: the hostile suite, as a table or as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from harness.options import sandbox_option

if TYPE_CHECKING:
    from harness.selftest import SelfTest
    from harness.selftest_bench import Line

EXIT_INVALID = 3


@click.command("selftest")
@sandbox_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def selftest_command(sandbox: str, as_json: bool) -> None:
    """Attack this machine's sandbox and judge with the hostile suite; exit 3 if something gets through.

    Takes a minute or two. What the local sandbox does not promise is listed, and decides nothing.
    """
    from harness.progress import progress_for
    from harness.selftest import run_selftest

    sys.exit(print_selftest(run_selftest(sandbox, progress_for()), as_json))


def print_selftest(result: SelfTest, as_json: bool) -> int:
    """Print what became of the attacks and return the exit code: 3 if one got through that should not have."""
    if as_json:
        lines = [{**asdict(line), "held": line.held} for line in result.lines]
        print(json.dumps({**asdict(result), "lines": lines, "held": result.held}, indent=2))
    else:
        _print(result)
    return 0 if result.held else EXIT_INVALID


def _print(result: SelfTest) -> None:
    from rich.table import Table

    from harness.print_report import console

    out = console()
    table = Table("attack", "what it tries", "outcome", "", box=None, pad_edge=False)
    for line in result.lines:
        table.add_row(line.item, line.tries, line.outcome, _held(line))
    out.print(table)
    for line in result.lines:
        for problem in line.problems:
            out.print(f"{line.item}, {line.tries}: {problem}")
    for text in result.not_promised:
        out.print(f"not promised by the {result.sandbox} sandbox: {text}")
    held = sum(line.held for line in result.lines)
    out.print(f"{held} of {len(result.lines)} attacks held off by the {result.sandbox} sandbox in {result.seconds} s")


def _held(line: Line) -> str:
    text = "held" if line.held else "NOT HELD"
    return text if line.promised else f"{text} (not promised)"
