"""Which fields of a run's configuration its results depend on, and in which two runs differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, fields

from harness.model_options import OPENAI
from harness.reasoning import ReasoningRule
from harness.run_config import RunConfig

# What a run was made with, but which its results do not depend on.
# Tiers that a file gave are covered by `tiers_digest`, the rates of the weak rule's baseline by the rule's digest. A
# time limit decides how many samples there are, and the report says that; it changes none of them. `runtime` has what
# samples depend on of the options. A batch size changes rounding at most, and what ran out of memory goes on with less.
NOT_FINGERPRINTED = frozenset(
    {
        *("workers", "versions", "dataset_source", "not_promised", "tiers", "tier_source", "weak_rates"),
        *("time_limit_seconds", "cache", "origin", "caveats", "audited", "batch_size", "options"),
    }
)
# Values of newer fields that say what was so before there were these fields: older runs keep their fingerprint.
_AS_BEFORE = (
    *(("reasoning", ReasoningRule.NONE), ("max_reasoning_tokens", None), ("max_length", None)),
    *(("tokenizer_digest", ""), ("template_digest", ""), ("prompts_digest", "")),
    *(("extraction", ""), ("rejudged", ""), ("shots_digest", "")),
)
# What earlier versions did not write. The model's digest, which they did, covers tokenizer and template, and a protocol
# had one extraction rule.
_NEWER = frozenset({"tokenizer_digest", "template_digest", "prompts_digest", "extraction"})
# What `runtime` says in words, or of what a digest covers.
_SAID = frozenset({"reproducible", "digest", "prompts", "not_sent", "commit"})
# What verdicts depend on and samples do not, so that it may change while nothing is judged.
_OF_JUDGING = frozenset(
    {
        *("sandbox", "image_digest", "cpu_seconds", "wall_seconds", "memory_bytes", "call_cpu_seconds"),
        *("call_cpu_factor", "tiers_digest", "weak_rule", "partial"),
    }
)


def fingerprint(config: RunConfig) -> str:
    """Return the SHA-256 over every field that a result depends on, as 64 hex digits."""
    kept = {
        name: value
        for name, value in asdict(config).items()
        if name not in NOT_FINGERPRINTED and (name, value) not in _AS_BEFORE
    }
    kept["runtime"] = _kept(config.runtime)
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def differences(stored: RunConfig, now: RunConfig, may_differ: Collection[str] = ()) -> list[str]:
    """Return, in words, each field that results depend on and in which two runs differ; `may_differ` are left out.

    Where one of the two judges nothing, it is enough that the samples are those of the other.
    """
    free = NOT_FINGERPRINTED | frozenset(may_differ)
    if not (stored.sandbox and now.sandbox):
        free |= _OF_JUDGING
    if stored.options is None:
        free |= _not_yet_written(stored, now)
    differing = [field.name for field in fields(RunConfig) if field.name not in free]
    return [text for name in differing for text in _difference(name, getattr(stored, name), getattr(now, name))]


def _not_yet_written(stored: RunConfig, now: RunConfig) -> frozenset[str]:
    """Return what a run of an earlier version does not say of itself, and need not: its model's digest covers it."""
    lacking = frozenset(name for name in _NEWER if not getattr(stored, name))
    # Of a model on a server it does not, and with a tokenizer other bytes are sent.
    return lacking - {"tokenizer_digest"} if stored.backend == OPENAI else lacking


def _difference(name: str, stored: object, now: object) -> Iterator[str]:
    if isinstance(stored, dict) and isinstance(now, dict) and name == "runtime":
        stored, now = _kept(stored), _kept(now)
        for key in sorted({*stored, *now}):
            yield from _difference(f"runtime.{key}", stored.get(key), now.get(key))
    elif stored != now:
        note = " (prompts.jsonl has them; a chat template may write the date)" if name == "prompts_digest" else ""
        yield f"{name} was {_short(stored)}, now {_short(now)}{note}"


def _kept(runtime: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in runtime.items() if key not in _SAID}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
