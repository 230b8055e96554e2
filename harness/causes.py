"""Why two samples of one task came out differently, by what the runs' files show.

Nothing is guessed: a cause is named where the files leave no other, and else it is said what may be behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.evidence import shown
from harness.prompts import AskedPrompt
from harness.records import Outcome, RunConfig, Sample, StopReason, Verdict


class Cause(StrEnum):
    """What made a sample pass in one run and not in the other."""

    EXTRACTION = "extraction"  # the same completion, another program
    TESTS = "tests"  # the same program, other tests
    LIMITS = "limits"  # the same program and tests, and one of them hit a limit that differs
    MACHINE = "machine"  # the same program, tests and limits
    PROMPT = "prompt"
    TOKENIZER = "tokenizer"  # the same prompt is read as other tokens
    STOP_STRINGS = "stop strings"  # the same text, up to where a stop string of one run alone has cut it
    TOKEN_LIMIT = "token limit"  # noqa: S105  (the same text, up to where it was truncated)
    MODEL = "model"
    DECODING = "decoding"
    ENGINE = "engine"  # the same model, prompt and decoding: what runs it, its precision, its batches
    GENERATION = "generation"  # another text, and more than one of model, decoding and engine differ
    NUMBER = "number of samples"  # each sample that both have came out alike
    UNKNOWN = "unknown"  # another text by another protocol, and no record of what was asked


_LIMIT_OUTCOMES = frozenset({Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.OUTPUT_LIMIT})
_FIELDS = {
    Cause.TESTS: ("benchmark", "dataset_digest"),
    Cause.LIMITS: ("cpu_seconds", "wall_seconds", "memory_bytes", "call_cpu_seconds", "call_cpu_factor"),
    Cause.MODEL: ("model_digest",),
    Cause.DECODING: ("temperature", "top_p", "seed", "reasoning", "max_reasoning_tokens"),
    Cause.ENGINE: ("backend", "runtime"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One run's part in a pair: its configuration, its prompts by task (none where they are not recorded)."""

    config: RunConfig
    prompts: Mapping[str, AskedPrompt]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A sample and its verdict."""

    sample: Sample
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Found:
    """A cause, and what shows it."""

    cause: Cause
    evidence: str


def differing(before: RunConfig, after: RunConfig, causes: Iterable[Cause]) -> list[Cause]:
    """Return those of the causes of whose settings any differs between two runs."""
    return [cause for cause in causes if any(getattr(before, name) != getattr(after, name) for name in _FIELDS[cause])]


def cause_of(sides: tuple[Side, Side], pair: tuple[Judged, Judged]) -> Found:
    """Return why one sample of a pair passes and the other does not."""
    before, after = pair[0].sample, pair[1].sample
    if before.completion != after.completion:
        return _of_other_text(sides, (before, after))
    if before.program != after.program:
        rules = [one.extraction or "not recorded" for one in (before, after)]
        return Found(Cause.EXTRACTION, f"the same completion, another program (rules: {rules[0]} and {rules[1]})")
    return _of_other_verdict(sides, pair)


def _of_other_verdict(sides: tuple[Side, Side], pair: tuple[Judged, Judged]) -> Found:
    """Say why the same program is judged otherwise."""
    failed = next(one.verdict for one in pair if not one.verdict.passed)
    causes = differing(sides[0].config, sides[1].config, (Cause.TESTS, Cause.LIMITS))
    hit_a_limit = failed.outcome in _LIMIT_OUTCOMES
    if Cause.LIMITS in causes and hit_a_limit:
        return Found(Cause.LIMITS, f"the same program ends with {failed.outcome} under one run's limits")
    if Cause.TESTS in causes:
        passed_base = " (it passes the base tests)" if failed.base_passed else ""
        return Found(Cause.TESTS, f"the same program is {failed.outcome} by one run's tests{passed_base}")
    where = " or ".join(dict.fromkeys(side.config.sandbox for side in sides))
    return Found(Cause.MACHINE, f"the same program by the same tests and limits is {failed.outcome} once ({where})")


def _of_other_text(sides: tuple[Side, Side], samples: tuple[Sample, Sample]) -> Found:
    """Say why the model wrote another text."""
    return _of_prompt(sides, samples) or _of_end(sides, samples) or _of_model(sides)


def _of_prompt(sides: tuple[Side, Side], samples: tuple[Sample, Sample]) -> Found | None:
    task = samples[0].task_id
    before, after = (side.prompts.get(task) for side in sides)
    if before is not None and after is not None:
        if (before.text, before.messages) != (after.text, after.messages):
            return Found(Cause.PROMPT, "the prompts differ")
        if before.tokens_digest != after.tokens_digest and before.tokens_digest and after.tokens_digest:
            return Found(Cause.TOKENIZER, f"the same prompt is read as {before.tokens} and {after.tokens} tokens")
        return None
    tokens = [one.prompt_tokens for one in samples]
    same_model = sides[0].config.model_digest == sides[1].config.model_digest
    if same_model and None not in tokens and tokens[0] != tokens[1]:
        return Found(Cause.PROMPT, f"the same model read {tokens[0]} and {tokens[1]} tokens of prompt")
    if sides[0].config.protocol != sides[1].config.protocol:
        return Found(Cause.UNKNOWN, "another text by another protocol, and not both runs say what they asked")
    return None


def _of_end(sides: tuple[Side, Side], samples: tuple[Sample, Sample]) -> Found | None:
    """Say where one text goes on behind the end of the other."""
    short, long = sorted((0, 1), key=lambda place: len(samples[place].completion))
    text = samples[short].completion
    if not samples[long].completion.startswith(text):
        return None
    if samples[short].stop_reason is StopReason.LENGTH:
        limits = [_limit(side.config) for side in sides]
        return Found(
            Cause.TOKEN_LIMIT, f"the same text up to where it was truncated (limits: {limits[0]}, {limits[1]})"
        )
    rest = samples[long].completion[len(text) :]
    only_here = (one for one in sides[short].config.stop if one not in sides[long].config.stop)
    if stop := next((one for one in only_here if rest.startswith(one)), None):
        return Found(Cause.STOP_STRINGS, f"the same text up to {shown(stop)}, at which one run alone stops")
    return None


def _limit(run: RunConfig) -> str:
    together = "" if run.max_length is None else f" and {run.max_length} with the prompt"
    return f"{run.max_new_tokens}{together}"


def _of_model(sides: tuple[Side, Side]) -> Found:
    """Say which settings may be behind another text to the same prompt."""
    causes = differing(sides[0].config, sides[1].config, (Cause.MODEL, Cause.DECODING, Cause.ENGINE))
    if len(causes) == 1:
        return Found(causes[0], f"another text to the same prompt, and only the {causes[0]} differs")
    if causes:
        return Found(Cause.GENERATION, f"another text to the same prompt; {', '.join(causes)} differ")
    return Found(
        Cause.ENGINE, "another text to the same prompt by the same settings: the engine does not repeat itself"
    )
