"""How long each exit of a model takes: timed passes over the same texts, behind a pass that warms it up.

A clock on the wall is no part of what a run depends on: another day the figures are others, and the run is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Sequence
from statistics import median

from harness.retrieval.records import Document
from harness.retrieval.seam import Retriever
from harness.scores import Latency

PASSES = 5
TEXTS = 64  # of each kind, at most


def latencies(
    retriever: Retriever, queries: Sequence[Document], documents: Sequence[Document], batch_size: int
) -> Callable[[Container[int]], Iterator[Latency]]:
    """Return what times the exits that are not in what it is given, on these texts."""

    def pending(stored: Container[int]) -> Iterator[Latency]:
        for exit in retriever.exits:
            if exit not in stored:
                yield time_exit(retriever, exit, queries, documents, batch_size)

    return pending


def time_exit(
    retriever: Retriever, exit: int, queries: Sequence[Document], documents: Sequence[Document], batch_size: int
) -> Latency:
    """Return the medians of `PASSES` timed passes. Raises as `Retriever.index` does."""
    seconds: list[tuple[float, float]] = []
    for _ in range(PASSES + 1):
        begun = time.perf_counter()
        index = retriever.index(documents, exit, batch_size)
        indexed = time.perf_counter()
        for start in range(0, len(queries), batch_size):
            index.scores(queries[start : start + batch_size])
        seconds.append((indexed - begun, time.perf_counter() - indexed))
    timed = seconds[1:]  # the first one also warms up caches, kernels and allocators
    device, threads = retriever.place()
    return Latency(
        exit=exit,
        seconds_per_document=median(one for one, _ in timed) / len(documents),
        seconds_per_query=median(one for _, one in timed) / len(queries),
        queries=len(queries),
        documents=len(documents),
        passes=PASSES,
        batch_size=batch_size,
        threads=threads,
        device=device,
    )
