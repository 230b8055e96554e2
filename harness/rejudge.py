"""Judge a run's samples once more by another protocol's stop strings and extraction, or another extraction rule.

Nothing is generated, and the run itself is left as it is. Where the other protocol would have asked or stopped the
model otherwise, the result is not what it would have come to, and the new run says so (`caveats`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from harness.errors import UsageError
from harness.evaluation import Asked, EvalConfig, judge
from harness.evidence import shown
from harness.extraction import extraction_rule
from harness.models.seam import GenerationSettings
from harness.progress import NoProgress, Progress
from harness.protocols import PROTOCOLS, Rules, rules_for
from harness.reasoning import answer_of, cut_answer
from harness.records import Benchmark, Report, RunConfig, Sample, StopReason, Task
from harness.resolving import chosen_tasks, rule_of
from harness.runs import benchmark_of
from harness.store import SAMPLES, read_config, read_lines
from harness.stored import stored_source


@dataclass(frozen=True, slots=True, kw_only=True)
class RejudgeConfig:
    """What `harness rejudge` was asked for: one of `protocol` and `extraction`, by name.

    `out` is the new run's folder (None: beside the run, named after it and the rule).
    """

    run: Path
    protocol: str | None = None
    extraction: str | None = None
    out: Path | None = None
    partial: bool = False
    resume: bool = True
    sandbox: str = "auto"
    workers: int = 2
    audit: bool = True

    def __post_init__(self) -> None:
        if (self.protocol is None) == (self.extraction is None):
            raise UsageError("say by what to judge again: --protocol or --extraction, and not both")
        if self.out is not None and self.out.resolve() == self.run.resolve():
            raise UsageError(f"--out {self.out} is the run itself, which is left as it is: give another folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manner:
    """How programs are made anew: of the answer up to one of the strings of `cut`, by the rule of that name.

    `protocol` is what the new run's protocol is called, `stop` are the strings that its samples end at.
    """

    protocol: str
    extraction: str
    cut: tuple[str, ...]
    stop: tuple[str, ...]
    program: Callable[[Task, str], str]
    caveats: tuple[str, ...] = ()


def rejudge(config: RejudgeConfig, progress: Progress | None = None) -> tuple[Path, Report]:
    """Judge a run's samples again, and return the folder of the new run and its report.

    The same call goes on where it was stopped. Raises UsageError for a run that has no completions of its own, for a
    name that there is not, and for data that is not the run's.
    """
    written = read_config(config.run)
    if written.backend == "reference":
        raise UsageError(f"{config.run} has the benchmark's own solutions: there is nothing to extract from them")
    if written.rejudged:
        raise UsageError(f"{config.run} is judged again already: name the run that it came from, {written.origin}")
    benchmark = benchmark_of(written)
    if benchmark.corpora:
        raise UsageError(f"{config.run} has rankings, and no program is made of them: there is nothing to judge again")
    manner = _by_rule(config.extraction, written) if config.extraction else _by_protocol(config, written, benchmark)
    run = replace(
        written,
        protocol=manner.protocol,
        extraction=manner.extraction,
        stop=manner.stop,
        rejudged=config.protocol or f"extraction {config.extraction}",
        origin=str(config.run.resolve()),
        caveats=manner.caveats,
    )
    out = config.out or config.run.resolve().with_name(
        f"{config.run.resolve().name}--{config.protocol or config.extraction}"
    )
    asked_for = EvalConfig(
        tasks=(written.benchmark,),
        out=out,
        samples=config.run,
        partial=config.partial or written.partial,
        resume=config.resume,
        sandbox=config.sandbox,
        workers=config.workers,
        cpu_seconds=written.cpu_seconds,
        wall_seconds=written.wall_seconds,
        memory_bytes=written.memory_bytes,
        rule=rule_of(written),
        audit=config.audit,
    )
    tasks = chosen_tasks(benchmark, asked_for, written)
    again = partial(_again, manner, written.backend == "file")
    source = stored_source(config.run, run, benchmark, tasks, asked_for.partial, again)
    asked = Asked(benchmark=benchmark, source=source, plan=None, out=out)
    return out, judge(asked_for, asked, progress or NoProgress())


def _by_rule(name: str, written: RunConfig) -> _Manner:
    rule = extraction_rule(name)
    return _Manner(
        protocol=f"{written.protocol}, extraction {name}",
        extraction=name,
        cut=(),
        stop=written.stop,
        program=rule.extract,
    )


def _by_protocol(config: RejudgeConfig, written: RunConfig, benchmark: Benchmark) -> _Manner:
    """Return the manner of a protocol. Where it would have written the very same, the run is one by that protocol."""
    rules = rules_for(str(config.protocol), benchmark)
    caveats = _caveats(config.run, written, rules, benchmark)
    return _Manner(
        protocol=f"{written.protocol}, rejudged as {rules.name}" if caveats else rules.name,
        extraction=rules.extraction,
        cut=rules.stop,
        stop=tuple(dict.fromkeys((*written.stop, *rules.stop))) if caveats else rules.stop,
        program=rules.program,
        caveats=caveats,
    )


def _caveats(run: Path, written: RunConfig, rules: Rules, benchmark: Benchmark) -> tuple[str, ...]:
    """Return in what a protocol would have written other completions than a run has."""
    if written.protocol not in PROTOCOLS:
        return (f"it is not known what {rules.name} would have asked otherwise: {shown(written.protocol)} is a file's",)
    before = rules_for(written.protocol, benchmark)
    tasks = [task for task in benchmark.tasks if task.task_id in set(written.task_ids)]
    prompts = sum(before.prompt(task) != rules.prompt(task) for task in tasks)
    found = []
    if prompts:
        found.append(f"{rules.name} asks {prompts} of {len(tasks)} tasks otherwise than {before.name}, which was asked")
    if more := [one for one in written.stop if not one.startswith(rules.stop)]:
        found.append(f"{rules.name} would have gone on where {before.name} stopped: at {', '.join(map(repr, more))}")
    # Limits that were asked for would have been those of the other protocol as well.
    if (written.max_new_tokens, written.max_length) == (before.max_new_tokens, before.max_length):
        found += _other_limits(read_lines(run / SAMPLES, Sample), written, before, rules)
    return tuple(found)


def _other_limits(samples: Iterable[Sample], written: RunConfig, before: Rules, rules: Rules) -> Iterator[str]:
    """Yield how many samples, of those that no stop string ends, another limit of tokens would have ended elsewhere."""
    limits = GenerationSettings(max_new_tokens=rules.max_new_tokens, max_length=rules.max_length)
    sooner = later = 0
    for one in samples:
        if one.completion_tokens is None or one.prompt_tokens is None:
            continue
        if cut_answer(one.completion, one.reasoning_rule, rules.stop) != one.completion:
            continue
        has_room = limits.leaves_room(one.prompt_tokens)
        limit = limits.behind(one.prompt_tokens).max_new_tokens if has_room else 0
        apart = 0 if written.max_reasoning_tokens is None else one.reasoning_tokens or 0
        sooner += one.completion_tokens - apart > limit
        later += one.stop_reason is StopReason.LENGTH and one.completion_tokens - apart < limit
    if sooner:
        yield f"{rules.name} would have ended {sooner} samples sooner, by its limit of tokens"
    if later:
        yield f"{rules.name} would have let {later} samples go on that ran out of the tokens of {before.name}"


def _again(manner: _Manner, is_file: bool, task: Task, sample: Sample) -> Sample:
    """Return a sample as it would have been by another manner; a whole program from a file stays as it is."""
    if is_file and sample.program == sample.completion:
        return sample
    text = cut_answer(sample.completion, sample.reasoning_rule, manner.cut)
    return replace(
        sample,
        completion=text,
        program=manner.program(task, answer_of(text, sample.reasoning_rule)),
        stop_reason=sample.stop_reason if text == sample.completion else StopReason.STOP,
        extraction=manner.extraction,
    )
