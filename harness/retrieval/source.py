"""Rankings and likenesses as samples: a retriever answers every query of every set, at every exit.

A set is one corpus with its queries, or with its pairs. Queries of a set are always read in the same batches, so that
a run that goes on ranks as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, fields

from harness.errors import UsageError
from harness.model_options import OPENAI, ModelOptions
from harness.records import Benchmark, Document, PairTests, RankTests, Sample, StopReason, Task, to_json
from harness.retrieval.answers import Likeness, PairAnswer, Ranking
from harness.retrieval.latency import TEXTS, latencies
from harness.retrieval.measures import best_threshold
from harness.retrieval.pooling import AUTO
from harness.retrieval.records import RANKED
from harness.retrieval.seam import Index, Retriever
from harness.sampling import Decoding, Resolved
from harness.scores import Latency

PROTOCOL = "retrieval"
BATCH_SIZE = 32
_QUERIES = 256  # of a set at a time: as many rows of scores are in memory, for each exit
_DIGITS = 6  # of a score; what differs less is ranked by its place in the corpus


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A stream of answers, and what times the model; see `harness.sources.Source`, which is made of it."""

    name: str
    digest: str
    backend: str
    tokenizer_digest: str
    runtime: dict[str, str]
    versions: dict[str, str]
    decoding: Resolved
    samples: Callable[[Container[tuple[str, int]]], Iterator[Sample]]
    latencies: Callable[[Container[int]], Iterator[Latency]] | None
    exits: int


def open_answers(
    model: str, benchmark: Benchmark, tasks: tuple[Task, ...], decoding: Decoding, options: ModelOptions
) -> Answers:
    """Return what answers the tasks: canonical, bm25, bag-of-tokens, or an encoder by its folder or id.

    Raises UsageError for options that say nothing here or a model that is none, ModelUnavailable.
    """
    _see_that_it_fits(decoding)
    batch_size = BATCH_SIZE if decoding.batch_size is None else decoding.batch_size
    if batch_size < 1:
        raise UsageError(f"--batch-size {batch_size}: at least 1")
    resolved = Resolved(batch_size=batch_size, seed=decoding.seed)
    if model == "canonical" and options.backend != OPENAI:
        return _canonical(benchmark, tasks, resolved)
    retriever = open_retriever(model, options)
    chosen = chosen_exit(retriever, options.exit)
    queries, documents = _timed_texts(benchmark, tasks)
    return Answers(
        name=retriever.name,
        digest=retriever.digest,
        backend=retriever.backend,
        tokenizer_digest=retriever.tokenizer_digest,
        runtime={**retriever.runtime, **({"exit": str(chosen)} if retriever.exits != (0,) else {})},
        versions=retriever.versions(),
        decoding=resolved,
        samples=_Run(retriever, benchmark, tasks, chosen, batch_size).samples,
        latencies=latencies(retriever, queries, documents, batch_size),
        exits=len(retriever.exits),
    )


def see_that_nothing_ranks(options: ModelOptions) -> None:
    """Raise UsageError for options of encoders, where a benchmark asks for text."""
    if options.exit is not None or options.pooling != AUTO:
        raise UsageError("--exit and --pooling are about encoders, which answer --tasks retrieval: leave them out")


def chosen_exit(retriever: Retriever, exit: int | None) -> int:
    """Return the exit that is asked for (None: the last). Raises UsageError for a layer that is none."""
    chosen = retriever.exits[-1] if exit is None else exit
    if chosen not in retriever.exits:
        exits = ", ".join(map(str, retriever.exits))
        raise UsageError(f"exit {chosen}: {retriever.name} has no such exit, only {exits}")
    return chosen


def open_retriever(model: str, options: ModelOptions) -> Retriever:
    """Return what ranks by a name of `--model`. Raises as `open_answers` does."""
    from harness.retrieval.lexical import BagOfTokens, Bm25

    lexical: dict[str, Callable[[], Retriever]] = {"bm25": Bm25, "bag-of-tokens": BagOfTokens}
    if model in lexical:
        if options != ModelOptions(exit=options.exit):
            raise UsageError(f"{model} has no weights, and no option of a model's means anything to it: leave them out")
        return lexical[model]()
    from harness.retrieval.encoder import Encoder

    return Encoder.load(model, options)


