"""The seam between retrieval and whatever ranks: make documents findable, then say how well each fits each query.

Implementations: `lexical` (BM25, a bag of tokens) and `encoder` (transformers). None of them sees what is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from harness.retrieval.records import Document


class Index(Protocol):
    """Documents that have been made ready to be found."""

    def scores(self, queries: Sequence[Document]) -> NDArray[numpy.float32]:
        """Return how well each document fits each query: queries x documents, higher is better."""


class Retriever(Protocol):
    """Ranks documents. `exits` are the depths at which it can stop, in layers, the last one its whole depth.

    `name`, `digest` and `runtime` are recorded as those of any model. Raises `MeasurementInvalid` where the machine has
    too little memory, `ModelUnavailable` where the model fails.
    """

    name: str
    digest: str
    backend: str
    tokenizer_digest: str
    exits: tuple[int, ...]
    runtime: dict[str, str]

    def versions(self) -> dict[str, str]:
        """Return the versions of what computes."""

    def index(self, documents: Sequence[Document], exit: int, batch_size: int) -> Index:
        """Make documents ready to be found at an exit, so many at once."""

    def place(self) -> tuple[str, int]:
        """Return the device on which it computes, and on how many threads."""
