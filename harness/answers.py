"""What of a sample is the model's answer, and what a sample without one is. Thinking is none (`harness.reasoning`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.models.seam import Completion, GenerationSettings, Model, Prompt, Thinker
from harness.reasoning import answer_of
from harness.records import Outcome, Sample, StopReason


def answer(sample: Sample) -> str:
    """Return what a sample's program is made of: its completion without the thinking before it."""
    return answer_of(sample.completion, sample.reasoning_rule)


def shortcoming(sample: Sample) -> Outcome | None:
    """Return what a sample is that does not pass, whatever its program did: no code, or cut off; None for neither."""
    was_cut = sample.stop_reason is StopReason.LENGTH
    if answer(sample).strip():
        return Outcome.TRUNCATED if was_cut else None
    has_thought = bool(sample.completion.strip() or sample.reasoning or sample.reasoning_tokens)
    had_no_room = not sample.completion and not sample.completion_tokens
    return Outcome.TRUNCATED if was_cut and (has_thought or had_no_room) else Outcome.NO_CODE


def answers_to(model: Model, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
    """Yield one completion per prompt, in order, each with the answer alone as its text.

    What is thinking the model's own rule says; the rule of the settings is not looked at. Thinking that came to no end
    leaves no text. Raises what `generate` raises.
    """
    if prompts and isinstance(model, Thinker):
        settings = replace(settings, reasoning=model.reasoning(prompts[0]))
    for one in model.generate(prompts, settings):
        # Where a server has taken the thinking out, all the rest is the answer.
        yield one if one.reasoning is not None else replace(one, text=answer_of(one.text, settings.reasoning))


def says_no_number(outcome: Outcome, sample: Sample) -> bool:
    """Say whether a sample has no code by what its answer says, however that ends."""
    return outcome is Outcome.NO_CODE and bool(answer(sample).strip())
