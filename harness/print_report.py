"""Print reports and samples: on a terminal, or as one JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.evidence import clean
from harness.records import Estimate, ExitScore, ExtractionLoss, Outcome, Report, Sample, Tokens, Verdict
from harness.store import SAMPLES, VERDICTS, read_lines, read_report
from harness.tiers import NAMES, source_text
from harness.weak import weak_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

EXIT_INVALID = 3


def console() -> Console:
    """Return a console for standard output that takes texts as they are."""
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())


def percent(estimate: Estimate) -> str:
    """Return an estimate as `22.0 % (17.8-27.0)`."""
    return f"{estimate.value:.1%} ({100 * estimate.low:.1f}-{100 * estimate.high:.1f})"


def print_reports(reports: list[Report], as_json: bool) -> int:
    """Print reports and return the exit code: 3 if anything was not judged."""
    if as_json:
        plain = [asdict(report) for report in reports]
        print(json.dumps(plain[0] if len(plain) == 1 else plain, indent=2))
    else:
        for report in reports:
            _print_report(report)
    unjudged = sum(report.outcomes[Outcome.NOT_JUDGED] for report in reports)
    if not unjudged:
        return 0
    print(
        f"{unjudged} samples could not be judged because the machine failed; they count in no score. "
        "Run the same command again to judge them.",
        file=sys.stderr,
    )
    return EXIT_INVALID


def _print_report(report: Report) -> None:
    from rich.table import Table

    out = console()

    def say(text: str) -> None:
        out.print(clean(text))  # a run may come from anywhere, and the name of a samples file is anybody's

    title = f"{report.benchmark}: {report.model}, {report.samples} samples of {report.tasks} tasks"
    say(f"{title} ({report.protocol}, {report.sandbox})")
    scores = Table("", "95 % interval", box=None, pad_edge=False)
    for name, estimates in (("", report.pass_at_k), (" (base tests)", report.base_pass_at_k or {})):
        for k, estimate in estimates.items():
            scores.add_row(clean(f"pass@{k}{name}"), percent(estimate))
    out.print(scores)
    counted = ", ".join(f"{name} {count}" for name, count in report.outcomes.items() if count)
    say(f"outcomes: {counted}")
    for line in _count_lines(report):
        say(line)
    for line in _tier_lines(report):
        say(f"  {line}")
    rates = [tier.pass_at_1.value for tier in report.tiers]
    if rates != sorted(rates, reverse=True) and all(tier.tier in NAMES for tier in report.tiers):
        out.print("  pass@1 does not fall from tier to tier: the tiers do not rank these tasks for this model")
    for name, estimate in report.metrics.items():
        of_tokens = _token_note(report.tokens) if name == "token_accuracy" else ""
        say(f"{name.replace('_', ' ')}: {percent(estimate)}{of_tokens}")
    if report.exits:
        out.print(_exit_table(report.exits))
    if report.missing_tasks:
        say(f"without samples: {len(report.missing_tasks)} tasks")
    if report.stopped_early:
        out.print("stopped early by a sequential gate or a time limit: these scores are not those of a whole run")
    for promise in report.not_promised:
        say(f"not promised by this sandbox: {promise}")
    out.print()


def _exit_table(exits: tuple[ExitScore, ...]) -> Table:
    """Return the exits of an encoder, a column each: MRR (of pairs F1) on each set, and how long they take."""
    from rich.table import Table

    heads = [f"exit {one.exit}" if one.exit else "" for one in exits]
    table = Table("set", "", *heads, box=None, pad_edge=False)
    measures = {one.name: next(iter(one.metrics)) for exit in exits for one in exit.sets if one.metrics}
    for name, measure in measures.items():
        scores = [{one.name: one.metrics for one in exit.sets}.get(name, {}).get(measure) for exit in exits]
        table.add_row(
            clean(name, 40), clean(measure, 40), *("" if one is None else f"{one.value:.1%}" for one in scores)
        )
    for what in ("query", "document"):
        times = [getattr(one.latency, f"seconds_per_{what}") if one.latency else None for one in exits]
        if any(times):
            table.add_row(f"a {what}", "ms", *("" if one is None else f"{1000 * one:.3g}" for one in times))
    return table


def _count_lines(report: Report) -> Iterator[str]:
    """Yield a line for each count of samples that a reader of the scores should know of."""
    counts = {
        "flaky": (report.flaky, "that ran out of wall time came out differently when judged alone"),
        "reused": (report.reused, "have the verdict of an identical program"),
        "hardcoded": (report.hardcoded, "that passed have the answers to the tests in their source"),
        "base only": (report.base_only, "pass the base tests and not the others"),
        "truncated": (report.truncated_completions, "end at the token limit, whatever became of them"),
        "no room": (report.no_room, "have a prompt with all the tokens that it and the answer may have together"),
        "no code": (report.no_code, "are blank, or nothing is left of them by extraction"),
    }
    for name, (count, what) in counts.items():
        if count:
            yield f"{name}: {count} samples {what}"
    if report.extraction_loss is not None:
        yield f"extraction loss: {loss_text(report.extraction_loss)}"
    if report.tokens.reasoning:
        yield f"thinking: {report.tokens.reasoning} of {report.tokens.completion} tokens that were written"
    if report.cost is not None:
        counted = f"{report.tokens.prompt} tokens of prompts and {report.tokens.completion} of completions"
        yield f"cost: {report.cost:.4g}, for {counted} at the prices given"
    for caveat in report.caveats:
        yield f"mind: {caveat}"


def loss_text(loss: ExtractionLoss) -> str:
    """Return an extraction loss in words."""
    rules = ", ".join(f"{rule} {count}" for rule, count in loss.by_rule.items() if count)
    open_ones = f"; {loss.not_judged} programs could not be judged" if loss.not_judged else ""
    return f"{loss.samples} samples that did not pass would by another rule{f' ({rules})' if rules else ''}{open_ones}"


def _token_note(tokens: Tokens) -> str:
    """Return what to know about a token accuracy where tokens are no characters."""
    if tokens.scored == tokens.scored_characters:
        return ""
    length = tokens.scored_characters / max(tokens.scored, 1)
    return f", of tokens of {length:.2g} characters: it compares with that of models with the same tokenizer only"


def _tier_lines(report: Report) -> Iterator[str]:
    """Yield a line for each tier with its halves, one for all tiers, one on where tiers come from and what is weak."""
    for tier in report.tiers:
        whole = f"{tier.tier}: {tier.tasks} tasks, pass@1 {percent(tier.pass_at_1)}{', weak' if tier.weak else ''}"
        sides = [
            f"{name} {half.pass_at_1.value:.1%}{' weak' if half.weak else ''}"
            for name, half in (("tune", tier.tune), ("held back", tier.held_back))
            if half
        ]
        yield f"{whole}; {', '.join(sides)}" if sides else whole
    if report.tune and report.held_back:
        yield f"all: tune {percent(report.tune.pass_at_1)}, held back {percent(report.held_back.pass_at_1)}"
    if report.tiers:
        yield f"tiers by {source_text(report.tier_source)}; weak: {weak_text(report.weak_rule)}"


def show(run: Path, failures: int, task: str | None, as_json: bool) -> None:
    """Print a run's report and some of its failures; of one task, all its samples. Raises UsageError."""
    report = read_report(run)
    chosen: dict[tuple[str, int], Verdict] = {}
    for verdict in read_lines(run / VERDICTS, Verdict):
        if verdict.task_id == task or (task is None and not verdict.passed and len(chosen) < failures):
            chosen[verdict.task_id, verdict.sample_index] = verdict
    if task is not None and not chosen:
        raise UsageError(f"no sample of {task!r} in {run}")
    programs = {
        (sample.task_id, sample.sample_index): sample
        for sample in read_lines(run / SAMPLES, Sample)
        if (sample.task_id, sample.sample_index) in chosen
    }
    if as_json:
        cards = [{**asdict(verdict), "program": programs[key].program} for key, verdict in chosen.items()]
        print(json.dumps({"report": asdict(report), "samples": cards}, indent=2))
        return
    _print_report(report)
    for key, verdict in chosen.items():
        _print_card(verdict, programs[key])


def _print_card(verdict: Verdict, sample: Sample) -> None:
    """Print one sample: verdict, evidence, code. All of it is untrusted text and stripped of control characters."""
    from rich.panel import Panel
    from rich.table import Table

    evidence = verdict.evidence
    facts = Table(box=None, show_header=False, pad_edge=False)
    tests = f"{verdict.tests_run} of {verdict.tests_expected} tests, {verdict.cpu_seconds:.2f} s CPU"
    for name, value in (
        ("outcome", f"{verdict.outcome} ({tests})"),
        ("reason", evidence.reason),
        ("input", evidence.call),
        ("expected", evidence.expected),
        ("actual", evidence.actual),
        ("printed", evidence.output),
        ("note", "the answers to the tests are in its source" if verdict.hardcoded else None),
    ):
        if value:
            facts.add_row(name, clean(value, 600))
    title = f"{verdict.task_id} [{verdict.sample_index}]"
    out = console()
    out.print(Panel(facts, title=title, title_align="left"))
    # Numbered, so that no line begins with what a CI log would take for a command.
    for number, line in enumerate(clean(sample.program, 4000).rstrip().split("\n"), 1):
        out.print(f"{number:4}  {line}")
    out.print()
