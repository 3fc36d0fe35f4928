"""Word times of an output: what an aligner receives and what it returns.

An aligner is chosen in ``recipe/by_layout.py``; it alone interprets the slots and converts their
positions to seconds.

Letters: T output tokens, S memory slots, D memory width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from multiattn.engine.memory import Memory


@dataclass(frozen=True)
class TimedWord:
    """A word of an output and its position in the input, in the unit of the layout (seconds).

    confidence: between 0 and 1, how certain the model is of the word. method: how it was aligned.
    """

    word: str
    start: float
    end: float
    confidence: float
    method: str

    def as_json(self) -> dict[str, Any]:
        """The word as plain data, rounded to a meaningful precision."""
        return {
            "word": self.word,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "confidence": round(self.confidence, 4),
            "method": self.method,
        }


@dataclass(frozen=True)
class Evidence:
    """One output, one of its sources, and the model's information about both.

    memories: of this input alone, leaves (1, S, …) without padding; ``source`` is one of them.
    heads: the model's. tokens: T ids without the end. words: (word, first, end) over the tokens.
    log_probabilities: the decoder's, of each token and of the end: T + 1.
    weights: (T + 1, S), the attention of each token and of the end; None without attention.
    """

    source: str
    memories: Mapping[str, Memory]
    heads: Mapping[str, nn.Module]
    tokens: tuple[int, ...]
    words: Sequence[tuple[str, int, int]]
    log_probabilities: tuple[float, ...]
    weights: Tensor | None

    @property
    def memory(self) -> Memory:
        """The memory of the source."""
        return self.memories[self.source]


@runtime_checkable
class Aligner(Protocol):
    """The target of an ``aligner`` record."""

    def align(self, evidence: Evidence) -> Sequence[TimedWord]:
        """A ``TimedWord`` for every word, in order; empty if the words cannot be aligned."""


def single_row(memory: Memory, row: int) -> Memory:
    """One row of a memory as a batch of one, without padding."""
    real = memory.mask[row]
    return replace(
        memory,
        values=memory.values[row, real].unsqueeze(0),  # (1, S, D)
        mask=real[real].unsqueeze(0),  # (1, S)
        summary=None if memory.summary is None else memory.summary[row : row + 1],
        symbols=None if memory.symbols is None else memory.symbols[row, real].unsqueeze(0),
    )
