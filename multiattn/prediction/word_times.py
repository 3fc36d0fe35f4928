"""When each word of an output was said: what an aligner is given, and what it gives back.

An aligner is found by the layout of a memory (``records.Aligner``). This file refuses to know what
the slots show, and how places in them become seconds.

Letters: T output tokens, S memory slots, D memory width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from multiattn.engine.memory import Memory
from multiattn.registry import records
from multiattn.registry.host import Host


@dataclass(frozen=True)
class TimedWord:
    """A word of an output and where in the input it was, in the unit of the layout (seconds).

    confidence: between 0 and 1, how sure the model is of the word. method: how it was found.
    """

    word: str
    start: float
    end: float
    confidence: float
    method: str

    def as_json(self) -> dict[str, Any]:
        """The same, rounded to what is meant by it."""
        return {
            "word": self.word,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "confidence": round(self.confidence, 4),
            "method": self.method,
        }


@dataclass(frozen=True)
class Evidence:
    """One output, one of its sources, and all that the model knows about the two.

    memories: of this input alone, leaves (1, S, …) without padding; ``source`` is one of them.
    heads: the model's. tokens: T ids without the end. words: (word, first, end) over the tokens.
    log_probabilities: the decoder's own of each token, and of the end: T + 1.
    weights: (T + 1, S), where each token and the end looked; None where nothing was looked at.
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
        """That of the source."""
        return self.memories[self.source]


@runtime_checkable
class Aligner(Protocol):
    """What an ``aligner`` record's target is, built without settings."""

    def align(self, evidence: Evidence) -> Sequence[TimedWord]:
        """A ``TimedWord`` for every word, in their order; nothing where it cannot be told."""


def aligner_for(layout: str, host: Host) -> Aligner | None:
    """The aligner that a plugin brings for a layout, if any does."""
    for row in host.records("aligner"):
        if isinstance(row.record, records.Aligner) and row.record.layout == layout:
            aligner: Aligner = host.target("aligner", row.full_name)()
            return aligner
    return None


def single_row(memory: Memory, row: int) -> Memory:
    """One row of a memory as a batch of one, its real slots only."""
    real = memory.mask[row]
    return replace(
        memory,
        values=memory.values[row, real].unsqueeze(0),  # (1, S, D)
        mask=real[real].unsqueeze(0),  # (1, S)
        summary=None if memory.summary is None else memory.summary[row : row + 1],
        symbols=None if memory.symbols is None else memory.symbols[row, real].unsqueeze(0),
    )
