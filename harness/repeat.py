"""Doing a run again: the evaluation that its run.json says, and whether the samples came out the same.

Refused where anything has changed that samples depend on: data, model, tokenizer, chat template, prompts, protocol,
extraction, how the model runs. What may differ is where programs are judged, and what tiers are reported.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from harness.answers import answer
from harness.benchmarks import names
from harness.errors import StoreMismatch, UsageError
from harness.evidence import clean, shown
from harness.fingerprint import differences
from harness.model_options import HF, OPENAI, ModelOptions
from harness.models.loading import DTYPES
from harness.protocols import rules_for
from harness.records import Benchmark, RunConfig, Sample
from harness.sampling import Decoding
from harness.store import RUN, SAMPLES, read_config, read_lines

# What a run may be done again with, beside its samples.
_MAY_DIFFER = frozenset({"sandbox", "image_digest", "tiers_digest", "weak_rule"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """How many samples of a run came out the same again, byte for byte, and what is promised about that.

    `other` names the first that did not; `versions` are those of packages that differ, in words.
    """

    same: int
    total: int
    other: str | None
    promise: str
    versions: tuple[str, ...]


def read_run(path: Path) -> RunConfig:
    """Return the configuration of the run that `path` names, its folder or its run.json.

    Raises `UsageError` for one that cannot be done again.
    """
    folder = folder_of(path)
    run = read_config(folder)
    reasons = {
        "its samples came from a file, and nobody wrote them": run.backend == "file",
        f"its samples were written in another run, {clean(run.origin)}: name that": bool(run.origin or run.rejudged),
        "an earlier version wrote it, which did not note how its model was to be run": run.options is None,
        "a sequential gate ended it": bool(run.sequential),
        "a time limit was set, and which samples there are depends on the clock": run.time_limit_seconds is not None,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UsageError(f"{folder} cannot be done again: {reason}")
    return run


def folder_of(path: Path) -> Path:
    """Return a run's folder, for it or its run.json."""
    return path.parent if path.name == RUN else path


def decoding_of(run: RunConfig) -> Decoding:
    """Return what a run's samples were to be written with."""
    if run.backend == "reference":
        return Decoding()  # nothing is decoded, by no protocol
    known = {field.name for field in fields(RunConfig)}
    return Decoding(**{field.name: getattr(run, field.name) for field in fields(Decoding) if field.name in known})


def tasks_of(run: RunConfig) -> str:
    """Return what `--tasks` calls a run's benchmark."""
    return run.benchmark if run.benchmark in names() else run.dataset_source


def model_of(run: RunConfig) -> tuple[str, ModelOptions]:
    """Return what `--model` called a run's model, and how that was run, with nothing left to the machine."""
    options = run.options or ModelOptions()
    if options.backend == HF and run.backend == HF:
        found = {name: run.runtime.get(name) for name in ("device", "dtype")}
        if options.device == "auto" and found["device"]:
            options = replace(options, device=found["device"])
        if options.dtype == "auto" and found["dtype"] in DTYPES:
            options = replace(options, dtype=found["dtype"])
    if options.backend == OPENAI and options.base_url is None:
        options = replace(options, base_url=run.runtime.get("base_url"))
    if options.revision is None and "commit" in run.runtime and "@" not in run.model:
        options = replace(options, revision=run.runtime["commit"])
    return run.model.removesuffix(f"+{options.peft_model}"), options


def see_that_it_is_the_same(path: Path, now: RunConfig, benchmark: Benchmark) -> None:
    """Raise `StoreMismatch`, with each difference, unless a run that is about to begin repeats the one in `path`."""
    folder = folder_of(path)
    differing = differences(read_config(folder), now, _MAY_DIFFER)
    if differing:
        raise StoreMismatch(f"{folder} cannot be done again as it was: {'; '.join(differing)}")
    if now.backend == "reference" or benchmark.corpora or not (folder / SAMPLES).is_file():
        return
    rules, tasks = rules_for(now.protocol, benchmark), {task.task_id: task for task in benchmark.tasks}
    for sample in read_lines(folder / SAMPLES, Sample):
        if sample.sample_index == 0 and sample.program != rules.program(tasks[sample.task_id], answer(sample)):
            raise StoreMismatch(
                f"{folder} cannot be done again as it was: {now.protocol} makes another program of the completion for "
                f"{shown(sample.task_id)} than it did, so its extraction has changed"
            )


def compared(path: Path, out: Path) -> Repetition | None:
    """Return how the samples in `out` compare with those of the run in `path`; None where that has none any more."""
    folder = folder_of(path)
    if not (folder / SAMPLES).is_file():
        return None
    before, now = read_config(folder), read_config(out)
    written = {(one.task_id, one.sample_index): one for one in read_lines(out / SAMPLES, Sample)}
    same, total, other = 0, 0, None
    for sample in read_lines(folder / SAMPLES, Sample):
        total += 1
        if written.get((sample.task_id, sample.sample_index)) == sample:
            same += 1
        elif other is None:
            other = f"{clean(sample.task_id)}[{sample.sample_index}]"
    packages = sorted({*before.versions, *now.versions})
    pairs = {name: (before.versions.get(name, "none"), now.versions.get(name, "none")) for name in packages}
    return Repetition(
        same=same,
        total=total,
        other=other,
        promise=now.runtime.get("reproducible", "byte for byte"),
        versions=tuple(f"{name} {clean(old)}, now {new}" for name, (old, new) in pairs.items() if old != new),
    )


def said(repetition: Repetition | None, run: Path, out: Path) -> str:
    """Return a repetition in words."""
    if repetition is None:
        return f"{folder_of(run)} has no samples any more to compare those of {out} with"
    one = repetition
    text = f"{one.same} of {one.total} samples are byte for byte those of {folder_of(run)}"
    if one.other:
        text += f", the first that is not is {one.other}"
    if one.versions:
        text += f"; versions differ: {', '.join(one.versions)}"
    return f"{text}. Reproducible: {one.promise}"
