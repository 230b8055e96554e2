"""What the commands do between the options and the functions that they call: build configurations, print."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextvars import copy_context
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.benchmarks import load_benchmark, names
from harness.benchmarks.data import cache_folder, may_download
from harness.errors import UsageError
from harness.evaluation import EvalConfig
from harness.evidence import clean
from harness.judge import EvalPlusRule
from harness.options import chosen_backend
from harness.records import Estimate, Outcome, Report, Sample, Tokens, Verdict
from harness.sources import Decoding
from harness.store import SAMPLES, VERDICTS, read_lines, read_report
from harness.tiers import source_text
from harness.weak import weak_text

if TYPE_CHECKING:
    from rich.console import Console

EXIT_INVALID = 3


def eval_config(options: dict[str, Any]) -> EvalConfig:
    """Return the configuration for the options of `harness eval`. Raises UsageError for those that contradict."""
    temperature, n_samples = options["temperature"], options["n_samples"]
    if options["greedy"]:
        if temperature not in (None, 0.0) or n_samples not in (None, 1):
            raise UsageError("--greedy means one sample at temperature 0: leave --temperature and --n-samples out")
        temperature, n_samples = 0.0, 1
    tasks = tuple(name.strip() for name in options["tasks"].split(",") if name.strip())
    model, samples = options["model"], options["samples"]
    memory = options["memory_mb"]
    return EvalConfig(
        tasks=tasks,
        out=options["out"] or Path("runs") / _folder_name(model or (samples and samples.name) or "", tasks),
        model=model,
        samples=samples,
        decoding=Decoding(
            protocol=options["protocol"],
            n_samples=n_samples,
            temperature=temperature,
            top_p=options["top_p"],
            max_new_tokens=options["max_new_tokens"],
            seed=options["seed"],
            batch_size=options["batch_size"],
        ),
        options=chosen_backend(options),
        limit=options["limit"],
        tiers=options["tiers"],
        weak_below=options["weak_below"],
        weak_baseline=options["weak_baseline"],
        partial=options["partial"],
        resume=not options["no_resume"],
        sandbox=options["sandbox"],
        workers=options["workers"] or len(os.sched_getaffinity(0)),
        cpu_seconds=options["cpu_seconds"],
        wall_seconds=options["wall_seconds"],
        memory_bytes=memory << 20 if memory else None,
        rule=EvalPlusRule(least=options["min_time_limit"], factor=options["gt_time_limit_factor"]),
        cache=_cache_folder(options["cache"]),
        image=options["image"],
        runtime=options["runtime"],
    )


def _cache_folder(option: str | None) -> Path | None:
    """Return the folder that `--cache` names; without a name, one beside the other things that can be had again."""
    if option is None:
        return None
    return Path(option) if option else cache_folder() / "verdicts"


def _folder_name(model: str, tasks: tuple[str, ...]) -> str:
    text = f"{model.strip('./').replace('/', '--')}--{'-'.join(Path(task).name for task in tasks)}"
    return re.sub(r"[^\w.+@-]", "_", text)[:150]


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
    if report.flaky:
        out.print(f"flaky: {report.flaky} samples that ran out of wall time came out differently when judged alone")
    if report.reused:
        out.print(f"reused: {report.reused} samples have the verdict of an identical program")
    if report.hardcoded:
        out.print(f"hardcoded: {report.hardcoded} samples that passed have the answers to the tests in their source")
    if report.base_only:
        out.print(f"base only: {report.base_only} samples pass the base tests and not the others")
    for line in _tier_lines(report):
        say(f"  {line}")
    rates = [tier.pass_at_1.value for tier in report.tiers]
    if rates != sorted(rates, reverse=True):
        out.print("  pass@1 does not fall from tier to tier: the tiers do not rank these tasks for this model")
    for name, estimate in report.metrics.items():
        of_tokens = _token_note(report.tokens) if name == "token_accuracy" else ""
        say(f"{name.replace('_', ' ')}: {percent(estimate)}{of_tokens}")
    if report.missing_tasks:
        say(f"without samples: {len(report.missing_tasks)} tasks")
    if report.stopped_early:
        out.print("stopped early by a sequential gate or a time limit: these scores are not those of a whole run")
    for promise in report.not_promised:
        say(f"not promised by this sandbox: {promise}")
    out.print()


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


def print_tasks(as_json: bool) -> None:
    """Print the benchmarks, and what is missing of their data."""
    from rich.table import Table

    rows = copy_context().run(_benchmarks_here)
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("benchmark", "tasks", "data", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["name"], str(row["tasks"] or "-"), (row["digest"] or "")[:12] or row["problem"])
    console().print(table)


def _benchmarks_here() -> list[dict[str, Any]]:
    may_download.set(False)
    rows: list[dict[str, Any]] = []
    for name in names():
        try:
            benchmark = load_benchmark(name)
            rows.append({"name": name, "tasks": len(benchmark.tasks), "digest": benchmark.digest, "problem": None})
        except UsageError as error:
            rows.append({"name": name, "tasks": None, "digest": None, "problem": str(error)})
    return rows


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


def print_doctor(as_json: bool) -> int:
    """Print what this machine can and cannot do; return 0 if programs can run here, else 3."""
    from rich.table import Table

    from sandbox import examine

    findings = examine()
    usable = any(finding.ok for finding in findings if finding.name in ("docker", "local"))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
        return 0 if usable else EXIT_INVALID
    table = Table("", "check", "found", "fix", box=None, pad_edge=False)
    for finding in findings:
        table.add_row("ok" if finding.ok else "no", finding.name, finding.detail, "" if finding.ok else finding.fix)
    console().print(table)
    return 0 if usable else EXIT_INVALID
