"""What an encoder hands to the decoder: slots to look at. It refuses to know what they show.

Letters: B batch, N parallel queries of one input, S memory slots, D memory width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


class Layout(Protocol):
    """What the slots of a memory are; renderers register for a ``kind``."""

    @property
    def kind(self) -> str:
        """The name renderers register for."""


@dataclass(frozen=True)
class Tokens:
    """One slot per token of a text."""

    kind: str = "tokens"


@dataclass(frozen=True)
class Grid:
    """One slot per cell of a picture, row by row: S = height × width."""

    height: int
    width: int
    kind: str = "grid"


@dataclass(frozen=True)
class Time:
    """One slot per stretch of a recording."""

    seconds_per_slot: float
    kind: str = "time"


@dataclass(frozen=True)
class MemorySpec:
    """The widths a decoder is built for: slots (D) and summary (D', 0 where there is none)."""

    dim: int
    summary_dim: int = 0


@dataclass(frozen=True)
class Memory:
    """All that encoders and decoder share.

    values: (B, S, D), zero in padded slots (0 × NaN is NaN).
    mask: (B, S) bool, true where a slot is real; a source that an input lacks is all false.
    layout: what the slots are.
    summary: (B, D'), what an initial state may start from.
    symbols: (B, S) ids in the target vocabulary, -1 where a slot cannot be copied.
    """

    values: Tensor
    mask: Tensor
    layout: Layout
    summary: Tensor | None = None
    symbols: Tensor | None = None

    def select(self, rows: Tensor) -> Memory:
        """The memory of these rows of the batch, in this order (indices or a mask)."""
        selected: Memory = tree_map(lambda leaf: leaf[rows], self)
        return selected


def length_mask(lengths: Tensor, slots: int) -> Tensor:
    """(B,) lengths -> (B, S) bool, true before each length."""
    return torch.arange(slots, device=lengths.device) < lengths.unsqueeze(1)  # (B, S)


def scatter_rows(memory: Memory, rows: Tensor, batch_size: int) -> Memory:
    """Spread the memory of the present rows over the whole batch; absent rows are masked zeros.

    memory: that of ``rows`` (R,), the batch positions that have this source.
    """

    def spread(leaf: Tensor) -> Tensor:
        return leaf.new_zeros(batch_size, *leaf.shape[1:]).index_copy(0, rows, leaf)

    spread_memory: Memory = tree_map(spread, memory)
    return spread_memory


def tree_map(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """Apply ``function`` to every tensor of a tree of tuples, dicts and frozen dataclasses."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {key: tree_map(function, leaf) for key, leaf in tree.items()}
    if isinstance(tree, tuple):
        leaves = [tree_map(function, leaf) for leaf in tree]
        return type(tree)(*leaves) if hasattr(tree, "_fields") else tuple(leaves)
    if hasattr(tree, "__dataclass_fields__"):
        names = [name for name, spec in tree.__dataclass_fields__.items() if spec.init]
        return type(tree)(**{name: tree_map(function, getattr(tree, name)) for name in names})
    return tree


def first_rows(tree: Any, count: int) -> Any:
    """The first ``count`` rows of every tensor of a tree."""
    return tree_map(lambda leaf: leaf[:count], tree)
