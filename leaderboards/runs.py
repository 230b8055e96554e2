"""Find run folders and read them, trusting nothing in them: what does not add up is refused.

A run that claims a score which its own verdicts do not have never reaches a table.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeVar

import click
import msgspec

from harness.records import Estimate, Outcome, Report, RunConfig, Verdict, from_json
from leaderboards.text import one_line

RUN, SAMPLES, VERDICTS, REPORT = "run.json", "samples.jsonl", "verdicts.jsonl", "report.json"
MAX_DEPTH = 4  # runs/<model>/<benchmark> is two; deeper trees are something else
MAX_RECORD_BYTES = 64 << 20
MAX_FILE_BYTES = 4 << 30
MOST = 40  # tiers, and other metrics, of one run
_SLACK = 1e-9
_UNITS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
Whole = TypeVar("Whole", RunConfig, Report)
TaskLists = dict[tuple[str, ...], tuple[str, ...]]


class Unusable(click.ClickException):
    """What was asked for cannot be shown: one message, exit code 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, 1000))


class _Tally(msgspec.Struct):
    """The part of a verdict that scores are made of; the rest of the line is skipped, which is several times faster."""

    task_id: str
    sample_index: int
    outcome: Outcome
    passed: bool
    base_passed: bool | None = None
    flaky: bool = False
    hardcoded: bool = False


_TALLY = msgspec.json.Decoder(_Tally)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run and, for each task in the order of `config.task_ids`, its counts.

    `worst` is the outcome of a task's first sample that did not pass, or `passed`.
    """

    folder: Path
    config: RunConfig
    report: Report
    judged: tuple[int, ...]
    passed: tuple[int, ...]
    base: tuple[int, ...]
    worst: tuple[Outcome, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every task has a judged sample, no sample is left to judge, and nothing ended the run early."""
        unjudged = self.report.outcomes.get(Outcome.NOT_JUDGED, 0)
        return 0 not in self.judged and not unjudged and not self.report.stopped_early

    @property
    def parameters(self) -> float | None:
        """The number of parameters that run.json states in `runtime`, as a number or as `1.3B`."""
        return _number(self.config.runtime.get("parameters", ""))

    @property
    def cost(self) -> float | None:
        """The cost in US dollars that run.json states in `runtime` as `cost_usd`."""
        return _number(self.config.runtime.get("cost_usd", ""))


def _number(text: str) -> float | None:
    bare = text.strip().lower()
    unit = _UNITS.get(bare[-1:], 1.0)
    try:
        value = float(bare[:-1] if unit > 1 else bare) * unit
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def find_runs(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Return the folders of finished runs at or below `paths`, sorted, and those that hold an unfinished run.

    Raises Unusable for a path with neither, and for an unfinished run that was named itself.
    """
    finished: set[Path] = set()
    unfinished: set[Path] = set()
    for path in paths:
        if not path.is_dir():
            raise Unusable(f"{path}: no such folder")
        found = list(_run_folders(path))
        if not found:
            raise Unusable(f"{path}: no run in it (a run is a folder with {RUN} and {REPORT})")
        if found == [path] and not (path / REPORT).exists():
            raise Unusable(f"{path}: this run is not finished; give its `harness eval` command again")
        for folder in found:
            (finished if (folder / REPORT).exists() else unfinished).add(folder.resolve())
    if not finished:
        raise Unusable("none of these runs is finished; give their `harness eval` commands again")
    return sorted(finished), sorted(unfinished)


def _run_folders(top: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(top, followlinks=True):
        here = Path(folder)
        if RUN in files:
            yield here
            below.clear()
        elif len(here.relative_to(top).parts) >= MAX_DEPTH:
            below.clear()
        else:
            below[:] = sorted(name for name in below if not name.startswith("."))


def read_run(folder: Path, task_lists: TaskLists | None = None) -> Run:
    """Read a run. Raises Unusable, with file and reason, when a file is damaged or the files contradict each other.

    Runs read with the same `task_lists` share equal lists of tasks, which saves memory.
    """
    config = _read_whole(folder / RUN, RunConfig)
    if task_lists is not None:
        config = replace(config, task_ids=task_lists.setdefault(config.task_ids, config.task_ids))
    run = _count(folder, config, _read_whole(folder / REPORT, Report))
    _see_that_it_adds_up(run)
    return run


def _count(folder: Path, config: RunConfig, report: Report) -> Run:
    """Return the run with the counts of its verdicts. Raises Unusable where verdicts contradict run or report."""
    path = folder / VERDICTS
    places = {task: place for place, task in enumerate(config.task_ids)}
    if len(places) != len(config.task_ids):
        raise Unusable(f"{folder / RUN}: a task is listed twice")
    judged, passed, base = [0] * len(places), [0] * len(places), [0] * len(places)
    worst = [Outcome.PASSED] * len(places)
    outcomes: dict[str, int] = dict.fromkeys((*Outcome, *report.outcomes), 0)
    seen: set[tuple[int, int]] = set()
    flaky = hardcoded = 0
    for number, verdict in enumerate(_tallies(path), 1):
        place = places.get(verdict.task_id)
        if place is None or verdict.sample_index < 0 or (place, verdict.sample_index) in seen:
            raise Unusable(f"{path}:{number}: a second verdict on a sample, or a task that {RUN} does not list")
        if verdict.passed != (verdict.outcome is Outcome.PASSED):
            raise Unusable(f"{path}:{number}: passed is {verdict.passed}, but the outcome is {verdict.outcome}")
        seen.add((place, verdict.sample_index))
        outcomes[verdict.outcome] += 1
        flaky, hardcoded = flaky + verdict.flaky, hardcoded + verdict.hardcoded
        if not verdict.passed and worst[place] is Outcome.PASSED:
            worst[place] = verdict.outcome
        if verdict.outcome is not Outcome.NOT_JUDGED:
            judged[place] += 1
            passed[place] += verdict.passed
            base[place] += bool(verdict.base_passed)
    if (flaky, hardcoded) != (report.flaky, report.hardcoded) or any(
        count != report.outcomes.get(name, 0) for name, count in outcomes.items()
    ):
        raise Unusable(f"{folder}: the counts of {REPORT} are not those of {VERDICTS}")
    return Run(
        folder=folder,
        config=config,
        report=report,
        judged=tuple(judged),
        passed=tuple(passed),
        base=tuple(base),
        worst=tuple(worst),
    )


def open_regular(path: Path, longest: int) -> IO[bytes]:
    """Open a file for reading. Raises Unusable for what is missing, too long, or no plain file (a pipe would hang)."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unusable(f"{path} is not a plain file")
        if status.st_size > longest:
            raise Unusable(f"{path} is larger than {longest >> 20} MiB")
        return path.open("rb")
    except FileNotFoundError:
        raise Unusable(f"{path} is not there: is this the folder of a finished run?") from None
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror or error}") from None


