"""A fusion by mean: each source is attended to, and the contexts of those present are averaged.

Change how ``forward`` combines the contexts. An attention gives the context 0 where an input lacks
the source, so a sum is one over the sources present.

Protocol: ``multiattn.protocols.Fusion``. In a recipe: ``decoder: {fusion: my-plugin}``.
Letters: B batch, N queries, S slots, Q query width, C context width.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from multiattn import Memory, MemorySpec

Histories = dict[str, Any]


class MeanKeys(NamedTuple):
    """The keys of each source, and how many sources each input has (B, 1, 1)."""

    sources: dict[str, Any]
    present: Tensor


class MyPluginFusion(nn.Module):
    """``dim`` is the width C of the context, to which the values of every source are mapped."""

    def __init__(
        self,
        query_dim: int,
        memories: Mapping[str, MemorySpec],
        attention: Callable[[int, int], Any],
        *,
        dim: PositiveInt = 256,
    ) -> None:
        super().__init__()
        self.context_dim = dim
        attentions = {name: attention(query_dim, spec.dim) for name, spec in memories.items()}
        values = {
            name: nn.Linear(each.context_dim, dim, bias=False) for name, each in attentions.items()
        }
        self.attentions: Any = nn.ModuleDict(attentions)
        self.values: Any = nn.ModuleDict(values)
        self.recurrent = any(each.recurrent for each in attentions.values())

    def prepare(
        self, memories: Mapping[str, Memory], value_projection: Tensor | None = None
    ) -> MeanKeys:
        """Prepare every source; ``value_projection`` (C', C) is the linear map that follows."""
        sources = {}
        for name, attention in self.attentions.items():
            projection = self.values[name].weight  # (C, D)
            if value_projection is not None:
                projection = value_projection @ projection  # (C', D)
            sources[name] = attention.prepare(memories[name], projection)
        present = torch.stack([memories[name].mask.any(1) for name in sources], 1)  # (B, sources)
        return MeanKeys(sources, present.sum(1).clamp(min=1).view(-1, 1, 1))

    def forward(
        self, query: Tensor, keys: MeanKeys, history: Histories | None
    ) -> tuple[Tensor, dict[str, Tensor], Histories]:
        """Query (B, N, Q) -> context (B, N, C), weights (B, N, S) and history of each source."""
        contexts, weights, after = [], {}, {}
        for name, attention in self.attentions.items():
            before = None if history is None else history[name]
            context, weights[name], after[name] = attention(query, keys.sources[name], before)
            contexts.append(context)
        return torch.stack(contexts).sum(0) / keys.present, weights, after
