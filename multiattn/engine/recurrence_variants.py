"""Recurrences beyond the basic ones: conditional, and adaptive with a sentinel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from multiattn.engine.fusion import Weights
from multiattn.engine.memory import Memory
from multiattn.engine.recurrence import FusionFactory, LSTMStack, LSTMState, State, context_map


class Conditional(nn.Module):
    """Attend between two cells. Sennrich et al. 2017 (Nematus), section 2, with LSTM cells.

    s_t = LSTM1(e_t, h_{t-1}); c_t = attend(s_t); h_t = LSTM2(c_t, s_t); features [h_t; c_t].
    """

    layers = 1

    def __init__(self, embedding_dim: int, hidden_dim: int, fusion: FusionFactory) -> None:
        super().__init__()
        self.fusion: Any = fusion(hidden_dim)
        context_dim = self.fusion.context_dim
        self.reads_word = LSTMStack(embedding_dim, hidden_dim, 1)
        self.reads_context = LSTMStack(context_dim, hidden_dim, 1)
        self.features_dim = hidden_dim + context_dim

    def prepare(self, memories: Mapping[str, Memory]) -> Any:
        return self.fusion.prepare(memories)

    def begin(self, layers: LSTMState) -> State:
        return State(layers, None)

    def forward(self, embedded: Tensor, state: State, keys: Any) -> tuple[Tensor, State, Weights]:
        query, between = self.reads_word(embedded, state.layers)
        context, weights, history = self.fusion(query, keys, state.history)
        hidden, layers = self.reads_context(context, between)
        return torch.cat([hidden, context], -1), State(layers, history), weights


class Adaptive(nn.Module):
    """``Luong`` with a sentinel for what the cell already knows. Lu et al. 2017, section 2.3.

    h_t, m_t = LSTM(e_t, h_{t-1}); s_t = σ(W_x e_t + W_h h_{t-1}) ⊙ tanh(m_t) (equations 9-10);
    features ĉ_t + h_t with ĉ_t = β_t s_t + (1 - β_t) W_c c_t (11, 13). The weights reported are
    α (1 - β), so over the slots of a source they sum to 1 - β.

    In equation 12 the sentinel is one more slot in the softmax. That needs scores, which multi-head
    attention does not expose, and a single softmax, which several sources do not share. Here the
    sentinel instead competes with the context vector, for any attention and fusion, in a second
    attention over these two:
    β = softmax(v · tanh(W_g h_t + W_s s_t), v · tanh(W_g h_t + U c_t)), of width ``dim``.
    """

    def __init__(
        self,
        embedding_dim: int,
        hidden_dim: int,
        fusion: FusionFactory,
        *,
        layers: PositiveInt = 1,
        dim: PositiveInt = 256,
    ) -> None:
        super().__init__()
        self.layers = layers
        self.fusion: Any = fusion(hidden_dim)
        context_dim = self.fusion.context_dim
        self.cell = LSTMStack(embedding_dim, hidden_dim, layers)
        self.gate_of_word = nn.Linear(embedding_dim, hidden_dim)
        self.gate_of_hidden = nn.Linear(hidden_dim, hidden_dim, bias=False)
        self.from_context = context_map(hidden_dim, context_dim)
        self.query = nn.Linear(hidden_dim, dim)
        self.key_of_sentinel = nn.Linear(hidden_dim, dim, bias=False)
        self.key_of_context = context_map(dim, context_dim)
        self.energy = nn.Parameter(torch.empty(dim).uniform_(-1, 1) / dim**0.5)
        self.features_dim = hidden_dim

    def prepare(self, memories: Mapping[str, Memory]) -> Any:
        joined = torch.cat([self.from_context, self.key_of_context])  # (H + A, C)
        return self.fusion.prepare(memories, joined)

    def begin(self, layers: LSTMState) -> State:
        return State(layers, None)

    def forward(self, embedded: Tensor, state: State, keys: Any) -> tuple[Tensor, State, Weights]:
        before = state.layers[-1][0]
        hidden, layers = self.cell(embedded, state.layers)
        gate = torch.sigmoid(self.gate_of_word(embedded) + self.gate_of_hidden(before))
        sentinel = gate * torch.tanh(layers[-1][1])  # (B, N, H)
        joined, weights, history = self.fusion(hidden, keys, state.history)
        context, key = torch.tensor_split(joined, [self.features_dim], -1)  # (B, N, H), (B, N, A)
        candidates = torch.stack([self.key_of_sentinel(sentinel), key], 2)  # (B, N, 2, A)
        scores = torch.tanh(self.query(hidden).unsqueeze(2) + candidates) @ self.energy
        known, attended = torch.split(torch.softmax(scores, 2), 1, 2)  # (B, N, 1) each: β, 1 - β
        features = known * sentinel + attended * context + hidden
        shown = {name: attended * leaf for name, leaf in weights.items()}
        return features, State(layers, history), shown
