"""How one batch is decoded: each row's next token, when a row ends, and what text its tokens are.

Used by `local` inside transformers' `generate`; what ends a row and what text it is, by `vllm_engine` as well.
Everything here is per row, so that a sample depends on its own prompt and seed and not on its neighbours. Knows
nothing of prompts, tasks or checkpoints.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from harness.errors import ModelUnavailable
from harness.models.seam import Completion
from harness.records import StopReason

# Looking for stop strings costs a decode per row. Looking every few steps costs a few tokens more per row, which the
# final cut removes.
STEPS_BETWEEN_LOOKS = 8
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


class StopSearch:
    """Says whether a text has a stop string by now, from its last tokens, and in full where those have one.

    It reads the decoded text, so a stop string may span tokens or begin and end inside of them. It only saves time, and
    may be asked at every `STEPS_BETWEEN_LOOKS` tokens: `finish` finds the exact place again.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        # No token that matters is shorter than one byte of the stop string.
        self._tail = STEPS_BETWEEN_LOOKS + max((len(text.encode()) for text in stop), default=0)

    def found(self, prompt: list[int], output: list[int]) -> bool:
        """Say whether what the tokens `output` add behind the tokens `prompt` has a stop string, near its end."""
        return self._in(decode(self._tokenizer, [], output[-self._tail :])) and self._in(
            decode(self._tokenizer, prompt, output)
        )

    def _in(self, text: str) -> bool:
        return any(stop in text for stop in self._stop)


class StopLookout:
    """Ends the rows that have written a stop string, within `STEPS_BETWEEN_LOOKS` steps of writing it.

    A stopping criterion of transformers.
    """

    def __init__(self, tokenizer: Any, prompts: Sequence[list[int]], stop: Sequence[str]) -> None:
        self._search = StopSearch(tokenizer, stop) if stop else None
        self._prompts = prompts
        self._width = max(len(prompt) for prompt in prompts)
        self._ended: Any = None

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Return, for every row of `input_ids` (rows x tokens), whether it has ended."""
        import torch

        if self._ended is None:
            self._ended = torch.zeros(len(self._prompts), dtype=torch.bool, device=input_ids.device)
        written = input_ids.shape[1] - self._width
        if self._search is not None and written % STEPS_BETWEEN_LOOKS == 0:
            for row, output in enumerate(input_ids[:, self._width :].tolist()):
                if not self._ended[row] and self._search.found(self._prompts[row], output):
                    self._ended[row] = True
        return self._ended


class Deadline:
    """Ends all rows at a time of `time.monotonic()`. A stopping criterion of transformers."""

    def __init__(self, at: float) -> None:
        self._at = at

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Return, for every row of `input_ids` (rows x tokens), whether it has ended."""
        import torch

        return torch.full((input_ids.shape[0],), time.monotonic() >= self._at, device=input_ids.device)


def finish(
    tokenizer: Any, prompt: list[int], output: list[int], end_tokens: frozenset[int], stop: Sequence[str]
) -> Completion:
    """Make a row's tokens a completion: cut at the first end token, then before the earliest stop string.

    `output` are the tokens after the prompt, padding included. The count covers the tokens up to and including the
    end token, or the token that completed the stop string. Other special tokens (which are no text) are left out.
    """
    end = next((place for place, token in enumerate(output) if token in end_tokens), None)
    tokens = output[:end]

    def stops_within(count: int) -> bool:
        text = decode(tokenizer, prompt, tokens[:count])
        return any(one in text for one in stop)

    if stop and stops_within(len(tokens)):
        tokens = tokens[: bisect_left(range(len(tokens)), True, key=stops_within)]
        reason, count = StopReason.STOP, len(tokens)
    elif end is not None:
        reason, count = StopReason.STOP, len(tokens) + 1
    else:
        reason, count = StopReason.LENGTH, len(tokens)
    text = cut(decode(tokenizer, prompt, tokens, hide_special=True), stop)
    return Completion(text=text, stop_reason=reason, prompt_tokens=len(prompt), completion_tokens=count)


def cut(text: str, stop: Sequence[str]) -> str:
    """Return the text before the earliest stop string in it."""
    return text[: min((place for one in stop if (place := text.find(one)) >= 0), default=len(text))]


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
