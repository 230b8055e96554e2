"""When a row of a batch ends, and the completion that it makes: end tokens, stop strings, budgets, a deadline.

Used by `local` inside transformers' `generate`, and by `vllm_engine`. Everything here is per row, and what ends a row
while it is written (`RowWatch`) only saves time: `finish` finds the exact place again. Thinking (`harness.reasoning`)
has a budget of its own, and stop strings act behind it alone.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from harness.models.decoding import decode
from harness.models.requests import Request
from harness.models.seam import Completion, GenerationSettings
from harness.reasoning import CLOSE, OPEN, ReasoningRule, answer_start, cut_answer
from harness.records import StopReason

# Looking for stop strings costs a decode per row. Looking every few steps costs a few tokens more per row, which the
# final cut removes; with 8, a batch of a tiny model took 7 % longer than one that looks at every step.
STEPS_BETWEEN_LOOKS = 4
_CLOSE_TOKENS = len(CLOSE)  # none is shorter than a byte


class Thinking:
    """Follows the thinking of a row through its tokens.

    `answer` is how many tokens come before the answer, 0 where there is no thinking; None while that is not known.
    """

    def __init__(self, tokenizer: Any, rule: ReasoningRule) -> None:
        self._tokenizer = tokenizer
        self.has_begun = rule is ReasoningRule.OPENED
        self.answer: int | None = 0 if rule is ReasoningRule.NONE else None
        self._blank = 0  # tokens at the beginning that are no more than blanks
        self._followed = 0

    def follow(self, tokens: list[int]) -> None:
        """Take notice of the tokens until now, whose beginning is what it was at the last call."""
        if self.answer is None and not self.has_begun:
            self._see_whether_it_begins(tokens)
        if self.answer is None and self.has_begun:
            start = max(0, self._followed - _CLOSE_TOKENS)

            def is_closed(end: int) -> bool:
                return CLOSE in decode(self._tokenizer, [], tokens[start:end])

            if is_closed(len(tokens)):
                self.answer = bisect_left(range(len(tokens)), True, lo=start, key=is_closed)
        self._followed = len(tokens)

    def _see_whether_it_begins(self, tokens: list[int]) -> None:
        text = decode(self._tokenizer, [], tokens[self._blank :]).lstrip()
        if not text:
            self._blank = len(tokens)
        elif text.startswith(OPEN):
            self.has_begun = True
        elif not OPEN.startswith(text):
            self.answer = 0

    def answer_text(self, prompt: list[int], tokens: list[int]) -> str:
        """Return the answer's text, where it is known where that begins; control tokens are shown."""
        if not self.answer:
            return decode(self._tokenizer, prompt, tokens)
        # The token that ends the thinking may hold the answer's first characters.
        text = decode(self._tokenizer, [], tokens[max(0, self.answer - _CLOSE_TOKENS) :])
        return text[answer_start(text, ReasoningRule.OPENED) :]

    def room(self, settings: GenerationSettings) -> int:
        """Return how many tokens the row may have, by what is known of its thinking now."""
        budget = settings.max_reasoning_tokens
        if budget is None:
            return settings.max_new_tokens
        if self.answer is None:
            return budget if self.has_begun else settings.most_tokens
        return budget if self.answer > budget else self.answer + settings.max_new_tokens


class RowWatch:
    """Says when a row is over by its text: a stop string in its answer, or a budget of its own that is used up.

    It reads the decoded text, so a stop string may span tokens or begin and end inside of them.
    """

    def __init__(self, tokenizer: Any, request: Request) -> None:
        settings = request.settings
        self.tokens: list[int] = []
        self._tokenizer = tokenizer
        self._prompt = request.tokens
        self._settings = settings
        self._thinking = Thinking(tokenizer, settings.reasoning)
        # No token that matters is shorter than one byte of the stop string.
        self._longest = max((len(text.encode()) for text in settings.stop), default=0)
        self._is_watched = has_watches(settings)
        self._looked = 0  # tokens that were there at the last look

    def add(self, tokens: Sequence[int]) -> bool:
        """Take the row's next tokens. Return whether it is over; looks at every `STEPS_BETWEEN_LOOKS` tokens only."""
        self.tokens.extend(tokens)
        if not self._is_watched or len(self.tokens) - self._looked < STEPS_BETWEEN_LOOKS:
            return False
        self._thinking.follow(self.tokens)
        is_over = len(self.tokens) >= self._thinking.room(self._settings) or self._stops()
        self._looked = len(self.tokens)
        return is_over

    def _stops(self) -> bool:
        if self._thinking.answer is None:
            return False
        tail = self.tokens[max(self._thinking.answer, self._looked - self._longest) :]
        near = has_any(decode(self._tokenizer, [], tail), self._settings.stop)
        return near and has_any(self._thinking.answer_text(self._prompt, self.tokens), self._settings.stop)


