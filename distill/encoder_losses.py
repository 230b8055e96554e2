"""Losses of the multi-exit encoder, as pure functions. All logarithms are natural.

    L = sum_i w_i L_i over the exits i, w_i = i / (number of layers)

as in MoSE (arXiv 2503.03008): joint training of all exits, deeper ones weighted more, and nothing between exits. L_i is
`masked_tokens` + `classified` (same repository or not) in pretraining, `contrastive` for retrieval, `classified` for
classification. `divergence` between exits is not of that paper, but of AdaptiveLayerLoss (sentence-transformers).

Shapes: B rows, N masked tokens, V vocabulary, C classes, D the size of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def depth_weights(exits: Sequence[int]) -> tuple[float, ...]:
    """Return i/L for each exit i, L the last one's layer."""
    return tuple(one / exits[-1] for one in exits)


def masked_tokens(logits_NV: Any, tokens_N: Any) -> Any:
    """Return the mean of -log p(token) over masked tokens; zero where none is masked."""
    import torch

    return torch.nn.functional.cross_entropy(logits_NV.float(), tokens_N, reduction="sum") / max(len(tokens_N), 1)


def classified(logits_BC: Any, labels_B: Any) -> Any:
    """Return the mean of -log p(label): of in-context classification, where 1 is "same repository", or of classes."""
    import torch

    return torch.nn.functional.cross_entropy(logits_BC.float(), labels_B)


def contrastive(queries_BD: Any, codes_BD: Any, scale: float = 10.0, wrong_ND: Any = None) -> Any:
    """Return symmetric InfoNCE of embeddings of length 1, where row b of both belong together.

        s_bc = scale <q_b, k_c>     -1/(2B) sum_b ( log softmax_c(s_bc)[b] + log softmax_c(s_cb)[b] )

    CLIP's loss (Radford et al., arXiv 2103.00020) with a logit scale that is not learnt, 10 in MoSE. Queries have the
    hard negatives `wrong_ND`, if there are any, beside the batch's codes; codes have the batch's queries alone.
    """
    import torch

    scores_BB = scale * queries_BD @ codes_BD.T
    own_B = torch.arange(len(scores_BB), device=scores_BB.device)
    cross_entropy = torch.nn.functional.cross_entropy
    asked = scores_BB if wrong_ND is None else torch.cat([scores_BB, scale * queries_BD @ wrong_ND.T], -1)
    return (cross_entropy(asked, own_B) + cross_entropy(scores_BB.T, own_B)) / 2


def divergence(inner_BD: Any, last_BD: Any, temperature: float = 0.3) -> Any:
    """Return T KL(softmax(last / T) || softmax(inner / T)), the mean over rows; `last` gets no gradient.

    As in sentence-transformers' AdaptiveLayerLoss, over the numbers of an embedding.
    """
    import torch

    log_softmax = torch.nn.functional.log_softmax
    theirs, ours = log_softmax(last_BD.detach() / temperature, -1), log_softmax(inner_BD / temperature, -1)
    return temperature * (theirs.exp() * (theirs - ours)).sum(-1).mean()
