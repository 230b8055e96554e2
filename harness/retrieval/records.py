"""What a retrieval task is: documents, which of them a query is to find, and pairs that do the same or do not."""

from __future__ import annotations

from dataclasses import dataclass

RANKED = 100  # documents of a ranking that count, as in CodeXGLUE's code search


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text that is to be found, by a name that no other of its corpus has, or a query.

    `language` is that of a program, such as python; empty for words.
    """

    doc_id: str
    text: str
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankTests:
    """What a query is to find in the `corpus` of that name: gains by document, those of all others being zero.

    `language` is that of the query, as that of a document.
    """

    corpus: str
    relevant: dict[str, float]
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTests:
    """Whether two documents of the `corpus` of that name are clones: functions that do the same."""

    corpus: str
    left: str
    right: str
    are_clones: bool