def _see_that_it_fits(decoding: Decoding) -> None:
    """Raise UsageError for options about writing text."""
    for one in fields(Decoding):
        value, recorded = (
            getattr(decoding, one.name),
            getattr(Resolved(), one.name, PROTOCOL),
        )  # as a repeated run has it
        if one.name not in ("batch_size", "seed") and value not in (one.default, recorded):
            raise UsageError(f"--{one.name.replace('_', '-')} {value}: rankings are not written, so leave it out")


def _timed_texts(benchmark: Benchmark, tasks: Sequence[Task]) -> tuple[list[Document], list[Document]]:
    """Return queries and documents to time: the first ones of the first set."""
    corpus = _corpus_of(tasks[0])
    some = [task for task in tasks if _corpus_of(task) == corpus][:TEXTS]
    return [_query(task, benchmark) for task in some], list(benchmark.corpora[corpus][:TEXTS])


def _corpus_of(task: Task) -> str:
    assert isinstance(task.tests, (RankTests, PairTests))
    return task.tests.corpus


def _query(task: Task, benchmark: Benchmark) -> Document:
    """Return what is asked; of a pair its left side."""
    if isinstance(task.tests, RankTests):
        return Document(doc_id=task.task_id, text=task.prompt, language=task.tests.language)
    assert isinstance(task.tests, PairTests)
    left = task.tests.left
    return next(one for one in benchmark.corpora[task.tests.corpus] if one.doc_id == left)


class _Run:
    """The answers of one retriever to the tasks of one run."""

    def __init__(
        self, retriever: Retriever, benchmark: Benchmark, tasks: Sequence[Task], exit: int, batch_size: int
    ) -> None:
        self._retriever = retriever
        self._benchmark = benchmark
        self._exit = exit
        self._batch_size = batch_size
        self._sets: dict[str, list[Task]] = {}
        for task in tasks:
            self._sets.setdefault(_corpus_of(task), []).append(task)

    def samples(self, stored: Container[tuple[str, int]]) -> Iterator[Sample]:
        """Yield an answer to each task that has none, set by set."""
        for corpus, tasks in self._sets.items():
            pending = {task.task_id for task in tasks if (task.task_id, 0) not in stored}
            if not pending:
                continue
            documents = self._benchmark.corpora[corpus]
            indexes = {exit: self._index(documents, exit) for exit in self._retriever.exits}
            ranked = [task for task in tasks if isinstance(task.tests, RankTests)]
            for start in range(0, len(ranked), _QUERIES):
                chunk = ranked[start : start + _QUERIES]
                if any(task.task_id in pending for task in chunk):
                    yield from (one for one in self._ranked(chunk, documents, indexes) if one.task_id in pending)
            pairs = [task for task in tasks if isinstance(task.tests, PairTests)]
            if any(task.task_id in pending for task in pairs):
                yield from (one for one in self._pairs(pairs, documents, indexes) if one.task_id in pending)

    def _index(self, documents: Sequence[Document], exit: int) -> Index:
        return self._retriever.index(documents, exit, self._batch_size)

    def _ranked(
        self, tasks: Sequence[Task], documents: Sequence[Document], indexes: dict[int, Index]
    ) -> Iterator[Sample]:
        queries = [_query(task, self._benchmark) for task in tasks]
        best = {exit: best_documents(index, queries) for exit, index in indexes.items()}
        for row, task in enumerate(tasks):
            names = {str(exit): tuple(documents[at].doc_id for at in rows[row]) for exit, rows in best.items()}
            first = best[self._exit][row][:1]
            top = documents[first[0]].text if first else ""
            yield _sample(task, to_json(Ranking(exit=self._exit, exits=names)), top)

    def _pairs(
        self, tasks: Sequence[Task], documents: Sequence[Document], indexes: dict[int, Index]
    ) -> Iterator[Sample]:
        """Tell clones from others by a threshold that is chosen on the benchmark's own dev pairs of this corpus."""
        corpus = _corpus_of(tasks[0])
        dev = [task for task in self._benchmark.dev if _corpus_of(task) == corpus]
        found = {}
        for exit, index in indexes.items():
            likenesses = pair_likenesses(index, documents, [*dev, *tasks])
            labels = [_are_clones(task) for task in dev]
            found[exit] = (best_threshold(likenesses[: len(dev)], labels), likenesses[len(dev) :])
        for row, task in enumerate(tasks):
            exits = {str(exit): Likeness(similarity=of[row], threshold=edge) for exit, (edge, of) in found.items()}
            yield _sample(task, to_json(PairAnswer(exit=self._exit, exits=exits)), _said(exits[str(self._exit)]))


