"""How good a ranking is, and how good a threshold: pure functions.

Ranks begin at 1. Where a query has one right document, Recall@k says whether it is among the first k, and MRR its
reciprocal rank. Gains are linear, as in trec_eval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.retrieval.records import RANKED

RECALL_AT = (1, 5, 10)
NDCG_AT = 10
MRR, NDCG, F1 = f"mrr@{RANKED}", f"ndcg@{NDCG_AT}", "f1"
NAMES = (MRR, *(f"recall@{k}" for k in RECALL_AT), NDCG)


def ranking_measures(ranked: Sequence[str], gains: Mapping[str, float]) -> dict[str, float]:
    """Return the measures of one ranking, best document first, by name, each in 0..1.

    A document that is listed again counts where it stands first. Raises `ValueError` where no gain is above zero.
    """
    relevant = {doc_id: gain for doc_id, gain in gains.items() if gain > 0}
    if not relevant:
        raise ValueError("a query needs a document that is right")
    ranks = {doc_id: rank for rank, doc_id in enumerate(dict.fromkeys(ranked), 1) if doc_id in relevant}
    first = min(ranks.values(), default=RANKED + 1)
    found = {MRR: 1.0 / first if first <= RANKED else 0.0}
    for k in RECALL_AT:
        found[f"recall@{k}"] = sum(rank <= k for rank in ranks.values()) / len(relevant)
    gained = math.fsum(relevant[doc_id] / math.log2(rank + 1) for doc_id, rank in ranks.items() if rank <= NDCG_AT)
    ideal = sorted(relevant.values(), reverse=True)[:NDCG_AT]
    best = math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(ideal, 1))
    found[NDCG] = min(gained / best, 1.0)
    return found


def f1(true_positives: float, false_positives: float, false_negatives: float) -> float:
    """Return the harmonic mean of precision and recall, 0 where nothing is right."""
    right = 2.0 * true_positives
    return right / (right + false_positives + false_negatives) if right else 0.0


def best_threshold(similarities: Sequence[float], are_clones: Sequence[bool]) -> float:
    """Return the threshold at or above which two texts are called clones that gives the highest F1.

    Of several as good, the highest; it lies in the middle between two similarities that were seen, or at the lowest.
    Raises `ValueError` without pairs.
    """
    pairs = sorted(zip(similarities, are_clones, strict=True), reverse=True)
    if not pairs:
        raise ValueError("a threshold is chosen on pairs, and there are none")
    clones = sum(are_clones)
    best, threshold, right = -1.0, 0.0, 0
    for place, (similarity, is_clone) in enumerate(pairs):
        right += is_clone
        below = pairs[place + 1][0] if place + 1 < len(pairs) else similarity
        if below == similarity and place + 1 < len(pairs):
            continue  # no threshold parts what is as similar
        score = f1(right, place + 1 - right, clones - right)
        if score > best:
            best, threshold = score, (similarity + below) / 2
    return threshold
