"""The seam between the harness and whatever writes programs: one method, and one more for what can score text.

Implementations: `reference` (a benchmark's own solutions), `local` (transformers), `vllm_engine` (vLLM),
`server` (OpenAI's protocol).
A model knows nothing of tasks, tests or scores: prompts in, completions out, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from harness.chat import Chat, Message
from harness.errors import UsageError
from harness.reasoning import ReasoningRule
from harness.records import StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One request for one completion: a text to continue, or what a chat model is asked.

    `seed` is that of this very sample, so that resuming changes nothing.
    """

    task_id: str
    sample_index: int
    text: str | Chat
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """How to decode. `temperature` 0 means greedy; `stop` are strings at which a completion is cut, exclusive.

    `reasoning` says what of a completion is thinking. Stop strings act behind it alone; with `max_reasoning_tokens` it
    has at most these, its marks included, and the answer `max_new_tokens`; without, both have those together.
    `max_length` bounds what that leaves once more: prompt and `max_new_tokens` together have at most these (None: no
    such bound). A prompt that has them by itself is not asked: its completion is empty and has run out of tokens.
    `deadline`, of `time.monotonic()`, is when a model stops writing: what is not ended by then ends with
    `StopReason.TIME`, prompts that it has not begun as well. None: it takes as long as it takes.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 512
    max_length: int | None = None
    stop: tuple[str, ...] = ()
    batch_size: int = 8
    deadline: float | None = None
    reasoning: ReasoningRule = ReasoningRule.NONE
    max_reasoning_tokens: int | None = None

    @property
    def most_tokens(self) -> int:
        """The most tokens of a completion, thinking and answer together."""
        return self.max_new_tokens + (self.max_reasoning_tokens or 0)

    def leaves_room(self, prompt_tokens: int) -> bool:
        """Say whether a prompt of so many tokens may have an answer by `max_length`."""
        return self.max_length is None or prompt_tokens < self.max_length

    def behind(self, prompt_tokens: int) -> GenerationSettings:
        """Return the settings for a prompt of so many tokens, which leaves room: as many new ones as fit."""
        if self.max_length is None:
            return self
        return replace(self, max_new_tokens=min(self.max_new_tokens, self.max_length - prompt_tokens), max_length=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model wrote for one prompt: text up to the stop, why it ended, and token counts.

    `completion_tokens` are all of them, `reasoning_tokens` those of its thinking (None: not known, or no matter).
    `reasoning` is thinking that a server has taken out of the text (None: it has not).
    """

    text: str
    stop_reason: StopReason
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    reasoning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScore:
    """How well a model predicts one text: its tokens, how many of them have a prediction, and how many a right one."""

    tokens: int
    predicted: int
    right: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a model is asked for one prompt, byte for byte: a text, or messages of which a server makes one.

    `tokens` are what the model sees of it; None where a server reads the text.
    """

    text: str | None = None
    messages: tuple[Message, ...] = ()
    tokens: tuple[int, ...] | None = None


class Model(Protocol):
    """Writes completions.

    `name` is what the user asked for, `digest` identifies the weights (or the file) by content.
    """

    name: str
    digest: str

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        """Yield one completion per prompt, in order. Raises `ModelUnavailable` when the model fails."""


@runtime_checkable
class Scorer(Protocol):
    """Can say how likely it holds a text to be, as models that give logits can. Offered by a `Model`, or not."""

    def next_token_accuracy(self, texts: Sequence[str], batch_size: int) -> Iterator[TextScore]:
        """Yield one score per text, in order: every token greedily predicted from the right tokens before it.

        Raises `UsageError` for a text that is none, `ModelUnavailable` when the model fails.
        """


@runtime_checkable
class Thinker(Protocol):
    """Can say whether it thinks before it answers. Offered by a `Model`, or not."""

    def reasoning(self, prompt: Prompt) -> ReasoningRule:
        """Return the rule that fits its completions of prompts like this. Raises as `generate` does."""


@runtime_checkable
class Reading(Protocol):
    """Says what it asks for a prompt. Offered by a `Model`, or not.

    The digests are SHA-256, of the tokenizer's files and of its chat template; empty where there is none, or where a
    server has it.
    """

    tokenizer_digest: str
    template_digest: str

    def asked(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> list[Asked]:
        """Return what `generate` would ask by these settings, in order.

        Raises `UsageError` for prompts and settings that it would refuse, `ModelUnavailable` for a server that fails.
        """


@runtime_checkable
class Batching(Protocol):
    """Computes prompts together, so that rounding may tie samples to each other. Offered by a `Model`, or not."""

    def together(self, batch_size: int) -> int:
        """Return how many prompts, in order, share batches with each other and with no others."""


@runtime_checkable
class Queueing(Protocol):
    """Makes its own batches of many requests. Offered by a `Model`, or not."""

    at_once: int  # requests that it is best given at a time, if nobody says otherwise


@runtime_checkable
class Closable(Protocol):
    """Holds more than memory of this process, and lets go of it. Offered by a `Model`, or not."""

    def close(self) -> None:
        """End it. What is closed writes nothing more."""


def see_that_they_make_sense(settings: GenerationSettings) -> None:
    """Raise `UsageError` for a setting that no model can decode by."""
    budget, length = settings.max_reasoning_tokens, settings.max_length
    wanted = {
        "temperature of 0 or more": (settings.temperature, settings.temperature >= 0),
        "top_p above 0 and up to 1": (settings.top_p, 0 < settings.top_p <= 1),
        "max_new_tokens of 1 or more": (settings.max_new_tokens, settings.max_new_tokens >= 1),
        "max_length of 1 or more": (length, length is None or length >= 1),
        "batch_size of 1 or more": (settings.batch_size, settings.batch_size >= 1),
        "max_reasoning_tokens of 1 or more": (budget, budget is None or budget >= 1),
        "rule for the thinking that max_reasoning_tokens is for": (
            settings.reasoning.value,
            budget is None or settings.reasoning.thinks,
        ),
        "stop strings that are not empty": (settings.stop, "" not in settings.stop),
    }
    for rule, (value, holds) in wanted.items():
        if not holds:
            raise UsageError(f"generating needs a {rule}, not {value}")


def see_that_it_is_unicode(text: str, what: str) -> None:
    """Raise `UsageError` for a text with half a surrogate pair; `what` is what a message calls it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} is not valid Unicode ({error.reason})") from error