def _said(likeness: Likeness) -> str:
    return "clones" if likeness.are_clones else "not clones"


def best_documents(index: Index, queries: Sequence[Document]) -> list[list[int]]:
    """Return the places of the `RANKED` documents that fit each query best; of equals the one that stands first."""
    import numpy

    scores = numpy.round(index.scores(queries).astype(numpy.float64), _DIGITS)
    return [[int(at) for at in numpy.argsort(-row, kind="stable")[:RANKED]] for row in scores]


def pair_likenesses(index: Index, documents: Sequence[Document], tasks: Sequence[Task]) -> list[float]:
    """Return how similar the sides of pairs are: the right one's score for the left, by the left one's for itself."""
    places = {one.doc_id: place for place, one in enumerate(documents)}
    pairs = [(places[task.tests.left], places[task.tests.right]) for task in tasks if isinstance(task.tests, PairTests)]
    lefts = sorted({left for left, _ in pairs})
    by_left: dict[int, list[int]] = {}
    for number, (left, _) in enumerate(pairs):
        by_left.setdefault(left, []).append(number)
    found = [0.0] * len(pairs)
    for start in range(0, len(lefts), _QUERIES):
        chunk = lefts[start : start + _QUERIES]
        for left, row in zip(chunk, index.scores([documents[left] for left in chunk]), strict=True):
            own = float(row[left])
            for number in by_left[left]:
                found[number] = round(float(row[pairs[number][1]]) / own, _DIGITS) if own > 0 else 0.0
    return found


def _are_clones(task: Task) -> bool:
    assert isinstance(task.tests, PairTests)
    return task.tests.are_clones


def _canonical(benchmark: Benchmark, tasks: Sequence[Task], decoding: Resolved) -> Answers:
    """Return the right answers, which show that the measures let them pass."""

    def samples(stored: Container[tuple[str, int]]) -> Iterator[Sample]:
        for task in tasks:
            if (task.task_id, 0) not in stored:
                yield _sample(task, *_right_answer(task, benchmark), StopReason.REFERENCE)

    return Answers(
        name="canonical",
        digest=benchmark.digest,
        backend="reference",
        tokenizer_digest="",
        runtime={},
        versions={},
        decoding=decoding,
        samples=samples,
        latencies=None,
        exits=0,
    )


def _right_answer(task: Task, benchmark: Benchmark) -> tuple[str, str]:
    """Return the completion that is right, and what a reader wants to see of it."""
    if isinstance(task.tests, RankTests):
        gains = task.tests.relevant
        ordered = sorted(gains, key=lambda one: (-gains[one], one))
        texts = (one.text for one in benchmark.corpora[task.tests.corpus] if one.doc_id == ordered[0])
        return to_json(Ranking(exit=0, exits={"0": tuple(ordered)})), next(texts)
    likeness = Likeness(similarity=float(_are_clones(task)), threshold=0.5)
    return to_json(PairAnswer(exit=0, exits={"0": likeness})), _said(likeness)


def _sample(task: Task, completion: str, program: str, stop_reason: StopReason = StopReason.STOP) -> Sample:
    """Return an answer; its program is what a reader wants to see of it, the document at rank 1."""
    return Sample(task_id=task.task_id, sample_index=0, completion=completion, program=program, stop_reason=stop_reason)
