"""The memory that an encoder hands to the decoder: slots to attend to.

Letters: B batch, N parallel queries of one input, S memory slots, D memory width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from multiattn.engine.layouts import Layout
from multiattn.engine.trees import tree_map


@dataclass(frozen=True)
class MemorySpec:
    """The widths a decoder is built for: slots (D) and summary (D', 0 if there is none)."""

    dim: int
    summary_dim: int = 0

    @classmethod
    def of(cls, encoder: Any) -> MemorySpec:
        """The widths of an encoder's memory: its ``out_dim`` and ``summary_dim``, if it has one."""
        return cls(encoder.out_dim, getattr(encoder, "summary_dim", 0))


@dataclass(frozen=True)
class Memory:
    """Everything that encoders and decoder share.

    values: (B, S, D), zero in padded slots (0 × NaN is NaN).
    mask: (B, S) bool, true where a slot is real; all false if the input lacks this source.
    layout: what the slots stand for.
    summary: (B, D'), from which the initial decoder state may be computed.
    symbols: (B, S) ids in the target vocabulary, -1 where a slot cannot be copied.
    """

    values: Tensor
    mask: Tensor
    layout: Layout
    summary: Tensor | None = None
    symbols: Tensor | None = None

    def select(self, rows: Tensor) -> Memory:
        """The memory of the given rows of the batch (indices, in their order, or a mask)."""
        selected: Memory = tree_map(lambda leaf: leaf[rows], self)
        return selected


def length_mask(lengths: Tensor, slots: int) -> Tensor:
    """(B,) lengths -> (B, S) bool, true before each length."""
    return torch.arange(slots, device=lengths.device) < lengths.unsqueeze(1)  # (B, S)


def scatter_rows(memory: Memory, rows: Tensor, batch_size: int) -> Memory:
    """Spread the memory of the present rows over the whole batch; absent rows are masked zeros.

    memory: the memory of ``rows`` (R,), the batch positions that have this source.
    """

    def spread(leaf: Tensor) -> Tensor:
        return leaf.new_zeros(batch_size, *leaf.shape[1:]).index_copy(0, rows, leaf)

    spread_memory: Memory = tree_map(spread, memory)
    return spread_memory
