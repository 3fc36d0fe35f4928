"""What the slots of a memory stand for: tokens, grid cells, stretches of time. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Layout(Protocol):
    """What the slots of a memory stand for; renderers register for a ``kind``."""

    @property
    def kind(self) -> str:
        """The name renderers register for."""


@dataclass(frozen=True)
class Tokens:
    """One slot per token of a text."""

    kind: str = "tokens"


@dataclass(frozen=True)
class Grid:
    """One slot per cell of an image grid, row by row: S = height × width."""

    height: int
    width: int
    kind: str = "grid"


@dataclass(frozen=True)
class Time:
    """One slot per stretch of a recording."""

    seconds_per_slot: float
    kind: str = "time"
