"""Seeded random choices that are the same in every version of Python.

They are all derived from ``Random.random``, the only method whose sequence Python guarantees.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Choices:
    """A seeded source of random choices."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def integer_below(self, bound: int) -> int:
        """Draw an integer from 0 to ``bound`` - 1."""
        return int(self._random.random() * bound)

    def uniform(self, low: float, high: float) -> float:
        """Draw a number between ``low`` and ``high``."""
        return low + (high - low) * self._random.random()

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self._random.random() < probability

    def pick(self, items: Sequence[Item]) -> Item:
        """Pick an item, all with the same probability."""
        return items[self.integer_below(len(items))]

    def pick_skewed(self, items: Sequence[Item]) -> Item:
        """Pick an item, the first ones more often, because real words differ in frequency too."""
        return items[int(len(items) * self._random.random() ** 1.5)]

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """Pick ``count`` different items, in random order."""
        return self.shuffled(items)[:count]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """Return all items in random order."""
        remaining = list(items)
        return [remaining.pop(self.integer_below(len(remaining))) for _ in range(len(remaining))]
