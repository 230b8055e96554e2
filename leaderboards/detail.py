"""What a page knows of one run, as JSON that `static/detail.js` draws; and the page of a single run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.records import Estimate, Outcome
from leaderboards.boards import decoding, limits
from leaderboards.cards import Card, Lengths, failures, of_task
from leaderboards.links import Links
from leaderboards.page import render
from leaderboards.runs import Run, read_run
from leaderboards.signs import signs
from leaderboards.tables import grouped, size
from leaderboards.text import one_line, script_json
from leaderboards.writing import write_file

CODES = {outcome: chr(ord("a") + place) for place, outcome in enumerate(Outcome)}
NAMES = {code: outcome.value for outcome, code in CODES.items()}
CARDS = 200
SCRIPTS = ("detail.js", "run.js")


def run_detail(run: Run, cards: Sequence[Card], links: Links) -> dict[str, Any]:
    """Return the details of a run. `worst` has one letter a task; counts a task are there for several samples alone."""
    report = run.report
    several = max(run.judged) > 1
    return {
        "scores": [
            *({"name": f"pass@{k}", **_estimate(one)} for k, one in report.pass_at_k.items()),
            *({"name": f"pass@{k}, base tests", **_estimate(one)} for k, one in (report.base_pass_at_k or {}).items()),
            *({"name": one_line(name).replace("_", " "), **_estimate(one)} for name, one in report.metrics.items()),
        ],
        "outcomes": [[name, report.outcomes[name]] for name in Outcome if report.outcomes.get(name)],
        "tiers": [
            {"tier": one_line(tier.tier), "tasks": tier.tasks, "weak": tier.weak, **_estimate(tier.pass_at_1)}
            for tier in report.tiers
        ],
        "worst": "".join(CODES[outcome] for outcome in run.worst),
        "judged": run.judged if several else None,
        "passed": run.passed if several else None,
        "cards": msgspec.to_builtins(cards),
        "failing": sum(outcome is not Outcome.PASSED for outcome in run.worst),
        "report": links.report(run),
        "verify": links.verify(run),
        "show": f"{links.show(run)} --html failures.html",
        "facts": [[name, text] for name, text in _facts(run) if text],
    }


def _estimate(estimate: Estimate) -> dict[str, float]:
    return {name: round(getattr(estimate, name), 6) for name in ("value", "low", "high")}


def _facts(run: Run) -> list[tuple[str, str]]:
    config, report = run.config, run.report
    tokens = report.tokens
    return [
        ("Protocol", ", ".join(filter(None, [one_line(config.protocol), decoding(config)]))),
        ("Samples a task", str(config.n_samples)),
        ("Parameters", size(run.parameters)),
        ("Limits", limits(config)),
        ("Sandbox", one_line(report.sandbox)),
        ("Not promised by it", one_line("; ".join(report.not_promised), 400)),
        ("Data", one_line(config.dataset_digest)[:16]),
        ("Model digest", one_line(config.model_digest)[:16]),
        ("Tokens", f"{tokens.prompt:,} read, {tokens.completion:,} written" if tokens.completion else ""),
        ("Seconds of programs", grouped(report.seconds, ",.1f")),
        ("Tasks without samples", str(len(report.missing_tasks) or "")),
        *signs(report),
    ]


def task_names(run: Run) -> list[str]:
    """Return the names of a run's tasks as the page shows them."""
    return [one_line(task) for task in run.config.task_ids]


def write_run_page(run: Path, out: Path, failing: int | None = None, task: str | None = None) -> None:
    """Write the page of one run: its scores and its failure cards, or all samples of one task.

    This is what `harness show RUN --html FILE` calls. Raises Unusable when the folder holds no sound run.
    """
    read = read_run(run.resolve())
    links = Links(out.resolve().parent)
    cards = failures(read, CARDS if failing is None else failing, Lengths())
    heading = None
    if task is not None:
        cards, heading = of_task(read, task, Lengths()), f"Samples of {one_line(task)}"
    detail = {**run_detail(read, cards, links), "heading": heading}
    title = f"{one_line(read.config.model, 120)} on {one_line(read.config.benchmark)}"
    page = render(
        "run.html",
        SCRIPTS,
        title=title,
        summary=f"{read.report.samples:,} samples of {read.report.tasks} tasks, {one_line(read.config.protocol)}",
        show=links.show(read),
        data=script_json(
            {"run": detail, "tasks": task_names(read), "codes": {code: name for name, code in CODES.items()}}
        ),
    )
    write_file(out, page)
