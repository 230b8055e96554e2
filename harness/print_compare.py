"""Print comparisons, gate results and verifications; read the gate's options."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.compare import Comparison, TierComparison
from harness.errors import UsageError
from harness.evidence import shown
from harness.gate import GateResult, GateRules
from harness.gate_output import junit, log_text, verdict_line, workflow_commands, write_summary
from harness.half import Half, half_name
from harness.print_report import console, percent
from harness.store import write_whole
from harness.verify import Verification

if TYPE_CHECKING:
    from rich.console import Console

_LISTED = 20
_UNBOUNDED = 100_000  # characters


def _console() -> Console:
    """Return a console that wraps no table where lines are read by programs: a CI runner acts on how lines begin."""
    out = console()
    if not sys.stdout.isatty():
        out.width = _UNBOUNDED
    return out


def print_comparisons(comparisons: list[Comparison], as_json: bool) -> None:
    """Print comparisons, one after another."""
    if as_json:
        plain = [asdict(one) for one in comparisons]
        print(json.dumps(plain[0] if len(plain) == 1 else plain, indent=2))
        return
    for one in comparisons:
        _print_comparison(one)


def _print_comparison(one: Comparison) -> None:
    from rich.table import Table

    out = _console()
    level = f"{100 * (1 - one.alpha):g} %"
    title = f"{one.benchmark}: {one.models[0]} -> {one.models[1]}, {one.tasks} tasks in common"
    if one.half:
        title += f" ({half_name(one.half)} half)"
    out.print(log_text(title))
    table = Table("", "tasks", "before", "after", f"change ({level})", "p", box=None, pad_edge=False)
    table.add_row("pass@1", *_cells(one.tasks, one))
    for tier in one.tiers:
        table.add_row(f"  {log_text(tier.tier)}", *_cells(tier.tasks, tier))
    out.print(table)
    smallest = 100 * one.difference.smallest_effect
    out.print(f"{one.difference.test}; with these tasks a change of {smallest:.1f} points shows in 4 cases of 5")
    for word, tasks in (("worse", one.lost), ("better", one.gained)):
        if tasks:
            more = f" and {len(tasks) - _LISTED} more (--json lists all)" if len(tasks) > _LISTED else ""
            out.print(f"{word} ({len(tasks)}): {', '.join(log_text(task) for task in tasks[:_LISTED])}{more}")
    if one.only_one:
        out.print(f"left out: {one.only_one} tasks that only one of the runs has")
    for text in one.differing:
        out.print(f"not the same: {log_text(text)}")
    out.print()


def _cells(tasks: int, one: Comparison | TierComparison) -> tuple[str, ...]:
    change = one.difference
    span = f"{100 * change.value:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f})"
    return str(tasks), percent(one.before), percent(one.after), span, f"{change.p_value:.2g}"


def gate_rules(options: dict[str, Any]) -> GateRules:
    """Return the rules for the options of `harness gate`. Raises UsageError for values out of range."""
    tier = options["tier_max_drop"]
    return GateRules(
        max_drop=options["max_drop"] / 100,
        tier_max_drop=None if tier is None else tier / 100,
        alpha=options["alpha"],
        minimum=dict(_minimum(text) for text in options["minimum"]),
        strict=options["strict"],
        half=half_of_option(options["half"]),
    )


def half_of_option(name: str | None) -> Half | None:
    """Return the half that an option names."""
    return None if name is None else Half(name.replace("-", "_"))


def _minimum(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        least = float(value)
    except ValueError:
        least = -1.0
    if not re.fullmatch(r"pass@[1-9][0-9]{0,5}", name.strip()) or not 0 <= least <= 1:
        raise UsageError(f"--min {shown(text)}: write it as pass@1=0.62, with a value in 0..1")
    return name.strip(), least


def print_gate(result: GateResult, junit_file: Path | None, summary: Path | None, as_json: bool) -> int:
    """Print a gate's result in every form asked for and return its exit code."""
    summary = summary or (Path(os.environ["GITHUB_STEP_SUMMARY"]) if os.environ.get("GITHUB_STEP_SUMMARY") else None)
    try:
        if junit_file is not None:
            junit_file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(junit_file, junit(result).decode("utf-8"))
        if summary is not None:
            summary.parent.mkdir(parents=True, exist_ok=True)
            write_summary(result, summary)
    except OSError as error:  # not a verdict: it must not look like exit code 1
        raise UsageError(f"cannot write the gate's files: {error}") from error
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print("\n".join(workflow_commands(result)), file=sys.stderr)
    if as_json:
        document = {"outcome": result.outcome, "exit_code": result.exit_code, **asdict(result)}
        print(json.dumps(document, indent=2))
        return result.exit_code
    from rich.table import Table

    table = Table("what", "finding", "why", box=None, pad_edge=False)
    for finding in result.findings:
        table.add_row(log_text(finding.subject), finding.outcome, log_text(finding.reason))
    _console().print(table)
    print(verdict_line(result))
    return result.exit_code


def print_verification(found: Verification, as_json: bool) -> int:
    """Print a verification; return 1 if a stored verdict does not hold."""
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return 1 if found.mismatches else 0
    print(f"{found.checked} of {found.total} samples judged again, {len(found.mismatches)} verdicts do not hold")
    for one in found.mismatches:
        print(f"{log_text(one.task_id)}[{one.sample_index}]: stored {one.stored}, now {one.again}")
    return 1 if found.mismatches else 0
