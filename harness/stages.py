"""The stages of one benchmark's run: samples are written, judged, looked into, and reported."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator

from harness.audit import Audit, is_on_another_program
from harness.judge import Judge
from harness.judging import Work, judge_all, slowest_first
from harness.known import KnownVerdicts
from harness.overlap import Tick, Wait, judge_beside
from harness.pages import write_curve
from harness.progress import Progress
from harness.records import Benchmark, Outcome, Report, Sample, Verdict, from_json
from harness.report import Tally, build_report
from harness.sequential import Watch
from harness.sources import Source
from harness.store import CURVE, SAMPLES, RunFolder
from sandbox import Sandbox

_IDLE_SECONDS = 0.2  # without a sample, until what was judged is kept
_SUSPECTS = 1000  # programs of other rules that wait in memory; the rest are made of the file again


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


def time_exits(store: RunFolder, source: Source, tally: Tally, progress: Progress) -> None:
    """Have the exits of an encoder timed that are not yet, storing each as it comes, where the source has any."""
    if source.latencies is None:
        return
    stored = set()
    for latency in store.latencies():
        stored.add(latency.exit)
        tally.latencies.append(latency)
    progress.start(f"{store.config.benchmark}, exits timed", source.exits, len(stored))
    for latency in source.latencies(stored):
        store.add_latency(latency)
        tally.latencies.append(latency)
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
        self._audit: Audit | None = None
        self._in_hand: dict[tuple[str, int], Sample] = {}  # samples that are being judged, where there is an audit
        self._suspects: deque[Sample] = deque()  # programs of other rules, to be judged when there is time
        self._tally = Tally(prompts={task.task_id: task.prompt for task in benchmark.tasks})

    def run(self, sandbox: Sandbox, progress: Progress) -> Report:
        """Go through the stages. Raises SandboxError or MeasurementInvalid where the machine fails."""
        store, source, tally = self._store, self._source, self._tally
        self._take_up()
        if store.config.audited:
            self._audit = Audit(self._tasks, store.audited(), store.add_audited)
        with progress:
            progress.start(self._benchmark.name, source.total, tally.samples)
            work = self._work(sandbox, progress)
            if self._watch or source.is_at_hand:
                self._judge_in_step(work)
            else:
                self._judge_beside(work, sandbox)
            if self._watch is None:  # which asks about passing alone
                score_tokens(store, source, tally, progress)
                time_exits(store, source, tally, progress)
            if self._audit:
                self._audit_the_rest(self._audit, work, progress)
        return self._finish()

    def _work(self, sandbox: Sandbox, progress: Progress) -> Work:
        tally = self._tally

        def keep(verdict: Verdict) -> None:
            if self._audit and is_on_another_program(verdict):
                self._audit.settle(verdict)
                return
            self._store.add_verdict(verdict)
            self._count(verdict)
            progress.step(tally.pass_rate(), tally.not_judged)
            if sample := self._in_hand.pop((verdict.task_id, verdict.sample_index), None):
                self._look_into(sample, verdict)

        return Work(
            judge=lambda sample: self._judge.judge(self._tasks[sample.task_id], sample),
            keep=keep,
            give_up=self._judge.stop,
            capacity=sandbox.capacity,
            at_once=self._watch is not None,
        )

    def _judge_in_step(self, work: Work) -> None:
        """Judge samples that nobody has to write, or of which the next is asked for by the verdicts on these."""
        samples: Iterator[Sample] = write_samples(self._store, self._source, self._tally)
        if self._watch:
            samples = self._watch.until_decided(samples)
        pending: Iterator[Sample] = (sample for sample in samples if not self._known.judged(sample))
        if self._watch is None:
            seconds = {task_id: self._judge.seconds(task) for task_id, task in self._tasks.items()}
            pending = slowest_first(pending, lambda sample: seconds[sample.task_id], self._store.config.workers)
        judge_all(pending, work, self._known)

    def _judge_beside(self, work: Work, sandbox: Sandbox) -> None:
        """Judge samples while a model writes others, and look into those that did not pass while there is no other."""

        def give_up() -> None:
            self._judge.stop()
            sandbox.close()  # else a program that runs would be waited for

        def judge(wait: Wait) -> None:
            judge_all(self._as_they_come(wait), work, self._known)

        judge_beside(write_samples(self._store, self._source, self._tally), judge, give_up)

    def _as_they_come(self, wait: Wait) -> Iterator[Sample | None]:
        """Yield the samples of the file that is being written, one whole line of which is there at each tick.

        Where there is none yet, yield what is to be looked into, or None.
        """
        with (self._store.path / SAMPLES).open("rb") as file:
            while (tick := wait(0.0 if self._suspects else _IDLE_SECONDS)) is not Tick.END:
                if tick is Tick.NONE_YET:
                    yield self._suspects.popleft() if self._suspects else None
                elif not self._known.judged(sample := from_json(Sample, file.readline())):
                    if self._audit:
                        self._in_hand[sample.task_id, sample.sample_index] = sample
                    yield sample

    def _look_into(self, sample: Sample, verdict: Verdict) -> None:
        """Put aside what other rules make of a sample, if it did not pass and there is not much there already."""
        is_lost = not verdict.passed and verdict.outcome is not Outcome.NOT_JUDGED
        if self._audit and is_lost and len(self._suspects) < _SUSPECTS:
            self._suspects += self._audit.begin(sample)

    def _audit_the_rest(self, audit: Audit, work: Work, progress: Progress) -> None:
        """Judge what other rules make of the samples that did not pass, those that are left to look into."""
        failed: dict[str, set[int]] = {}
        for verdict in self._store.verdicts():
            if not verdict.passed and verdict.outcome is not Outcome.NOT_JUDGED:
                failed.setdefault(verdict.task_id, set()).add(verdict.sample_index)
        progress.start(f"{self._benchmark.name}, other extraction", sum(map(len, failed.values())), 0)

        def suspects() -> Iterator[Sample]:
            while self._suspects:
                yield self._suspects.popleft()
            for sample in self._store.samples():
                if sample.sample_index in failed.get(sample.task_id, ()):
                    yield from audit.begin(sample)
                    progress.step(None, 0)

        judge_all(suspects(), work, self._known)

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

    def _finish(self) -> Report:
        store, tally = self._store, self._tally
        store.sort_verdicts({task_id: place for place, task_id in enumerate(store.config.task_ids)})
        missing = self._source.missing_tasks
        if stopped_early := tally.samples < self._source.total:
            reached = {verdict.task_id for verdict in store.verdicts()}
            missing = tuple(task_id for task_id in store.config.task_ids if task_id not in reached)
        tally.extraction_loss = self._audit.loss() if self._audit else None
        report = build_report(tally, store.config, self._benchmark, store.fingerprint, missing, stopped_early)
        store.finish(report)
        write_curve(report, store.path / CURVE)
        return report
