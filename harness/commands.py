"""What the commands do between the options and the functions that they call: build configurations, print lists."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from contextvars import copy_context
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harness.benchmarks import names
from harness.benchmarks.data import cache_folder, may_download
from harness.errors import UsageError
from harness.evaluation import EvalConfig, Written
from harness.evidence import clean
from harness.judge import EvalPlusRule
from harness.options import chosen_backend
from harness.print_report import EXIT_INVALID, console
from harness.repeat import compared, decoding_of, folder_of, model_of, read_run, said, tasks_of
from harness.resolving import rule_of
from harness.sources import Decoding
from harness.stored import is_run

if TYPE_CHECKING:
    from harness.benchmarks.listing import Listed

# Options of `harness eval` by what they are about; those that are in neither are about writing samples.
_OF_JUDGING = (
    *("sandbox", "workers", "image", "runtime", "cpu_seconds", "wall_seconds", "memory_mb", "min_time_limit"),
    *("gt_time_limit_factor", "cache", "no_audit", "tiers", "weak_below", "weak_baseline"),
)
# What may be given beside --repeat: where programs are judged, what is reported, the folder, and a file of shots, which
# run.json has the digest of.
_OF_REPEATING = frozenset(
    {
        *("repeat", "out", "no_resume", "as_json", "generate_only", "no_audit", "tiers", "weak_below", "weak_baseline"),
        *("sandbox", "image", "runtime", "workers", "cache", "shots"),
    }
)
_OF_BOTH = frozenset({"model", "samples", "tasks", "limit", "partial", "out", "no_resume", "as_json", "generate_only"})


def see_that_options_fit(context: click.Context) -> None:
    """Raise UsageError for options of `harness eval` that were given and could change nothing beside the others."""
    options = context.params
    given = _given(context)
    if options["repeat"] is not None:
        if settled := [text for name, text in given.items() if name not in _OF_REPEATING]:
            raise UsageError(f"--repeat takes these from the run's run.json: leave {', '.join(settled)} out")
        return
    if options["tasks"] is None:
        raise UsageError("name the benchmarks with --tasks; `harness tasks` lists them")
    if options["generate_only"] and (options["samples"] is not None or options["partial"]):
        raise UsageError(
            "--generate-only has a model write samples: give --model, and leave --samples and --partial out"
        )
    if options["samples"] is None:
        return
    if writing := [text for name, text in given.items() if name not in _OF_BOTH and name not in _OF_JUDGING]:
        raise UsageError(f"{', '.join(writing)}: about writing samples, and those of --samples are there: leave it out")
    if options["no_resume"] and is_run(options["samples"]) and not options["out"]:
        raise UsageError(
            f"--no-resume would delete the samples of {options['samples']}, which is judged in its own folder: "
            "give --out as well"
        )


def judging_options(context: click.Context) -> str:
    """Return the options of `harness eval` about judging that were given, as they are typed."""
    words = []
    for name, text in _given(context).items():
        if name in _OF_JUDGING:
            value = context.params[name]
            words += [text] if value is True else [text, shlex.quote(str(value))]
    return " ".join(words)


def _given(context: click.Context) -> dict[str, str]:
    """Return the options that were typed: name and how it is spelt."""
    return {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if parameter.name and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }


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
        out=options["out"] or _default_out(model, samples, tasks),
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
            reasoning=options["reasoning"],
            max_reasoning_tokens=options["max_reasoning_tokens"],
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
        audit=not options["no_audit"],
        shots=options["shots"],
    )


def repeat_config(options: dict[str, Any]) -> EvalConfig:
    """Return the configuration that does the run of `--repeat` again. Raises UsageError for one that cannot be."""
    path: Path = options["repeat"]
    run, out = read_run(path), options["out"]
    if out is None or out.resolve() == folder_of(path).resolve():
        raise UsageError("--repeat writes a run of its own beside the one that it repeats: give it a folder with --out")
    model, backend = model_of(run)
    recorded = run.sandbox if run.sandbox in ("docker", "local") else "auto"
    return EvalConfig(
        tasks=(tasks_of(run),),
        out=out,
        model=model,
        decoding=decoding_of(run),
        options=backend,
        limit=len(run.task_ids),
        tiers=options["tiers"],
        weak_below=options["weak_below"],
        weak_baseline=options["weak_baseline"],
        resume=not options["no_resume"],
        sandbox=recorded if options["sandbox"] == "auto" else options["sandbox"],
        workers=options["workers"] or len(os.sched_getaffinity(0)),
        cpu_seconds=run.cpu_seconds,
        wall_seconds=run.wall_seconds,
        memory_bytes=run.memory_bytes,
        rule=rule_of(run),
        cache=_cache_folder(options["cache"]),
        image=options["image"],
        runtime=options["runtime"],
        audit=not options["no_audit"],
        repeats=path,
        shots=options["shots"],
    )


def print_repetition(run: Path, out: Path, as_json: bool) -> None:
    """Print how many samples came out the same; on standard error beside a JSON document."""
    text = said(compared(run, out), run, out)
    if as_json:
        print(text, file=sys.stderr)
    else:
        console().print(text)


def _default_out(model: str | None, samples: Path | None, tasks: tuple[str, ...]) -> Path:
    """Return the folder of a run: a stored run's own, so that it ends as if it had been whole."""
    if samples is not None and is_run(samples):
        return samples
    return Path("runs") / _folder_name(model or (samples.name if samples else ""), tasks)


def _cache_folder(option: str | None) -> Path | None:
    """Return the folder that `--cache` names; without a name, one beside the other things that can be had again."""
    if option is None:
        return None
    return Path(option) if option else cache_folder() / "verdicts"


def _folder_name(model: str, tasks: tuple[str, ...]) -> str:
    text = f"{model.strip('./').replace('/', '--')}--{'-'.join(Path(task).name for task in tasks)}"
    return re.sub(r"[^\w.+@-]", "_", text)[:150]


def print_written(written: list[Written], more: str, as_json: bool) -> None:
    """Print where samples are that nothing has judged, and what judges them with the options `more`."""
    if as_json:
        plain = [{**asdict(one), "folder": str(one.folder)} for one in written]
        print(json.dumps(plain[0] if len(plain) == 1 else plain, indent=2))
        return
    out = console()
    for one in written:
        words = ["harness", "eval", "--samples", str(one.folder), "--tasks", one.tasks]
        command = " ".join(filter(None, [shlex.join(words), more]))
        out.print(clean(f"{one.benchmark}: {one.samples} of {one.total} samples in {one.folder}, none judged here"))
        out.print(clean(f"judge them, here or where this folder is copied to: {command}"))


def print_tasks(as_json: bool) -> None:
    """Print the benchmarks, and what is missing of their data."""
    from rich.table import Table

    rows = copy_context().run(_benchmarks_here)
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    table = Table("benchmark", "tasks", "data", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.name, str(row.tasks or "-"), (row.digest or "")[:12] or row.problem)
    console().print(table)


def _benchmarks_here() -> list[Listed]:
    from harness.benchmarks.listing import listed

    may_download.set(False)
    return [listed(name) for name in names()]


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
