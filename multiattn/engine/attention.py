"""Attention: a query attends to one memory. Modules keep no state between calls.

    prepare(memory, value_projection=None) -> keys             once per input, every leaf (B, …)
    forward(query, keys, history) -> context, weights, history

query (B, N, Q), context (B, N, C), weights (B, N, S). Keys are shared by all N queries of an input.
``history`` (leaves (B, N, …), ``None`` before the first step) is what a *recurrent* attention
carries over from earlier steps; such an attention cannot compute several time steps at once. A
``value_projection`` (C, D) multiplies every value, so that the linear map that follows the context
is computed once per input and not once per step. Padded slots get weight 0; an input with no real
slot gets weights 0 and context 0.

Letters: B batch, N queries, S slots, D memory width, Q query width, A attention width,
C context width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from multiattn.engine.memory import Memory
from multiattn.errors import UserError
from multiattn.registry.schema import Slot


class Keys(NamedTuple):
    """A memory prepared for attention: keys (B, S, A), values (B, S, C), mask (B, S)."""

    keys: Tensor
    values: Tensor
    mask: Tensor


@runtime_checkable
class Attention(Protocol):
    """What fusions require of an attention. ``context_dim`` is C without a value projection."""

    context_dim: int
    recurrent: bool

    def prepare(self, memory: Memory, value_projection: Tensor | None = None) -> Any:
        """Everything that does not depend on a query."""

    def __call__(self, query: Tensor, keys: Any, history: Any) -> tuple[Tensor, Tensor, Any]:
        """Context (B, N, C), weights (B, N, S), history."""


@runtime_checkable
class ContentAttention(Attention, Protocol):
    """An attention that scores a query against each key; an offset may be added to the keys."""

    key_dim: int

    def scores(self, query: Tensor, keys: Tensor, offset: Tensor | None = None) -> Tensor:
        """(B, N, Q), (B, S, A) -> (B, N, S); ``offset`` (B, N, S, A) is added to the keys."""


def project_values(memory: Memory, projection: Tensor | None) -> Tensor:
    """The memory's values, multiplied by the projection if there is one: (B, S, C)."""
    return memory.values if projection is None else F.linear(memory.values, projection)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last dimension; exactly 0 where ``mask`` is false, even if all is."""
    blocked = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return torch.softmax(blocked, -1) * mask


def attend(scores: Tensor, keys: Keys, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scores (B, N, S) -> context (B, N, C), weights (B, N, S); ``mask`` defaults to the keys'."""
    weights = masked_softmax(scores, keys.mask.unsqueeze(1) if mask is None else mask)
    return torch.bmm(weights, keys.values.to(weights.dtype)), weights


def dot_scores(query: Tensor, keys: Tensor, offset: Tensor | None) -> Tensor:
    """(B, N, A) · ((B, S, A) + offset) -> (B, N, S)."""
    scores = torch.bmm(query, keys.transpose(1, 2))  # (B, N, S)
    if offset is None:
        return scores
    return scores + torch.einsum("bna,bnsa->bns", query, offset)


class Additive(nn.Module):
    """v · tanh(W q + U k + b). Bahdanau et al. 2015, appendix A.1.2."""

    recurrent = False

    def __init__(self, query_dim: int, memory_dim: int, *, dim: PositiveInt = 256) -> None:
        super().__init__()
        self.key_dim, self.context_dim = dim, memory_dim
        self.query = nn.Linear(query_dim, dim, bias=False)
        self.key = nn.Linear(memory_dim, dim)
        self.energy = nn.Parameter(torch.empty(dim).uniform_(-1, 1) / math.sqrt(dim))

    def prepare(self, memory: Memory, value_projection: Tensor | None = None) -> Keys:
        return Keys(self.key(memory.values), project_values(memory, value_projection), memory.mask)

    def scores(self, query: Tensor, keys: Tensor, offset: Tensor | None = None) -> Tensor:
        joined = keys.unsqueeze(1) + self.query(query).unsqueeze(2)  # (B, N, S, A)
        if offset is not None:
            joined = joined + offset
        return torch.tanh(joined) @ self.energy  # (B, N, S)

    def forward(self, query: Tensor, keys: Keys, history: None) -> tuple[Tensor, Tensor, None]:
        return *attend(self.scores(query, keys.keys), keys), history


class Multiplicative(nn.Module):
    """q · W k. Luong et al. 2015, equation 8, "general"."""

    recurrent = False

    def __init__(self, query_dim: int, memory_dim: int) -> None:
        super().__init__()
        self.key_dim, self.context_dim = query_dim, memory_dim
        self.key = nn.Linear(memory_dim, query_dim, bias=False)

    def prepare(self, memory: Memory, value_projection: Tensor | None = None) -> Keys:
        return Keys(self.key(memory.values), project_values(memory, value_projection), memory.mask)

    def scores(self, query: Tensor, keys: Tensor, offset: Tensor | None = None) -> Tensor:
        return dot_scores(query, keys, offset)

    def forward(self, query: Tensor, keys: Keys, history: None) -> tuple[Tensor, Tensor, None]:
        return *attend(self.scores(query, keys.keys), keys), history


class Dot(nn.Module):
    """q · k, without parameters. Luong et al. 2015, equation 8, "dot".

    Raises UserError if query and memory differ in width.
    """

    recurrent = False

    def __init__(self, query_dim: int, memory_dim: int) -> None:
        super().__init__()
        if query_dim != memory_dim:
            raise UserError(
                f"attention 'dot' compares vectors of equal width, got a query of {query_dim} and "
                f"a memory of {memory_dim}; use 'multiplicative' or make the widths equal"
            )
        self.key_dim = self.context_dim = memory_dim

    def prepare(self, memory: Memory, value_projection: Tensor | None = None) -> Keys:
        return Keys(memory.values, project_values(memory, value_projection), memory.mask)

    def scores(self, query: Tensor, keys: Tensor, offset: Tensor | None = None) -> Tensor:
        return dot_scores(query, keys, offset)

    def forward(self, query: Tensor, keys: Keys, history: None) -> tuple[Tensor, Tensor, None]:
        return *attend(self.scores(query, keys.keys), keys), history


class ScaledDot(nn.Module):
    """(W q) · (U k) / √A. Vaswani et al. 2017, equation 1, with the projections of one head."""

    recurrent = False

    def __init__(self, query_dim: int, memory_dim: int, *, dim: PositiveInt = 256) -> None:
        super().__init__()
        self.key_dim, self.context_dim = dim, memory_dim
        self.query = nn.Linear(query_dim, dim, bias=False)
        self.key = nn.Linear(memory_dim, dim, bias=False)

    def prepare(self, memory: Memory, value_projection: Tensor | None = None) -> Keys:
        return Keys(self.key(memory.values), project_values(memory, value_projection), memory.mask)

    def scores(self, query: Tensor, keys: Tensor, offset: Tensor | None = None) -> Tensor:
        return dot_scores(self.query(query) / math.sqrt(self.key_dim), keys, offset)

    def forward(self, query: Tensor, keys: Keys, history: None) -> tuple[Tensor, Tensor, None]:
        return *attend(self.scores(query, keys.keys), keys), history


AttentionFactory = Annotated[Callable[[int, int], Attention], Slot("attention")]
ContentFactory = Annotated[Callable[[int, int], ContentAttention], Slot("attention")]
