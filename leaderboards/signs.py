"""Counts that change no score, and that whoever reads one should know of."""

from __future__ import annotations

from harness.records import Report
from leaderboards.text import one_line


def signs(report: Report) -> list[tuple[str, str]]:
    """Return a name and a text for each count of a report that is not zero, and for what its samples are not."""
    counts = (
        ("Flaky", report.flaky, "came out differently when judged alone"),
        ("Hardcoded", report.hardcoded, "passed with the answers to the tests in their source"),
        ("Base only", report.base_only, "pass the base tests and not the others"),
        ("Truncated", report.truncated_completions, "end at the token limit"),
        ("No code", report.no_code, "hold no code"),
    )
    found = [(name, f"{count:,} of {report.samples:,} samples {what}") for name, count, what in counts if count]
    if report.extraction_loss is not None:
        found.append(("Extraction loss", _loss(report)))
    return found + [("Mind", one_line(caveat, 400)) for caveat in report.caveats]


def lost(report: Report) -> int | None:
    """Return the samples that another extraction rule would have saved; None where nobody has looked."""
    return None if report.extraction_loss is None else report.extraction_loss.samples


def _loss(report: Report) -> str:
    loss = report.extraction_loss
    if loss is None or not loss.samples:
        return "no sample would pass by another extraction rule"
    rules = ", ".join(f"{one_line(rule, 60)} {count:,}" for rule, count in loss.by_rule.items() if count)
    return f"{loss.samples:,} of {report.samples:,} samples would pass by another rule ({rules})"
