"""Losses of correct and faulty answers, as pure functions of log-probabilities. All logarithms are natural.

    L = L_sl + lambda * L_cl + mu * L_ul

Our reading of correct-and-fault delivery in IterKD (arXiv 2408.03680), whose equations we did not find. L_sl is
`supervised` on the correct answer, L_cl one of `margin`, `dpo` and `chosen_only`, L_ul is `unlikelihood` on what is
wrong in the faulty answer.

Shapes: B rows of a batch, T tokens, S = T - 1 targets (a row's first token is none), V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

_LEAST_LOG_ODDS = 1e-6  # a token's log-probability is taken for at most minus this, so that log(1 - p) is finite


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLogProbs:
    """Log-probabilities of answers: of the whole text, and per token of it. A tensor of B each."""

    sum_B: Any
    mean_B: Any


def token_log_probs(logits_BTV: Any, tokens_BT: Any) -> Any:
    """Return log p(y_t | y_<t) of every target, B x S, in float32 at least."""
    import torch

    logits = logits_BTV[:, :-1]
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()  # a sum of hundreds of rounded logarithms would be off by whole nats
    return -torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens_BT[:, 1:], reduction="none")


def answer_log_probs(log_probs_BS: Any, answer_BS: Any) -> AnswerLogProbs:
    """Return sum and mean over the targets that `answer_BS` marks with 1; both are 0 for a row without any."""
    sum_B = (log_probs_BS * answer_BS).sum(-1)
    return AnswerLogProbs(sum_B=sum_B, mean_B=sum_B / answer_BS.sum(-1).clamp(min=1))


def supervised(log_probs_BS: Any, weights_BS: Any, *, by_row: bool = False) -> Any:
    """Return L_sl, the mean cross-entropy of the targets by their weights (0 masks a prompt out).

        by token   - sum_b sum_t w_bt log p_bt / sum_b sum_t w_bt        a long answer counts more
        by row     mean_b ( - sum_t w_bt log p_bt / sum_t w_bt )         each answer counts alike

    With one row both are -(1/|y+|) sum_t log p(y+_t | x, y+_<t). TRL's `sft` loss of DPO and `nll_loss` of CPO are by
    token, LLaMA-Factory's `pref_ftx` is by row. Rows without weights count nothing.
    """
    import torch

    least = torch.finfo(log_probs_BS.dtype).tiny
    weighted_BS = log_probs_BS * weights_BS
    if not by_row:
        return -weighted_BS.sum() / weights_BS.sum().clamp(min=least)
    weight_B = weights_BS.sum(-1)
    each_B = -weighted_BS.sum(-1) / weight_B.clamp(min=least)
    return each_B.sum() / (weight_B > 0).sum().clamp(min=1)


def margin(chosen_B: Any, rejected_B: Any, beta: float = 2.0, gamma: float = 0.5) -> Any:
    """Return -log sigmoid(beta (lp(y+) - lp(y-)) - gamma) of each pair; lp is the mean log-probability of a token.

    SimPO (arXiv 2405.14734), with gamma as it stands there. Means, so that a short answer is
    not likelier by being short; no reference model. With L_sl it is TRL's CPO with `loss_type="simpo"`.
    """
    import torch

    return -torch.nn.functional.logsigmoid(beta * (chosen_B - rejected_B) - gamma)


def dpo(policy: tuple[Any, Any], reference: tuple[Any, Any], beta: float = 0.1) -> Any:
    """Return -log sigmoid(beta [log p(y+)/p_ref(y+) - log p(y-)/p_ref(y-)]) of each pair.

    Rafailov et al. (arXiv 2305.18290). Both arguments are (chosen_B, rejected_B), sums over the answers' tokens.
    With L_sl it is TRL's DPO with `loss_type=["sigmoid", "sft"]`.
    """
    import torch

    chosen_B, rejected_B = (ours - theirs for ours, theirs in zip(policy, reference, strict=True))
    return -torch.nn.functional.logsigmoid(beta * (chosen_B - rejected_B))


def chosen_only(chosen_B: Any) -> Any:
    """Return -lp(y+) of each pair, mean log-probabilities given: what its correct side alone would teach.

    The control for a contrastive loss: the same pairs at the same weight, without their faulty sides.
    """
    return -chosen_B


def unlikelihood(log_probs_BS: Any, span_BS: Any) -> Any:
    """Return - sum_{t in span} log(1 - p(y_t | y_<t)) of each row, over the targets that `span_BS` marks with 1.

    Welleck et al. (arXiv 1908.04319), on a faulty answer's own tokens; see `differing_places`.
    """
    import torch

    certain = log_probs_BS.clamp(max=-_LEAST_LOG_ODDS)
    return -(torch.log(-torch.expm1(certain)) * span_BS).sum(-1)


def differing_places(correct: Sequence[int], faulty: Sequence[int]) -> tuple[int, ...]:
    """Return the places in `faulty` of the tokens that make it differ from `correct`, ascending.

    The longest common prefix and suffix are the same; what is between them is matched by difflib (longest matching
    block first, no junk). Tokens of the faulty side outside of all matches differ. Where it only lacks tokens of the
    correct side, the one behind the gap differs (it came in place of what is missing), if there is one. Other tokens
    that match do not, although what stands before them may.
    """
    shorter = min(len(correct), len(faulty))
    head = next((place for place in range(shorter) if correct[place] != faulty[place]), shorter)
    tail = next((n for n in range(shorter - head) if correct[-1 - n] != faulty[-1 - n]), shorter - head)
    middle = correct[head : len(correct) - tail], faulty[head : len(faulty) - tail]
    places: set[int] = set()
    for kind, _, _, start, end in SequenceMatcher(None, *middle, autojunk=False).get_opcodes():
        if kind != "equal":
            places |= set(range(head + start, head + max(end, start + 1)))
    return tuple(sorted(place for place in places if place < len(faulty)))
