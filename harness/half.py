"""The two halves of each tier: what training may look at, and what only measuring sees.

Lessons are made of the tune half's verdicts alone. The held-back half then says whether a student has learnt more than
those lessons.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum

SALT = "harness halves 1"  # another salt would be another split: it never changes


class Half(StrEnum):
    """One half of the tasks of each tier."""

    TUNE = "tune"
    HELD_BACK = "held_back"


def half_name(half: Half) -> str:
    """Return a half's name as it is typed and printed."""
    return half.replace("_", "-")


def halves(tiers: Mapping[str, str]) -> dict[str, Half]:
    """Return the half of each task, from the tiers of all tasks of a benchmark.

    In each tier, the tasks whose SHA-256 of "salt:task id" is smallest are the tune half, the others are held back;
    of an odd number the one more. So the split is the same on every machine, and depends on nothing but ids and
    tiers. With other tiers a task near the middle of its tier may change sides: keep the tiers of a student's rounds.
    """
    members: dict[str, list[str]] = {}
    for task, tier in tiers.items():
        members.setdefault(tier, []).append(task)
    tune = {task for inside in members.values() for task in sorted(inside, key=_place)[: len(inside) // 2]}
    return {task: Half.TUNE if task in tune else Half.HELD_BACK for task in tiers}


def _place(task_id: str) -> tuple[bytes, str]:
    return hashlib.sha256(f"{SALT}:{task_id}".encode(errors="surrogatepass")).digest(), task_id
