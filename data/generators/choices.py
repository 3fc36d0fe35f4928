"""Random choices that every version of Python makes alike: only ``Random.random`` promises that."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Choices:
    """A seeded source of choices."""

    def __init__(self, seed: int) -> None:
        self.generator = random.Random(seed)

    def below(self, bound: int) -> int:
        """A whole number from 0 to ``bound`` - 1."""
        return int(self.generator.random() * bound)

    def chance(self, probability: float) -> bool:
        """True this often."""
        return self.generator.random() < probability

    def pick(self, items: Sequence[Item]) -> Item:
        """Any of them, all alike."""
        return items[self.below(len(items))]

    def favour(self, items: Sequence[Item]) -> Item:
        """One of them, the first ones more often: real words are not used alike either."""
        return items[int(len(items) * self.generator.random() ** 1.5)]

    def some(self, items: Sequence[Item], count: int) -> list[Item]:
        """``count`` different ones, in random order."""
        return self.shuffled(items)[:count]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """All of them, in random order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(len(left))]