def _read_whole(path: Path, kind: type[Whole]) -> Whole:
    with open_regular(path, MAX_RECORD_BYTES) as file:
        try:
            return from_json(kind, file.read())
        except (ValueError, RecursionError) as error:
            raise Unusable(f"{path}: not a {kind.__name__}: {error}") from None


def _tallies(path: Path) -> Iterator[_Tally]:
    with open_regular(path, MAX_FILE_BYTES) as file:
        for number, line in enumerate(file, 1):
            try:
                yield _TALLY.decode(line)
            except (ValueError, RecursionError):
                yield _tally_of_odd(line, f"{path}:{number}")


def _tally_of_odd(line: bytes, place: str) -> _Tally:
    """Read what the quick reader refuses: texts with lone surrogates are sound, all else is not."""
    try:
        verdict = from_json(Verdict, line)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{place}: not a Verdict: {error}") from None
    return _Tally(
        task_id=verdict.task_id,
        sample_index=verdict.sample_index,
        outcome=verdict.outcome,
        passed=verdict.passed,
        base_passed=verdict.base_passed,
        flaky=verdict.flaky,
        hardcoded=verdict.hardcoded,
    )


def _see_that_it_adds_up(run: Run) -> None:
    """Compare the report with run.json and the scores with the counts. Raises Unusable."""
    report, config = run.report, run.config
    for name in ("benchmark", "model", "protocol"):
        if getattr(report, name) != getattr(config, name):
            raise Unusable(f"{run.folder}: {RUN} and {REPORT} name a different {name}")
    if report.tasks != len(config.task_ids):
        raise Unusable(f"{run.folder}: {REPORT} has {report.tasks} tasks, {RUN} {len(config.task_ids)}")
    times = [one.latency.seconds_per_query for one in report.exits if one.latency]
    numbers = (report.seconds, report.tokens.prompt, report.tokens.completion, *times)
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        raise Unusable(f"{run.folder / REPORT}: seconds or tokens are not counts")
    if not any(run.judged):
        raise Unusable(f"{run.folder}: none of its samples is judged, so that there is no score to show")
    _see_scores(run, report.pass_at_k, run.passed)
    if report.base_pass_at_k is not None:
        _see_scores(run, report.base_pass_at_k, run.base)
    loss = report.extraction_loss
    listed = (report.tiers, report.metrics, report.exits, loss.by_rule if loss else (), report.caveats)
    if max(map(len, listed)) > MOST:
        raise Unusable(f"{run.folder / REPORT}: more than {MOST} tiers, metrics, exits, rules or caveats")
    lost = (loss.samples, *loss.by_rule.values()) if loss else ()
    if not all(0 <= count <= report.samples - sum(run.passed) for count in lost):
        raise Unusable(f"{run.folder / REPORT}: more samples are lost by extraction than did not pass")
    of_sets = [(one.name, score) for exit in report.exits for one in exit.sets for score in one.metrics.values()]
    for name, metric in (*report.metrics.items(), *of_sets):
        if not _is_estimate(metric):
            raise Unusable(f"{run.folder / REPORT}: {name} is no share with an interval around it")
    for tier in report.tiers:
        if not _is_estimate(tier.pass_at_1) or tier.tasks < 0:
            raise Unusable(f"{run.folder / REPORT}: the score of tier {tier.tier} is not one")


def _see_scores(run: Run, estimates: dict[str, Estimate], passed: tuple[int, ...]) -> None:
    """Compare each pass@k with what the counts give; an interval is only seen to lie around it."""
    counts = [(n, c) for n, c in zip(run.judged, passed, strict=True) if n]
    least = min(n for n, _ in counts)
    if "1" not in estimates:
        raise Unusable(f"{run.folder / REPORT}: no pass@1")
    for k, estimate in estimates.items():
        if not (k.isdecimal() and len(k) < 5 and 1 <= int(k) <= least and _is_estimate(estimate)):
            raise Unusable(f"{run.folder / REPORT}: pass@{k} is no score that these samples can have")
        value = math.fsum(_pass_at_k(n, c, int(k)) for n, c in counts) / len(counts)
        if abs(value - estimate.value) > _SLACK:
            raise Unusable(
                f"{run.folder / REPORT}: pass@{k} is {estimate.value}, but the verdicts say {value:.6f}; "
                "see `harness verify`"
            )


def _is_estimate(estimate: Estimate) -> bool:
    return 0.0 <= estimate.low <= estimate.value <= estimate.high <= 1.0


def _pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate of one task's pass@k. Source: Chen et al. 2021, equation 1."""
    if k == 1:
        return c / n
    return 1.0 if n - c < k else 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))
