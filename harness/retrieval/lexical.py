"""The baselines that learn nothing: BM25, and the cosine of two bags of tokens.

Both read words and the parts of identifiers (`readLines`, `read_lines` and "read lines" are the same two tokens), in
lower case. BM25 also reads signs, which it weighs by how rare they are; in a bag they would outweigh all words. It is
Lucene's, with k1 = 1.5 and b = 0.75, by the package bm25s.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from harness.retrieval.records import Document

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W0-9A-Za-z_]+")
_WORD_OR_SIGN = re.compile(rf"{_WORD.pattern}|[^\w\s]")
_READ = "words, parts of identifiers and numbers, in lower case"


def tokens_of(text: str, signs: bool = False) -> list[str]:
    """Return the words, parts of identifiers, numbers and, if wanted, signs of a text: in lower case and in order."""
    return [token.lower() for token in (_WORD_OR_SIGN if signs else _WORD).findall(text)]


class _Lexical:
    """What the two share: no layers, no weights, one thread."""

    backend = "lexical"
    tokenizer_digest = ""
    exits: tuple[int, ...] = (0,)

    def __init__(self, name: str, **parameters: object) -> None:
        self.name = name
        self.runtime = {key: str(value) for key, value in parameters.items()}
        read = (_WORD.pattern, _WORD_OR_SIGN.pattern)
        self.digest = hashlib.sha256(repr((name, read, sorted(self.runtime.items()))).encode()).hexdigest()

    def place(self) -> tuple[str, int]:
        return "cpu", 1


class BagOfTokens(_Lexical):
    """Ranks by the cosine of counts of tokens."""

    def __init__(self) -> None:
        super().__init__("bag-of-tokens", tokens=_READ)

    def versions(self) -> dict[str, str]:
        return {"scipy": version("scipy")}

    def index(self, documents: Sequence[Document], exit: int, batch_size: int) -> _Bags:
        return _Bags(documents)


class _Bags:
    def __init__(self, documents: Sequence[Document]) -> None:
        self._places: dict[str, int] = {}
        self._bags = self._read(documents, grow=True)

    def _read(self, texts: Sequence[Document], grow: bool = False) -> Any:
        """Return texts x tokens as a sparse matrix; what no document has counts in the length of a row alone."""
        import numpy
        from scipy.sparse import csr_array

        rows, columns, shares = [], [], []
        for row, text in enumerate(texts):
            counts = Counter(tokens_of(text.text))
            length = sum(count * count for count in counts.values()) ** 0.5
            for token, count in counts.items():
                place = self._places.setdefault(token, len(self._places)) if grow else self._places.get(token)
                if place is not None:
                    rows.append(row)
                    columns.append(place)
                    shares.append(count / length)
        shape = (len(texts), max(len(self._places), 1))
        return csr_array((numpy.asarray(shares, dtype=numpy.float32), (rows, columns)), shape=shape)

    def scores(self, queries: Sequence[Document]) -> NDArray[numpy.float32]:
        found: NDArray[numpy.float32] = (self._read(queries) @ self._bags.T).toarray()
        return found


class Bm25(_Lexical):
    """Ranks by BM25. Source: Robertson & Zaragoza 2009; Kamphuis et al. 2020 for Lucene's variant."""

    def __init__(self) -> None:
        super().__init__("bm25", tokens=f"{_READ}, and signs", method="lucene", k1=1.5, b=0.75)

    def versions(self) -> dict[str, str]:
        return {"bm25s": version("bm25s")}

    def index(self, documents: Sequence[Document], exit: int, batch_size: int) -> _Bm25Index:
        return _Bm25Index(documents, self.runtime)


class _Bm25Index:
    def __init__(self, documents: Sequence[Document], how: dict[str, str]) -> None:
        from bm25s import BM25

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # which it sets to DEBUG when it is imported
        self._index = BM25(method=how["method"], k1=float(how["k1"]), b=float(how["b"]))
        self._documents = len(documents)
        read = [tokens_of(one.text, signs=True) for one in documents]
        self._vocabulary = {token for tokens in read for token in tokens}
        if self._vocabulary:
            self._index.index(read, show_progress=False)

    def scores(self, queries: Sequence[Document]) -> NDArray[numpy.float32]:
        import numpy

        found = numpy.zeros((len(queries), self._documents), dtype=numpy.float32)
        for row, query in enumerate(queries):
            known = [token for token in tokens_of(query.text, signs=True) if token in self._vocabulary]
            if known:
                found[row] = self._index.get_scores(known)
        return found
