"""Samples that a run has stored, as a source: to be judged where there is no model, or once more by another rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import closing
from pathlib import Path

from harness.errors import UsageError
from harness.evidence import clean, shown
from harness.prompts import AskedPrompt
from harness.records import Benchmark, RunConfig, Sample, Task, from_json
from harness.sampling import Resolved
from harness.scores import Latency
from harness.sources import Source
from harness.spool import SortedLines
from harness.store import LATENCIES, PROMPTS, RUN, SAMPLES, TOKEN_SCORES, read_lines
from harness.tokens import TokenScore

Again = Callable[[Task, Sample], Sample]


def is_run(path: Path) -> bool:
    """Whether a path is a run folder, rather than a file of samples."""
    return (path / RUN).is_file()


def stored_source(
    folder: Path,
    run: RunConfig,
    benchmark: Benchmark,
    tasks: tuple[Task, ...],
    partial: bool,
    again: Again | None = None,
) -> Source:
    """Return the samples that `run` has stored of these tasks, in their order; `again` makes other programs of them.

    Raises UsageError for a run of other data, and for one whose samples are not all there unless `partial`.
    """
    see_same_data(folder, run, benchmark)
    path = folder / SAMPLES
    by_id = {task.task_id: task for task in tasks}
    found = Counter(sample.task_id for sample in read_lines(path, Sample) if sample.task_id in by_id)
    missing = tuple(task_id for task_id in by_id if task_id not in found)
    # A file of samples may hold fewer of one task than of another, and a task without any if its run was partial.
    is_file = run.backend == "file"
    there = found.total()
    total = there if is_file else len(by_id) * run.n_samples
    if not found:
        raise UsageError(f"{path} holds no sample of the {len(by_id)} tasks to evaluate")
    if (missing or there < total) and not partial:
        raise UsageError(
            f"{folder} holds {there} samples of {len(found)} of {len(by_id)} tasks, and that is not all: let its own "
            "command go on, or pass --partial to judge what there is"
        )

    def pending(stored: Container[tuple[str, int]]) -> Iterator[Sample]:
        for sample in _in_order(path, {task_id: place for place, task_id in enumerate(by_id)}):
            if (sample.task_id, sample.sample_index) not in stored:
                yield again(by_id[sample.task_id], sample) if again else sample

    def scores(stored: Container[str]) -> Iterator[TokenScore]:
        for score in read_lines(folder / TOKEN_SCORES, TokenScore):
            if score.task_id in by_id and score.task_id not in stored:
                yield score

    def times(stored: Container[int]) -> Iterator[Latency]:
        return (one for one in read_lines(folder / LATENCIES, Latency) if one.exit not in stored)

    return Source(
        name=run.model,
        digest=run.model_digest,
        backend=run.backend,
        protocol=run.protocol,
        decoding=Resolved(n_samples=run.n_samples),
        total=total,
        samples=pending,
        token_scores=scores if (folder / TOKEN_SCORES).exists() else None,
        exits=sum(1 for _ in times(())) if (folder / LATENCIES).exists() else 0,
        latencies=times if (folder / LATENCIES).exists() else None,
        stop=run.stop,
        missing_tasks=missing,
        is_at_hand=True,
        extraction=run.extraction,
        run=run,
        prompts=tuple(read_lines(folder / PROMPTS, AskedPrompt)) if (folder / PROMPTS).exists() else (),
    )


def see_same_data(folder: Path, run: RunConfig, benchmark: Benchmark) -> None:
    """Raise UsageError unless a run is of this very benchmark."""
    if run.benchmark != benchmark.name:
        raise UsageError(f"{folder} holds samples of {shown(run.benchmark)}, not of {shown(benchmark.name)}")
    if run.dataset_digest != benchmark.digest:
        raise UsageError(
            f"{folder} was written for {shown(run.benchmark)} with digest {clean(run.dataset_digest[:12])}, here it is "
            f"{benchmark.digest:.12}: put that data where this one comes from ({benchmark.source})"
        )


def _in_order(path: Path, places: dict[str, int]) -> Iterator[Sample]:
    """Yield the samples of these tasks, sorted by task and number. Raises UsageError for a second one of a number."""

    def key(line: bytes) -> tuple[int, int]:
        sample = from_json(Sample, line)
        return places.get(sample.task_id, -1), sample.sample_index

    before = ("", -1)
    with closing(SortedLines(path, key)) as lines:
        for line in lines:
            sample = from_json(Sample, line)
            if sample.task_id not in places:
                continue
            if before == (sample.task_id, sample.sample_index):
                raise UsageError(f"{path} holds {shown(sample.task_id)}[{sample.sample_index}] twice")
            before = (sample.task_id, sample.sample_index)
            yield sample
