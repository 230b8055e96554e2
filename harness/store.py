"""The run folder: run.json, samples.jsonl, verdicts.jsonl, report.json; what makes a killed run go on.

prompts.jsonl has what a model was asked, a line per task. Where its predictions are scored as well, token_scores.jsonl
has a line per task; audit.jsonl has what programs that other rules extract were judged to be. latencies.jsonl has how
long each exit of an encoder takes, and curve.svg is the picture of that.

Records are appended in the order of the samples and flushed one by one, so whatever the moment of a kill, the files
hold whole records but for a torn last line, which is dropped. A disk that is full ends the run as the machine's
failure; what was recorded stays. A folder belongs to one configuration: its fingerprint
is over every field that a result depends on, and a run with another one is refused. One process at a time writes.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from harness.appending import Lines, drop_torn_line, opening, writing
from harness.appending import write_whole as write_whole
from harness.audit import AuditVerdict
from harness.errors import StoreMismatch, UsageError
from harness.evidence import clean
from harness.fingerprint import differences
from harness.fingerprint import fingerprint as fingerprint
from harness.prompts import AskedPrompt, lines_of
from harness.records import Outcome, Report, RunConfig, Sample, Verdict, from_json, to_json
from harness.scores import Latency
from harness.spool import SortedLines
from harness.tokens import TokenScore

RUN, SAMPLES, VERDICTS, REPORT = "run.json", "samples.jsonl", "verdicts.jsonl", "report.json"
TOKEN_SCORES = "token_scores.jsonl"  # noqa: S105  (a file, no secret)
AUDIT, PROMPTS, LATENCIES = "audit.jsonl", "prompts.jsonl", "latencies.jsonl"
CURVE = "curve.svg"
_MADE_BY_A_RUN = (PROMPTS, SAMPLES, VERDICTS, TOKEN_SCORES, AUDIT, LATENCIES, CURVE, REPORT)
Line = TypeVar("Line")
Whole = TypeVar("Whole", RunConfig, Report)


def read_report(folder: Path) -> Report:
    """Return the report of a finished run. Raises UsageError if there is none, which says so if nothing is judged."""
    if not (folder / REPORT).exists() and (folder / RUN).exists() and not read_config(folder).sandbox:
        raise UsageError(
            f"{folder} holds samples of which none is judged yet: judge them with "
            f"`harness eval --samples {folder} --tasks {clean(read_config(folder).benchmark)}`"
        )
    return _read_whole(folder / REPORT, Report)


def read_config(folder: Path) -> RunConfig:
    """Return the configuration of a run. Raises UsageError if there is none."""
    return _read_whole(folder / RUN, RunConfig)


def _read_whole(path: Path, kind: type[Whole]) -> Whole:
    try:
        return from_json(kind, path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{path} is not there: is this the folder of a finished run?") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def read_lines(path: Path, kind: type[Line]) -> Iterator[Line]:
    """Yield the records of a file. Raises UsageError, with file and line, for one that is not whole."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield from_json(kind, line)
                except ValueError as error:
                    raise UsageError(f"{path}:{number}: not a {kind.__name__}: {error}") from error
    except FileNotFoundError:
        raise UsageError(f"{path} is not there: is this the folder of a run?") from None


