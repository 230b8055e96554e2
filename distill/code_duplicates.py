"""Code that stands there twice: near duplicates by MinHash and locality-sensitive hashing (Broder 1997), by datasketch.

Two texts are near duplicates when the estimated Jaccard similarity of their sets of character 5-grams is at least 0.7,
with 256 permutations, as in MoSE (arXiv 2503.03008).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from distill.code_data import Snippet, Split
from harness import MissingDependency

NGRAM = 5
PERMUTATIONS = 256
LEAST_SIMILARITY, MOST_SIMILARITY = 0.3, 0.95  # between which the hashing has bands enough
_ORDER = (Split.TEST, Split.DEV, Split.TRAIN)


def without_near_duplicates(snippets: Iterable[Snippet], similarity: float = 0.7) -> Iterator[Snippet]:
    """Yield snippets without those whose code is nearly that of one before: test first, then dev, then train.

    So what is nearly in a test is not trained on. Raises MissingDependency without datasketch.
    """
    if find_spec("datasketch") is None:
        raise MissingDependency("finding near duplicates needs datasketch: pip install 'code-harness[retrieval]'")
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=similarity, num_perm=PERMUTATIONS)
    kept: list[Any] = []
    for snippet in sorted(snippets, key=lambda one: _ORDER.index(one.split)):
        signature = signature_of(snippet.code)
        if any(signature.jaccard(kept[place]) >= similarity for place in index.query(signature)):
            continue
        index.insert(len(kept), signature)
        kept.append(signature)
        yield snippet


@lru_cache(maxsize=1024)  # what the benchmark tests is compared with every training's code
def signature_of(text: str) -> Any:
    """Return the MinHash of a text's character 5-grams; blanks at the ends and runs of them count for nothing."""
    from datasketch import MinHash

    even = " ".join(text.split())
    signature = MinHash(num_perm=PERMUTATIONS, hashfunc=zlib.crc32)
    signature.update_batch({even[start : start + NGRAM].encode() for start in range(max(1, len(even) - NGRAM + 1))})
    return signature
