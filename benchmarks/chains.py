"""Chains: functions of two to five steps told in words, small enough for models of 0.1 million parameters.

A task's tier is its number of steps, its family the kind of step that it has at least one of. Tasks differ in the order
of their steps and in their numbers.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path

TIERS = {"two": 2, "three": 3, "four": 4, "five": 5}
Kind = tuple[str, str]  # tier and family
Step = tuple[str, str, Callable[[int, int, int], int]]  # words, line, and what it makes of t, n and k
_PLAIN: tuple[Step, ...] = (
    ("add {k}", "t = t + {k}", lambda t, n, k: t + k),
    ("take {k} away", "t = t - {k}", lambda t, n, k: t - k),
    ("multiply by {k}", "t = t * {k}", lambda t, n, k: t * k),
    ("double it", "t = t * 2", lambda t, n, k: t * 2),
    ("square it", "t = t * t", lambda t, n, k: t * t),
    ("change its sign", "t = -t", lambda t, n, k: -t),
)
FAMILIES: dict[str, tuple[Step, ...]] = {
    "divided": (
        ("divide by {k} without rest", "t = t // {k}", lambda t, n, k: t // k),
        ("keep the rest by {k}", "t = t % {k}", lambda t, n, k: t % k),
        ("halve it without rest", "t = t // 2", lambda t, n, k: t // 2),
    ),
    "reversed": (
        ("take it from {k}", "t = {k} - t", lambda t, n, k: k - t),
        ("take its double from {k}", "t = {k} - 2 * t", lambda t, n, k: k - 2 * t),
        ("take its square from {k}", "t = {k} - t * t", lambda t, n, k: k - t * t),
    ),
    "start": (
        ("add the start", "t = t + n", lambda t, n, k: t + n),
        ("add {k} times the start", "t = t + {k} * n", lambda t, n, k: t + k * n),
        ("take the start away", "t = t - n", lambda t, n, k: t - n),
    ),
    "bounds": (
        ("make it at least {k}", "t = max(t, {k})", lambda t, n, k: max(t, k)),
        ("make it at most {k}", "t = min(t, {k})", lambda t, n, k: min(t, k)),
        ("make it positive", "t = abs(t)", lambda t, n, k: abs(t)),
    ),
}
_INPUTS = (0, 1, -3, 7, 12, -20, 55)


def chain(draw: random.Random, tier: str, family: str) -> tuple[str, dict[str, str]]:
    """Return the order of a task's steps, and the task in HumanEval's format but for its id."""
    count = TIERS[tier]
    special = draw.sample(range(count), draw.randint(1, count))
    steps = [
        (draw.choice(FAMILIES[family] if place in special else _PLAIN), draw.randint(2, 60)) for place in range(count)
    ]
    words = ", ".join(text.format(k=k) for (text, _, _), k in steps)
    lines = ["t = n", *(line.format(k=k) for (_, line, _), k in steps), "return t"]
    checks = []
    for n in _INPUTS:
        t = n
        for (_, _, change), k in steps:
            t = change(t, n, k)
        checks.append(f"    assert candidate({n}) == {t}\n")
    return ", ".join(text for (text, _, _), _ in steps), {
        "prompt": f'def work(n):\n    """Start with n: {words}."""\n',
        "entry_point": "work",
        "canonical_solution": "".join(f"    {line}\n" for line in lines),
        "test": f"def check(candidate):\n{''.join(checks)}",
        "tier": tier,
        "family": family,
    }


def write_chains(path: Path, seed: int, counts: Mapping[Kind, int], split: str, avoid: set[str]) -> set[str]:
    """Write so many tasks of each tier and family, no text twice, and return the orders of steps in them.

    None has an order of steps that is in `avoid`. Among tests (`split` test) no order comes twice.
    """
    draw = random.Random(seed)
    orders: set[str] = set()
    texts: set[str] = set()
    with path.open("w", encoding="utf-8") as out:
        for (tier, family), count in counts.items():
            written = 0
            while written < count:
                order, task = chain(draw, tier, family)
                if order in avoid or task["prompt"] in texts or (split == "test" and order in orders):
                    continue
                orders.add(order)
                texts.add(task["prompt"])
                name = f"{path.stem}/{tier}-{family}-{written}"
                out.write(json.dumps({"task_id": name, **task, "split": split}) + "\n")
                written += 1
    return orders
