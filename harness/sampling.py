"""How a model is sampled: what a user asks for, and what that comes to under a protocol and a backend."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import UsageError
from harness.protocols import Rules
from harness.reasoning import AUTO, RULES, ReasoningRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How a model is sampled; None takes the protocol's own value, for `batch_size` the backend's.

    After `time_limit_seconds` of writing (None: no limit) no more samples come, and the report says
    `stopped_early`; what was answered is judged. The same call again goes on with the others, and has its time anew.

    With `max_length`, prompt and `max_new_tokens` together have at most these (see `GenerationSettings`). Where
    `max_new_tokens` is given and this is not, there is no such limit, whatever the protocol has.

    `reasoning` is a rule of `harness.reasoning`, or auto: the one that fits the model. With `max_reasoning_tokens` its
    thinking has at most these and its answer `max_new_tokens`; without, both have those together.
    """

    protocol: str = "default"
    n_samples: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    max_length: int | None = None
    seed: int = 0
    batch_size: int | None = None
    time_limit_seconds: float | None = None
    reasoning: str = AUTO
    max_reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Decoding with nothing left open."""

    n_samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 0
    max_length: int | None = None
    seed: int = 0
    batch_size: int = 1
    time_limit_seconds: float | None = None
    reasoning: ReasoningRule = ReasoningRule.NONE
    max_reasoning_tokens: int | None = None


def resolved_by(
    decoding: Decoding, rules: Rules, at_once: int, fitting: ReasoningRule = ReasoningRule.NONE
) -> Resolved:
    """Return decoding with nothing left open, by a protocol, and by what a model says of itself.

    `at_once` is the batch size where none is asked for, `fitting` the rule that fits the model's thinking. Raises
    UsageError for what cannot be.
    """
    n_samples = rules.n_samples if decoding.n_samples is None else decoding.n_samples
    temperature = rules.temperature if decoding.temperature is None else decoding.temperature
    if n_samples < 1:
        raise UsageError(f"--n-samples {n_samples}: at least 1")
    if decoding.time_limit_seconds is not None and decoding.time_limit_seconds <= 0:
        raise UsageError(f"a time limit of {decoding.time_limit_seconds} s: more than 0")
    if n_samples > 1 and temperature == 0.0:
        raise UsageError(f"{n_samples} greedy samples of a task are all the same: give --temperature as well")
    reasoning = _reasoning(decoding, fitting)
    max_length = rules.max_length if decoding.max_new_tokens is None else None
    return Resolved(
        n_samples=n_samples,
        temperature=temperature,
        top_p=rules.top_p if decoding.top_p is None else decoding.top_p,
        max_new_tokens=rules.max_new_tokens if decoding.max_new_tokens is None else decoding.max_new_tokens,
        max_length=max_length if decoding.max_length is None else decoding.max_length,
        seed=decoding.seed,
        batch_size=at_once if decoding.batch_size is None else decoding.batch_size,
        time_limit_seconds=decoding.time_limit_seconds,
        reasoning=reasoning,
        max_reasoning_tokens=decoding.max_reasoning_tokens,
    )


def _reasoning(decoding: Decoding, fitting: ReasoningRule) -> ReasoningRule:
    if decoding.reasoning not in (AUTO, *RULES):
        raise UsageError(f"--reasoning {decoding.reasoning}: use one of {', '.join((AUTO, *RULES))}")
    rule = fitting if decoding.reasoning == AUTO else ReasoningRule(decoding.reasoning)
    budget = decoding.max_reasoning_tokens
    if budget is not None and budget < 1:
        raise UsageError(f"--max-reasoning-tokens {budget}: at least 1")
    if budget is not None and not rule.thinks:
        raise UsageError(
            "--max-reasoning-tokens bounds thinking, and none is expected of this model: leave it out, or give "
            f"--reasoning {ReasoningRule.THINK} if it writes <think> before its answers"
        )
    return rule
