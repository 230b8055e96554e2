"""How a batch is decoded: each row's next token, and what text its tokens are; when a row ends, `endings` says.

Everything here is per row, so that a sample depends on its own prompt and seed and not on its neighbours. Knows
nothing of prompts, tasks or checkpoints.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from harness.errors import ModelUnavailable

_ANCHOR_TOKENS = 4


class Chooser:
    """Chooses each row's next token: the likeliest, or one drawn with that row's own random numbers.

    A logits processor of transformers. The drawn token gets an infinite score, so that greedy search takes it:
    transformers' sampling draws a whole batch from one generator, which ties a sample to its neighbours. A draw is
    one number per row and step, looked up in the row's cumulative probabilities in the order of the vocabulary (no
    sorting, so that near-ties cannot swap). Temperature and nucleus as in Holtzman et al. 2020, section 3.1: the
    smallest set of likeliest tokens whose mass reaches `top_p`.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self._randoms = [random.Random(seed) for seed in seeds]
        self._temperature = temperature
        self._top_p = top_p
        self._is_first_step = True

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return the scores (rows x vocabulary), ready for an argmax. Raises `ModelUnavailable` when they are NaN."""
        if self._is_first_step:
            self._is_first_step = False
            if scores.isnan().any():
                raise ModelUnavailable("the model computes NaN: its weights are broken, or they need another --dtype")
        return scores if self._temperature == 0 else scores.scatter(-1, self._draw(scores), float("inf"))

    def _draw(self, scores: Any) -> Any:
        import torch

        # float64: a sum over 150,000 tokens in float32 is off by more than the rarest tokens weigh. MPS has none.
        exact = torch.float32 if scores.device.type == "mps" else torch.float64
        scores = scores.to(exact)
        weights = ((scores - scores.amax(-1, keepdim=True)) / self._temperature).softmax(-1)
        if self._top_p < 1:
            descending, order = weights.sort(dim=-1, descending=True, stable=True)
            mass_before = descending.cumsum(-1) - descending
            weights = weights.scatter(-1, order, descending.masked_fill(mass_before >= self._top_p, 0))
        cumulative = weights.cumsum(-1)
        numbers = torch.tensor([[row.random()] for row in self._randoms], dtype=exact, device=scores.device)
        drawn = torch.searchsorted(cumulative, numbers * cumulative[:, -1:], right=True)
        return drawn.clamp(max=scores.shape[-1] - 1)


def decode(tokenizer: Any, prompt: list[int], output: list[int], *, hide_special: bool = False) -> str:
    """Return the text that `output` adds behind `prompt`.

    The prompt's last tokens are decoded with it: on their own, Llama's tokens lose their first blank, and with it the
    indentation of the first line.
    """

    def text_of(tokens: list[int]) -> str:
        return str(tokenizer.decode(tokens, skip_special_tokens=hide_special, clean_up_tokenization_spaces=False))

    anchor = prompt[-_ANCHOR_TOKENS:]
    before, whole = text_of(anchor), text_of(anchor + output)
    return whole[len(before) :] if whole.startswith(before) else text_of(output)
