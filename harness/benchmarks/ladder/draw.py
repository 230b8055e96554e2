"""Random choices that are the same on every machine and Python version.

Only `random.Random.random()` is used, and integer seeds: of Python's generator, these alone are promised to keep their
sequence from version to version.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Draw:
    """A source of choices that starts from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, count: int) -> int:
        """Return an integer from 0 to `count` - 1."""
        return int(self._random.random() * count)

    def between(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def chance(self, share: float) -> bool:
        """Return True in this share of the calls."""
        return self._random.random() < share

    def one_of(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[self.below(len(items))]

    def two_of(self, items: Sequence[Item]) -> tuple[Item, Item]:
        """Return two items that stand at different places, in any order."""
        first = self.below(len(items))
        second = self.below(len(items) - 1)
        return items[first], items[second + (second >= first)]

    def some_of(self, items: Sequence[Item], least: int, most: int) -> list[Item]:
        """Return `least` to `most` items; each may come more than once."""
        return [self.one_of(items) for _ in range(self.between(least, most))]
