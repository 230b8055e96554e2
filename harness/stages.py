"""The stages of one benchmark's run: samples are written, judged, looked into, and reported."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

from harness.audit import audit
from harness.judge import Judge
from harness.judging import Work, judge_all, slowest_first
from harness.known import KnownVerdicts
from harness.overlap import judge_beside
from harness.progress import Progress
from harness.records import Benchmark, ExtractionLoss, Outcome, Report, Sample, Verdict, from_json
from harness.report import Tally, build_report
from harness.sequential import Watch
from harness.sources import Source
from harness.store import SAMPLES, RunFolder
from sandbox import Sandbox


def write_samples(store: RunFolder, source: Source, tally: Tally) -> Generator[Sample, None, None]:
    """Yield the stored samples, then the others, storing each as it comes, and before them what is asked for them."""
    store.keep_prompts(source.prompts)
    stored = set()
    for sample in store.samples():
        stored.add((sample.task_id, sample.sample_index))
        tally.add_sample(sample)
        yield sample
    for sample in source.samples(stored):
        store.add_sample(sample)
        tally.add_sample(sample)
        yield sample


def score_tokens(store: RunFolder, source: Source, tally: Tally, progress: Progress) -> None:
    """Have the texts scored that are not yet, storing each score as it comes, where the source can."""
    if source.token_scores is None:
        return
    stored = set()
    for score in store.token_scores():
        stored.add(score.task_id)
        tally.add_token_score(score)
    progress.start(f"{store.config.benchmark}, tokens", len(store.config.task_ids), len(stored))
    for score in source.token_scores(stored):
        store.add_token_score(score)
        tally.add_token_score(score)
        progress.step(None, 0)


class JudgedRun:
    """One benchmark's run: judge what is not judged yet, until a watch has decided, and write the report."""

    def __init__(
        self,
        store: RunFolder,
        benchmark: Benchmark,
        source: Source,
        judge: Judge,
        known: KnownVerdicts,
        watch: Watch | None,
    ) -> None:
        self._store = store
        self._benchmark = benchmark
        self._source = source
        self._judge = judge
        self._known = known
        self._watch = watch
        self._tasks = {task.task_id: task for task in benchmark.tasks}
        self._tally = Tally(prompts={task.task_id: task.prompt for task in benchmark.tasks})

    def run(self, sandbox: Sandbox, progress: Progress) -> Report:
        """Go through the stages. Raises SandboxError or MeasurementInvalid where the machine fails."""
        store, source, tally = self._store, self._source, self._tally
        self._take_up()
        with progress:
            progress.start(self._benchmark.name, source.total, tally.samples)
            work = self._work(sandbox, progress)
            if self._watch or source.is_at_hand:
                self._judge_in_step(work)
            else:
                self._judge_beside(work, sandbox)
            if self._watch is None:  # which asks about passing alone
                score_tokens(store, source, tally, progress)
            loss = self._audit(work, progress) if store.config.audited else None
        return self._finish(loss)

    def _work(self, sandbox: Sandbox, progress: Progress) -> Work:
        tally = self._tally

        def keep(verdict: Verdict) -> None:
            self._store.add_verdict(verdict)
            self._count(verdict)
            progress.step(tally.pass_rate(), tally.not_judged)

        return Work(
            judge=self._judged,
            keep=keep,
            give_up=self._judge.stop,
            capacity=sandbox.capacity,
            at_once=self._watch is not None,
        )

    def _judged(self, sample: Sample) -> Verdict:
        return self._judge.judge(self._tasks[sample.task_id], sample)

    def _judge_in_step(self, work: Work) -> None:
        """Judge samples that nobody has to write, or of which the next is asked for by the verdicts on these."""
        samples: Iterator[Sample] = write_samples(self._store, self._source, self._tally)
        if self._watch:
            samples = self._watch.until_decided(samples)
        pending: Iterator[Sample] = (sample for sample in samples if not self._known.judged(sample))
        if self._watch is None:
            seconds = {task_id: self._judge.seconds(task) for task_id, task in self._tasks.items()}
            pending = slowest_first(pending, lambda sample: seconds[sample.task_id])
        judge_all(pending, work, self._known)

    def _judge_beside(self, work: Work, sandbox: Sandbox) -> None:
        """Judge samples while a model writes others."""

        def judge(ticks: Iterator[bool]) -> None:
            samples = _followed(self._store.path / SAMPLES, ticks)
            judge_all((one for one in samples if one is None or not self._known.judged(one)), work, self._known)

        def give_up() -> None:
            self._judge.stop()
            sandbox.close()  # else a program that runs would be waited for

        judge_beside(write_samples(self._store, self._source, self._tally), judge, give_up)

    def _audit(self, work: Work, progress: Progress) -> ExtractionLoss:
        """Judge what other rules make of the samples that did not pass."""
        failed: dict[str, set[int]] = {}
        for verdict in self._store.verdicts():
            if not verdict.passed and verdict.outcome is not Outcome.NOT_JUDGED:
                failed.setdefault(verdict.task_id, set()).add(verdict.sample_index)
        samples = (one for one in self._store.samples() if one.sample_index in failed.get(one.task_id, ()))
        progress.start(f"{self._benchmark.name}, other extraction", sum(map(len, failed.values())), 0)

        def by_the_way(settle: Callable[[Verdict], None]) -> Work:
            return replace(work, keep=settle)

        return audit(
            _stepping(samples, progress),
            self._tasks,
            self._known,
            self._store.audited(),
            by_the_way,
            self._store.add_audited,
        )

    def _take_up(self) -> None:
        """Count what an earlier call has judged."""
        self._store.drop_not_judged()
        for verdict in self._store.verdicts():
            self._count(verdict)
            self._known.note(verdict)

    def _count(self, verdict: Verdict) -> None:
        self._tally.add_verdict(verdict)
        if self._watch:
            self._watch.judged(verdict)

    def _finish(self, loss: ExtractionLoss | None) -> Report:
        store, tally = self._store, self._tally
        store.sort_verdicts({task_id: place for place, task_id in enumerate(store.config.task_ids)})
        missing = self._source.missing_tasks
        if stopped_early := tally.samples < self._source.total:
            reached = {verdict.task_id for verdict in store.verdicts()}
            missing = tuple(task_id for task_id in store.config.task_ids if task_id not in reached)
        tally.extraction_loss = loss
        report = build_report(tally, store.config, self._benchmark, store.fingerprint, missing, stopped_early)
        store.finish(report)
        return report


def _stepping(samples: Iterator[Sample], progress: Progress) -> Iterator[Sample]:
    for sample in samples:
        yield sample
        progress.step(None, 0)


def _followed(path: Path, ticks: Iterator[bool]) -> Iterator[Sample | None]:
    """Yield the samples of a file that is being written, one whole line of which is there at each tick that is true."""
    with path.open("rb") as file:
        for is_there in ticks:
            yield from_json(Sample, file.readline()) if is_there else None
