"""Attentions that extend another attention: location, coverage, multi-head, gated.

Each takes the attention that it extends as ``of``, and has the interface and the letters of
``attention.py``.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from multiattn.engine.attention import (
    Additive,
    AttentionFactory,
    ContentAttention,
    ContentFactory,
    Keys,
    ScaledDot,
    attend,
)
from multiattn.engine.memory import Memory
from multiattn.errors import UserError


def content_attention(factory: ContentFactory, query_dim: int, memory_dim: int, asker: str) -> Any:
    """Build the content attention that ``asker`` extends; UserError if it has no scores."""
    attention = factory(query_dim, memory_dim)
    if not (isinstance(attention, ContentAttention) and isinstance(attention, nn.Module)):
        raise UserError(
            f"attention {asker!r} extends an attention that compares queries with keys, got "
            f"{type(attention).__name__}; use additive, multiplicative, dot or scaled-dot"
        )
    return attention


class Location(nn.Module):
    """Content scores that also use the previous weights. Chorowski et al. 2015, equations 8-9.

    ``filters`` convolutions of ``width`` slots run over the previous weights; their output is added
    to each key, so the paper's form is the one over ``additive``. Before the first step the weights
    are uniform over the real slots. Raises UserError for an even width.

    window: outside training, attend only to this many slots left and right of the median of the
    previous weights (section 2.3), so that attention does not stray in long inputs; the first step
    attends to all slots, and with 0 every step does.
    """

    recurrent = True

    def __init__(
        self,
        query_dim: int,
        memory_dim: int,
        *,
        of: ContentFactory = Additive,
        filters: PositiveInt = 10,
        width: PositiveInt = 201,
        window: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        if width % 2 == 0:
            raise UserError(f"attention 'location' needs an odd width, got {width}")
        self.window = window
        self.content = content_attention(of, query_dim, memory_dim, "location")
        self.context_dim = self.content.context_dim
        self.convolution = nn.Conv1d(1, filters, width, padding=width // 2, bias=False)
        self.feature = nn.Linear(filters, self.content.key_dim, bias=False)

    def prepare(self, memory: Memory, value_projection: Tensor | None = None) -> Keys:
        keys: Keys = self.content.prepare(memory, value_projection)
        return keys

    def forward(
        self, query: Tensor, keys: Keys, history: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch_size, queries, _ = query.shape
        seen = None
        if history is not None and self.window and not self.training:
            seen = self._near(history) & keys.mask.unsqueeze(1)
        if history is None:
            share = keys.mask / keys.mask.sum(1, keepdim=True).clamp(min=1)
            history = share.to(query.dtype).unsqueeze(1).expand(-1, queries, -1)  # (B, N, S)
        features = self.convolution(
            history.reshape(batch_size * queries, 1, -1)
        )  # (B·N, filters, S)
        features = features.transpose(1, 2).unflatten(
            0, (batch_size, queries)
        )  # (B, N, S, filters)
        scores = self.content.scores(query, keys.keys, self.feature(features))
        context, weights = attend(scores, keys, seen)
        return context, weights, weights

    def _near(self, weights: Tensor) -> Tensor:
        """(B, N, S) bool: within the window around the median of each row of weights (B, N, S)."""
        slots = torch.arange(weights.size(2), device=weights.device)
        reached = weights.cumsum(2) >= weights.sum(2, keepdim=True) / 2
        medians = reached.int().argmax(2, keepdim=True)  # (B, N, 1), the first slot to reach half
        return (slots - medians).abs() <= self.window


class Coverage(nn.Module):
    """Content scores that also use the sum of earlier weights. See et al. 2017, equations 10-11."""

    recurrent = True

    def __init__(self, query_dim: int, memory_dim: int, *, of: ContentFactory = Additive) -> None:
        super().__init__()
        self.content = content_attention(of, query_dim, memory_dim, "coverage")
        self.context_dim = self.content.context_dim
        self.feature = nn.Linear(1, self.content.key_dim, bias=False)

    def prepare(self, memory: Memory, value_projection: Tensor | None = None) -> Keys:
        keys: Keys = self.content.prepare(memory, value_projection)
        return keys

    def forward(
        self, query: Tensor, keys: Keys, history: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if history is None:
            history = query.new_zeros(query.size(0), query.size(1), keys.mask.size(1))
        scores = self.content.scores(query, keys.keys, self.feature(history.unsqueeze(-1)))
        context, weights = attend(scores, keys)
        return context, weights, history + weights


class MultiHead(nn.Module):
    """Several attentions, each with values of its own. Vaswani et al. 2017, section 3.2.2.

    Head h attends with its own ``of`` attention to values of width D / heads; the output projection
    of the concatenated heads is a sum over heads, so it is folded into each head's values. The
    weights reported are the heads' mean. Raises UserError if ``heads`` does not divide D.
    """

    def __init__(
        self,
        query_dim: int,
        memory_dim: int,
        *,
        of: AttentionFactory = ScaledDot,
        heads: PositiveInt = 4,
    ) -> None:
        super().__init__()
        if memory_dim % heads:
            raise UserError(
                f"attention 'multi-head' cuts the memory of width {memory_dim} into equal heads, "
                f"got {heads} heads; choose a divisor"
            )
        self.context_dim = memory_dim
        attentions: list[Any] = [of(query_dim, memory_dim) for _ in range(heads)]
        self.attentions: Any = nn.ModuleList(attentions)
        self.recurrent = any(attention.recurrent for attention in attentions)
        width = memory_dim // heads
        self.value: Any = nn.ModuleList(
            nn.Linear(memory_dim, width, bias=False) for _ in attentions
        )
        self.output: Any = nn.ModuleList(
            nn.Linear(width, memory_dim, bias=False) for _ in attentions
        )

    def prepare(self, memory: Memory, value_projection: Tensor | None = None) -> tuple[Any, ...]:
        keys = []
        for attention, value, output in zip(self.attentions, self.value, self.output, strict=True):
            projection = output.weight @ value.weight  # (D, D)
            if value_projection is not None:
                projection = value_projection @ projection  # (C, D)
            keys.append(attention.prepare(memory, projection))
        return tuple(keys)

    def forward(
        self, query: Tensor, keys: tuple[Any, ...], history: tuple[Any, ...] | None
    ) -> tuple[Tensor, Tensor, tuple[Any, ...]]:
        before = history or (None,) * len(keys)
        outputs = [
            attention(query, head_keys, head_history)
            for attention, head_keys, head_history in zip(
                self.attentions, keys, before, strict=True
            )
        ]
        contexts, weights, after = zip(*outputs, strict=True)
        return sum(contexts), torch.stack(weights).mean(0), after


@runtime_checkable
class GatedAttention(Protocol):
    """An attention that lets a part of its context through."""

    def openness(self, query: Tensor) -> Tensor:
        """The part (B, N), 0 to 1, for each query (B, N, Q)."""


class Gated(nn.Module):
    """A gated context: β c with β = σ(w · q + b). Xu et al. 2015, section 4.2.1.

    β is one number per query. In the paper the query is the state before the cell, so the paper's
    form is the one under the recurrence ``bahdanau``. Weights and history are those of ``of``: they
    do not include β.
    """

    def __init__(self, query_dim: int, memory_dim: int, *, of: AttentionFactory = Additive) -> None:
        super().__init__()
        self.attention: Any = of(query_dim, memory_dim)
        self.context_dim = self.attention.context_dim
        self.recurrent = self.attention.recurrent
        self.gate = nn.Linear(query_dim, 1)

    def prepare(self, memory: Memory, value_projection: Tensor | None = None) -> Any:
        return self.attention.prepare(memory, value_projection)

    def forward(self, query: Tensor, keys: Any, history: Any) -> tuple[Tensor, Tensor, Any]:
        context, weights, history = self.attention(query, keys, history)
        return self.openness(query).unsqueeze(2) * context, weights, history

    def openness(self, query: Tensor) -> Tensor:
        """β of every query (B, N)."""
        return torch.sigmoid(self.gate(query)).squeeze(2)


def without_gate(attention: Any) -> Any:
    """The attention under the gate, or the attention itself if it is not gated."""
    return attention.attention if type(attention) is Gated else attention