class StopLookout:
    """Ends the rows that `RowWatch` finds over, within `STEPS_BETWEEN_LOOKS` steps. A stopping criterion."""

    def __init__(self, tokenizer: Any, batch: Sequence[Request]) -> None:
        watched = ((row, request) for row, request in enumerate(batch) if has_watches(request.settings))
        self._watches = {row: RowWatch(tokenizer, request) for row, request in watched}
        self._seen = max(len(request.tokens) for request in batch)  # columns: prompts are filled up to the longest
        self._ended: Any = None

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Return, for every row of `input_ids` (rows x tokens), whether it has ended."""
        import torch

        if self._ended is None:
            self._ended = torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
        if self._watches and input_ids.shape[1] - self._seen >= STEPS_BETWEEN_LOOKS:
            written = input_ids[:, self._seen :].tolist()
            self._seen = input_ids.shape[1]
            over = [row for row, watch in self._watches.items() if watch.add(written[row])]
            for row in over:
                del self._watches[row]
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


def has_watches(settings: GenerationSettings) -> bool:
    """Say whether a row can be over by its text."""
    return bool(settings.stop) or settings.max_reasoning_tokens is not None


def has_any(text: str, stop: Sequence[str]) -> bool:
    """Say whether a text holds one of the stop strings."""
    return any(one in text for one in stop)


def finish(tokenizer: Any, request: Request, output: list[int], end_tokens: frozenset[int]) -> Completion:
    """Make a row's tokens a completion: cut at the first end token or a used-up budget, then at a stop string.

    `output` are the tokens after the prompt, padding included. The count covers the tokens up to and including the
    end token, or the token that completed the stop string. Other special tokens are left out of the answer (they are
    no text), but not of the thinking, whose marks some tokenizers count among them. What came to none of its ends has
    been cut by the deadline, where there is one.
    """
    settings = request.settings
    end = next((place for place, token in enumerate(output) if token in end_tokens), len(output))
    thinking = Thinking(tokenizer, settings.reasoning)
    thinking.follow(output[:end])
    if not thinking.has_begun:
        thinking.answer = 0
    room = min(thinking.room(settings), request.limit)
    tokens = output[: min(end, room)]
    if thinking.answer is not None and thinking.answer > len(tokens):
        thinking.answer = None

    def stops_within(count: int) -> bool:
        return has_any(thinking.answer_text(request.tokens, tokens[:count]), settings.stop)

    if thinking.answer is not None and settings.stop and stops_within(len(tokens)):
        tokens = tokens[: bisect_left(range(len(tokens)), True, lo=thinking.answer, key=stops_within)]
        reason, count = StopReason.STOP, len(tokens)
    elif end < min(room, len(output)):
        reason, count = StopReason.STOP, len(tokens) + 1
    else:
        is_whole = settings.deadline is None or len(tokens) >= room
        reason, count = StopReason.LENGTH if is_whole else StopReason.TIME, len(tokens)
    thought = len(tokens) if thinking.answer is None else thinking.answer
    shown = decode(tokenizer, request.tokens, tokens[:thought]) if thought else ""
    rest = decode(tokenizer, request.tokens + tokens[:thought], tokens[thought:], hide_special=True)
    return Completion(
        text=cut_answer(shown + rest, settings.reasoning, settings.stop),
        stop_reason=reason,
        prompt_tokens=len(request.tokens),
        completion_tokens=count,
        reasoning_tokens=thought if settings.reasoning.thinks else None,
    )
