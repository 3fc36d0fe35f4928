"""Fusion: one query attends to several memories, each source with an attention of its own.

A fusion has the interface of an attention, over several memories: ``prepare`` once per input, then
``forward(query (B, N, Q), keys, history) -> context (B, N, C), weights per source, history``. With
one source ``concat`` is that source's attention. Where an input lacks a source, that source's mask
is all false.

Letters: B batch, N queries, S slots, K sources, D memory width, C context width, Q query width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from multiattn.engine.attention import AttentionFactory, masked_softmax
from multiattn.engine.memory import Memory, MemorySpec

Weights = dict[str, Tensor]


@runtime_checkable
class Fusion(Protocol):
    """What recurrences require of a fusion."""

    context_dim: int
    recurrent: bool

    def prepare(
        self, memories: Mapping[str, Memory], value_projection: Tensor | None = None
    ) -> Any:
        """Everything that does not depend on a query; ``value_projection`` is (C', C)."""

    def __call__(self, query: Tensor, keys: Any, history: Any) -> tuple[Tensor, Weights, Any]:
        """Context (B, N, C), weights (B, N, S) per source, history."""


@runtime_checkable
class WeighingFusion(Protocol):
    """A fusion that gives each source a share of the context."""

    def shares(self, query: Tensor, keys: Any, history: Any) -> Tensor:
        """The shares (B, N, K) of the sources, called like the fusion; each row sums to 1."""


def attention_per_source(
    query_dim: int, memories: Mapping[str, MemorySpec], attention: AttentionFactory
) -> Any:
    """Build one attention per source, as an ``nn.ModuleDict``."""
    built: dict[str, Any] = {
        name: attention(query_dim, spec.dim) for name, spec in memories.items()
    }
    return nn.ModuleDict(built)


def attend_all(
    modules: Any, query: Tensor, sources: Mapping[str, Any], history: dict[str, Any] | None
) -> tuple[list[Tensor], Weights, dict[str, Any]]:
    """Attend to every source: contexts in source order, weights and history per source."""
    contexts, weights, after = [], {}, {}
    for name, attention in modules.items():
        before = None if history is None else history[name]
        context, weights[name], after[name] = attention(query, sources[name], before)
        contexts.append(context)
    return contexts, weights, after


def presence(modules: Any, memories: Mapping[str, Memory]) -> Tensor:
    """(B, K) bool: which inputs have which source, in the order of the modules."""
    return torch.stack([memories[name].mask.any(1) for name in modules], 1)


@dataclass(frozen=True)
class ConcatKeys:
    """Keys of a concatenating fusion.

    sources: keys per source. absent: per source (B, 1, C), added where an input lacks the source.
    summed: whether contexts are already projected, and so are summed.
    """

    sources: dict[str, Any]
    absent: dict[str, Tensor]
    summed: bool


class Concat(nn.Module):
    """Concatenated contexts; an absent source contributes a learned vector instead."""

    def __init__(
        self, query_dim: int, memories: Mapping[str, MemorySpec], attention: AttentionFactory
    ) -> None:
        super().__init__()
        self.attentions = attention_per_source(query_dim, memories, attention)
        self.widths = [module.context_dim for module in self.attentions.values()]
        self.context_dim = int(sum(self.widths))
        self.recurrent = any(module.recurrent for module in self.attentions.values())
        several = self.widths if len(memories) > 1 else []
        self.absent = nn.ParameterList(nn.Parameter(0.1 * torch.randn(width)) for width in several)

    def prepare(
        self, memories: Mapping[str, Memory], value_projection: Tensor | None = None
    ) -> ConcatKeys:
        parts: list[Tensor | None] = [None] * len(self.widths)
        if value_projection is not None:
            parts = list(torch.split(value_projection, self.widths, 1))
        present = presence(self.attentions, memories)
        sources, absent = {}, {}
        for position, (name, attention) in enumerate(self.attentions.items()):
            part = parts[position]
            sources[name] = attention.prepare(memories[name], part)
            if len(self.absent):
                vector = self.absent[position]
                vector = vector if part is None else part @ vector
                missing = ~present[:, position, None, None]  # (B, 1, 1)
                absent[name] = missing * vector  # (B, 1, C)
        return ConcatKeys(sources, absent, summed=value_projection is not None)

    def forward(
        self, query: Tensor, keys: ConcatKeys, history: dict[str, Any] | None
    ) -> tuple[Tensor, Weights, dict[str, Any]]:
        contexts, weights, after = attend_all(self.attentions, query, keys.sources, history)
        if keys.absent:
            contexts = [
                context + keys.absent[name] for name, context in zip(weights, contexts, strict=True)
            ]
        context = sum(contexts[1:], contexts[0]) if keys.summed else torch.cat(contexts, -1)
        return context, weights, after


class HierarchicalKeys(NamedTuple):
    """Keys per source, and which inputs have which source (B, K, bool)."""

    sources: dict[str, Any]
    present: Tensor


class Hierarchical(nn.Module):
    """A second attention over the sources' contexts. Libovický & Helcl 2017, equations 7-10.

    e_k = v · tanh(W q + U_k c_k), β = softmax(e) over the sources present,
    context = Σ_k β_k U'_k c_k, of width ``dim``. U_k and U'_k are folded into the values.
    """

    def __init__(
        self,
        query_dim: int,
        memories: Mapping[str, MemorySpec],
        attention: AttentionFactory,
        *,
        dim: PositiveInt = 512,
    ) -> None:
        super().__init__()
        self.attentions = attention_per_source(query_dim, memories, attention)
        self.recurrent = any(module.recurrent for module in self.attentions.values())
        self.context_dim = self.dim = dim
        self.query = nn.Linear(query_dim, dim, bias=False)
        self.key = self._maps()
        self.value = self._maps()
        self.energy = nn.Parameter(torch.empty(dim).uniform_(-1, 1) / dim**0.5)

    def _maps(self) -> Any:
        return nn.ModuleDict(
            {
                name: nn.Linear(module.context_dim, self.dim, bias=False)
                for name, module in self.attentions.items()
            }
        )

    def prepare(
        self, memories: Mapping[str, Memory], value_projection: Tensor | None = None
    ) -> HierarchicalKeys:
        sources = {}
        for name, attention in self.attentions.items():
            value = self.value[name].weight
            if value_projection is not None:
                value = value_projection @ value  # (C', D)
            joined = torch.cat([self.key[name].weight, value])  # (A + C', D)
            sources[name] = attention.prepare(memories[name], joined)
        return HierarchicalKeys(sources, presence(self.attentions, memories))

    def forward(
        self, query: Tensor, keys: HierarchicalKeys, history: dict[str, Any] | None
    ) -> tuple[Tensor, Weights, dict[str, Any]]:
        joined, weights, after = attend_all(self.attentions, query, keys.sources, history)
        contexts = torch.stack(joined, 2)  # (B, N, K, A + C')
        shares, value = self._shares(query, contexts, keys), contexts[..., self.dim :]
        return torch.einsum("bnk,bnkc->bnc", shares, value), weights, after

    def shares(
        self, query: Tensor, keys: HierarchicalKeys, history: dict[str, Any] | None
    ) -> Tensor:
        """β of every source (B, N, K)."""
        joined, _, _ = attend_all(self.attentions, query, keys.sources, history)
        return self._shares(query, torch.stack(joined, 2), keys)

    def _shares(self, query: Tensor, contexts: Tensor, keys: HierarchicalKeys) -> Tensor:
        key = contexts[..., : self.dim]  # (B, N, K, A)
        scores = torch.tanh(self.query(query).unsqueeze(2) + key) @ self.energy  # (B, N, K)
        return masked_softmax(scores, keys.present.unsqueeze(1))


@dataclass(frozen=True)
class GateKeys:
    """Keys per source, which inputs have which source (B, K), the gated context's projection."""

    sources: dict[str, Any]
    present: Tensor
    project: Callable[[Tensor], Tensor] | None


class Gate(nn.Module):
    """Each unit of the context weights the sources by itself: context = Σ_k g_k ⊙ U_k c_k.

    g = softmax of (W_k q + V_k c_k) over the sources present, per unit of ``dim``. The gated fusion
    of Arevalo et al. 2017, but with linear values, and with a softmax in place of paired sigmoids,
    so that the gates of any number of sources renormalise over those present.
    """

    def __init__(
        self,
        query_dim: int,
        memories: Mapping[str, MemorySpec],
        attention: AttentionFactory,
        *,
        dim: PositiveInt = 512,
    ) -> None:
        super().__init__()
        self.attentions = attention_per_source(query_dim, memories, attention)
        self.recurrent = any(module.recurrent for module in self.attentions.values())
        self.context_dim = self.dim = dim
        self.query = nn.ModuleDict({name: nn.Linear(query_dim, dim) for name in self.attentions})
        self.value = nn.ModuleDict(
            {
                name: nn.Linear(module.context_dim, 2 * dim, bias=False)
                for name, module in self.attentions.items()
            }
        )

    def prepare(
        self, memories: Mapping[str, Memory], value_projection: Tensor | None = None
    ) -> GateKeys:
        sources = {
            name: attention.prepare(memories[name], self.value[name].weight)
            for name, attention in self.attentions.items()
        }
        project = None if value_projection is None else partial(F.linear, weight=value_projection)
        return GateKeys(sources, presence(self.attentions, memories), project)

    def forward(
        self, query: Tensor, keys: GateKeys, history: dict[str, Any] | None
    ) -> tuple[Tensor, Weights, dict[str, Any]]:
        joined, weights, after = attend_all(self.attentions, query, keys.sources, history)
        value, energy = torch.split(torch.stack(joined, 2), self.dim, -1)  # (B, N, K, dim) each
        gates = self._gates(query, energy, keys)
        context = (gates.transpose(2, 3) * value).sum(2)  # (B, N, dim)
        if keys.project is not None:
            context = keys.project(context)  # (B, N, C')
        return context, weights, after

    def shares(self, query: Tensor, keys: GateKeys, history: dict[str, Any] | None) -> Tensor:
        """The mean gate of every source (B, N, K)."""
        joined, _, _ = attend_all(self.attentions, query, keys.sources, history)
        _, energy = torch.split(torch.stack(joined, 2), self.dim, -1)
        return self._gates(query, energy, keys).mean(2)

    def _gates(self, query: Tensor, energy: Tensor, keys: GateKeys) -> Tensor:
        """The gates (B, N, dim, K), which sum to 1 over the sources present."""
        asked = torch.stack([module(query) for module in self.query.values()], 2)  # (B, N, K, dim)
        present = keys.present[:, None, None, :]  # (B, 1, 1, K)
        return masked_softmax((asked + energy).transpose(2, 3), present)


class NoSource(nn.Module):
    """The fusion of a language model: no source to attend to, a context of zeros."""

    context_dim = 0
    recurrent = False

    def prepare(
        self, memories: Mapping[str, Memory], value_projection: Tensor | None = None
    ) -> int:
        return 0 if value_projection is None else value_projection.size(0)

    def forward(self, query: Tensor, keys: int, history: None) -> tuple[Tensor, Weights, None]:
        return query.new_zeros(*query.shape[:2], keys), {}, history
