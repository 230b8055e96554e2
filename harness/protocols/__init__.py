"""Named protocols: how a task becomes a prompt, how an answer is decoded, and how it becomes a program.

A score means little without these choices, so each set of them has a name, which reports carry. What a published
protocol does is not ours to improve: change `default`, or add a file, and a row to the table of them.
"""

from __future__ import annotations

from harness.errors import UsageError
from harness.protocols import (
    austin_3shot,
    bigcode,
    codex,
    default,
    ekt_0shot,
    ekt_3shot,
    evalplus_base,
    evalplus_chat,
    evalplus_chat_api,
    lm_eval,
    lm_eval_instruct,
    simple_evals,
    tinypy,
)
from harness.protocols.families import family_of
from harness.protocols.rules import Rules as Rules
from harness.records import Benchmark

PROTOCOLS: dict[str, dict[str, Rules]] = {
    one.NAME: one.RULES
    for one in (
        default,
        evalplus_base,
        evalplus_chat,
        evalplus_chat_api,
        bigcode,
        lm_eval,
        lm_eval_instruct,
        austin_3shot,
        simple_evals,
        codex,
        ekt_3shot,
        ekt_0shot,
        tinypy,
    )
}
_UNFIT = {one.NAME: one.UNFIT for one in (bigcode, lm_eval, austin_3shot)}


def rules_for(name: str, benchmark: Benchmark | str) -> Rules:
    """Return the rules of the protocol of that name for a benchmark, or for the published one of that name.

    TinyPy's tasks have a protocol of their own, which `default` stands for. Raises `UsageError` for a name that there
    is not, and for a protocol that says nothing about such tasks, or does not fit them.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"no protocol {name!r}: use one of {', '.join(PROTOCOLS)}")
    family = family_of(benchmark)
    benchmark_name = benchmark if isinstance(benchmark, str) else benchmark.name
    if name == default.NAME and family in tinypy.RULES:
        return tinypy.RULES[family]
    if family not in PROTOCOLS[name]:
        fitting = ", ".join(one for one, families in PROTOCOLS.items() if family in families)
        why = _UNFIT.get(name, {}).get(family)
        problem = f"does not fit {benchmark_name} ({why})" if why else f"has no rules for {benchmark_name}"
        raise UsageError(f"protocol {name!r} {problem}: use one of {fitting}")
    return PROTOCOLS[name][family]
