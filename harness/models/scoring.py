"""Which tokens of a text a model predicts right: what it is shown at once, and how the right ones are counted.

Used by `local`. A text that fits into the context is shown whole. A longer one is cut into windows that overlap by half
a context: every token is predicted once, in the first window that reaches it, so behind the first window each has at
least half a context before it. Knows nothing of tasks or checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import ModelUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredText:
    """The tokens of one text as a model reads it: `own` of them are the text's, the ones before are the tokenizer's."""

    tokens: list[int]
    own: int

    @property
    def predicted(self) -> int:
        """How many of its own tokens have one before them."""
        return min(self.own, max(len(self.tokens) - 1, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Tokens shown at once, but for the last, which is only predicted. The last `scored` predictions count."""

    place: int
    tokens: list[int]
    scored: int


def read_text(tokenizer: Any, text: str) -> ScoredText:
    """Return a text's tokens, behind those that the tokenizer itself puts before a text (such as Llama's BOS)."""
    own: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    whole: list[int] = tokenizer(text, verbose=False)["input_ids"]
    starts = range(len(whole) - len(own) + 1)
    start = next((start for start in starts if whole[start : start + len(own)] == own), 0)
    return ScoredText(tokens=whole[:start] + own, own=len(own))


def windows(place: int, text: ScoredText, context: int | None) -> Iterator[Window]:
    """Yield what to show of a text, for a model that holds `context` tokens at once (None: any number)."""
    tokens, done = text.tokens, len(text.tokens) - text.predicted
    room = context or len(tokens)
    start = 0
    while done < len(tokens):
        end = min(len(tokens), start + room + 1)
        yield Window(place=place, tokens=tokens[start:end], scored=end - done)
        done, start = end, end - 1 - room // 2


def batches(shown: Sequence[Window], size: int) -> Iterator[list[Window]]:
    """Group windows of like length, the longest first."""
    ordered = sorted(shown, key=lambda window: -len(window.tokens))  # which is stable
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def count_right(model: Any, batch: Sequence[Window], pad: int) -> list[int]:
    """Return, for each window, how many of its scored predictions are right: the likeliest token is the next one."""
    import torch

    width = max(len(window.tokens) for window in batch) - 1
    # On the right: what comes later can change nothing before it, and positions count from the first token.
    padded = [window.tokens[:-1] + [pad] * (width + 1 - len(window.tokens)) for window in batch]
    mask = [[1] * (len(window.tokens) - 1) + [0] * (width + 1 - len(window.tokens)) for window in batch]
    with torch.inference_mode():
        logits = model(
            input_ids=torch.tensor(padded, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            use_cache=False,
        ).logits
        if logits.isnan().any():
            raise ModelUnavailable("the model computes NaN: its weights are broken, or they need another --dtype")
        likeliest = logits.argmax(-1).tolist()
    return [_matches(row, window) for row, window in zip(likeliest, batch, strict=True)]


def _matches(likeliest: list[int], window: Window) -> int:
    end = len(window.tokens) - 1
    predictions = likeliest[end - window.scored : end]
    return sum(told == right for told, right in zip(predictions, window.tokens[-window.scored :], strict=True))