class RunFolder:
    """The folder of one run, open for writing. Use it as a context manager."""

    def __init__(self, path: Path, config: RunConfig, resume: bool = True) -> None:
        """Open or create the folder.

        Raises StoreMismatch or UsageError when it belongs to something else, MeasurementInvalid on a full disk.
        """
        self.path = path
        self.config = config
        self.fingerprint = fingerprint(config)
        self._files: list[Lines] = []
        self._more: dict[str, Lines] = {}  # by name, each made when there is something to write
        with opening(path):
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise UsageError(f"{path} is in use by another run: wait for it or give another --out") from None
        try:
            with opening(path):
                self._claim(config, resume)
                self._samples = self._append_to(SAMPLES)
                self._verdicts = self._append_to(VERDICTS)
        except BaseException:
            self.close()
            raise

    def _claim(self, config: RunConfig, resume: bool) -> None:
        """Make the folder this configuration's, or see that it is."""
        if (self.path / RUN).exists():
            if resume:
                self._refuse_other(config)
            else:
                for name in _MADE_BY_A_RUN:
                    (self.path / name).unlink(missing_ok=True)
        elif any((self.path / name).exists() for name in _MADE_BY_A_RUN):
            raise UsageError(f"{self.path} holds files of a run but no {RUN}; give another --out")
        if config.sandbox or not (resume and self._is_judged()):
            write_whole(self.path / RUN, json.dumps(asdict(config), indent=2) + "\n")

    def _is_judged(self) -> bool:
        """Whether the folder's configuration says in which sandbox, so that one that does not must not replace it."""
        return (self.path / RUN).exists() and bool(read_config(self.path).sandbox)

    def _refuse_other(self, config: RunConfig) -> None:
        stored = read_config(self.path)
        differing = differences(stored, config)
        if not differing:
            return
        raise StoreMismatch(
            f"{self.path} belongs to another configuration: {'; '.join(differing)}. "
            "Give another --out, or --no-resume to start this one afresh."
        )

    def _append_to(self, name: str) -> Lines:
        file = Lines(self.path / name)
        self._files.append(file)
        return file

    def samples(self) -> Iterator[Sample]:
        """Yield the samples that are already there."""
        return read_lines(self.path / SAMPLES, Sample)

    def verdicts(self) -> Iterator[Verdict]:
        """Yield the verdicts that are already there."""
        return read_lines(self.path / VERDICTS, Verdict)

    def drop_not_judged(self) -> int:
        """Forget the verdicts that were the machine's failure, so that they are tried again; returns how many."""
        dropped = sum(verdict.outcome is Outcome.NOT_JUDGED for verdict in self.verdicts())
        if dropped:
            kept = (verdict for verdict in self.verdicts() if verdict.outcome is not Outcome.NOT_JUDGED)
            self._rewrite_verdicts((to_json(verdict) + "\n").encode() for verdict in kept)
        return dropped

    def _rewrite_verdicts(self, lines: Iterable[bytes]) -> None:
        self._verdicts.close()
        with writing(self.path / VERDICTS):
            write_whole(self.path / VERDICTS, lines)
            self._verdicts = self._append_to(VERDICTS)

    def sort_verdicts(self, order: dict[str, int]) -> None:
        """Put the verdicts into the order of tasks and samples: they come as they are found."""

        def key(line: bytes) -> tuple[int, int]:
            verdict = from_json(Verdict, line)
            return order[verdict.task_id], verdict.sample_index

        with closing(SortedLines(self.path / VERDICTS, key)) as lines:
            if not lines.were_sorted:
                self._rewrite_verdicts(lines)

    def keep_prompts(self, prompts: Sequence[AskedPrompt]) -> None:
        """Write what a model is asked, of which the configuration has the digest. Nothing where there is nothing."""
        if prompts and not (self.path / PROMPTS).exists():
            with writing(self.path / PROMPTS):
                write_whole(self.path / PROMPTS, lines_of(prompts))

    def add_sample(self, sample: Sample) -> None:
        self._samples.add(sample)

    def add_verdict(self, verdict: Verdict) -> None:
        self._verdicts.add(verdict)

    def token_scores(self) -> Iterator[TokenScore]:
        """Yield the token scores that are already there."""
        return self._read_more(TOKEN_SCORES, TokenScore)

    def add_token_score(self, score: TokenScore) -> None:
        self._add_more(TOKEN_SCORES, score)

    def latencies(self) -> Iterator[Latency]:
        """Yield the latencies that are already there."""
        return self._read_more(LATENCIES, Latency)

    def add_latency(self, latency: Latency) -> None:
        self._add_more(LATENCIES, latency)

    def audited(self) -> Iterator[AuditVerdict]:
        """Yield what is already there of programs that other rules extract."""
        return self._read_more(AUDIT, AuditVerdict)

    def add_audited(self, verdict: AuditVerdict) -> None:
        self._add_more(AUDIT, verdict)

    def _read_more(self, name: str, kind: type[Line]) -> Iterator[Line]:
        drop_torn_line(self.path / name)
        if (self.path / name).exists():
            yield from read_lines(self.path / name, kind)

    def _add_more(self, name: str, record: object) -> None:
        if name not in self._more:
            with writing(self.path / name):
                self._more[name] = self._append_to(name)
        self._more[name].add(record)

    def finish(self, report: Report) -> None:
        """Write the report. Raises MeasurementInvalid when it cannot be written."""
        with writing(self.path / REPORT):
            write_whole(self.path / REPORT, json.dumps(asdict(report), indent=2) + "\n")

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._lock.close()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
