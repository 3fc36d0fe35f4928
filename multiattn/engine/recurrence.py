"""Recurrence: how the decoder's LSTM and its attention are chained at one step.

    prepare(memories) -> keys                                   once per input
    begin(layers) -> state                                      leaves (B, 1, …)
    forward(embedded (B, N, E), state, keys) -> features (B, N, F), state, weights

Each order is a class: attend before the cell (``Bahdanau``), after it (``Luong``), after it with
the result fed to the next step (``InputFeeding``), between two cells (``Conditional``), or after
the cell, weighed against a sentinel for what the cell already knows (``Adaptive``). Words come in
embedded; features go out to the output layer (``output_layer.py``).

Letters: B batch, N hypotheses, L layers, E embedding, H hidden, F features, C context width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from multiattn.engine.bilstm import initialise_lstm
from multiattn.engine.fusion import Fusion, Weights
from multiattn.engine.memory import Memory

FusionFactory = Callable[[int], Fusion]
LSTMState = tuple[tuple[Tensor, Tensor], ...]  # per layer: hidden and cell, each (B, N, H)


class State(NamedTuple):
    """What one step passes to the next; every leaf (B, N, …).

    ``fed`` is the last attentional vector, if the recurrence feeds it in with the next word.
    """

    layers: LSTMState
    history: Any
    fed: Tensor | None = None


@runtime_checkable
class Recurrence(Protocol):
    """What the decoder requires of a recurrence."""

    features_dim: int
    layers: int
    fusion: Any

    def prepare(self, memories: Mapping[str, Memory]) -> Any:
        """Compute everything that does not depend on a step."""

    def begin(self, layers: LSTMState) -> State:
        """The state before the first word."""

    def __call__(self, embedded: Tensor, state: State, keys: Any) -> tuple[Tensor, State, Weights]:
        """Take one step for all hypotheses."""


class LSTMStack(nn.Module):
    """One step of a stack of LSTM cells over (B, N, …)."""

    def __init__(self, input_dim: int, hidden_dim: int, layers: int) -> None:
        super().__init__()
        widths = [input_dim] + [hidden_dim] * (layers - 1)
        self.cells = nn.ModuleList(
            initialise_lstm(nn.LSTMCell(width, hidden_dim)) for width in widths
        )

    def forward(self, inputs: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """(B, N, I) and the old state -> top hidden (B, N, H) and the new state."""
        batch = inputs.shape[:2]
        below, after = inputs.flatten(0, 1), []  # (B·N, I)
        for cell, (hidden, memory_cell) in zip(self.cells, state, strict=True):
            below, memory_cell = cell(below, (hidden.flatten(0, 1), memory_cell.flatten(0, 1)))
            after.append((below.unflatten(0, batch), memory_cell.unflatten(0, batch)))
        return after[-1][0], tuple(after)


def context_map(hidden_dim: int, context_dim: int) -> nn.Parameter:
    """W_c (H, C), initialised like ``nn.Linear``; without a source C is 0, nothing is trained."""
    bound = max(context_dim, 1) ** -0.5
    drawn = torch.empty(hidden_dim, context_dim).uniform_(-bound, bound)
    return nn.Parameter(drawn, requires_grad=context_dim > 0)


class Bahdanau(nn.Module):
    """Attend with the last state, then run the cell on word and context. Bahdanau et al. 2015, A.2.

    c_t = attend(h_{t-1}); h_t = LSTM([e_t; c_t], h_{t-1}); features [h_t; c_t].
    """

    def __init__(
        self, embedding_dim: int, hidden_dim: int, fusion: FusionFactory, *, layers: PositiveInt = 1
    ) -> None:
        super().__init__()
        self.layers = layers
        self.fusion: Any = fusion(hidden_dim)
        context_dim = self.fusion.context_dim
        self.cell = LSTMStack(embedding_dim + context_dim, hidden_dim, layers)
        self.features_dim = hidden_dim + context_dim

    def prepare(self, memories: Mapping[str, Memory]) -> Any:
        return self.fusion.prepare(memories)

    def begin(self, layers: LSTMState) -> State:
        return State(layers, None)

    def forward(self, embedded: Tensor, state: State, keys: Any) -> tuple[Tensor, State, Weights]:
        query = state.layers[-1][0]
        context, weights, history = self.fusion(query, keys, state.history)
        hidden, layers = self.cell(torch.cat([embedded, context], -1), state.layers)
        return torch.cat([hidden, context], -1), State(layers, history), weights


class Luong(nn.Module):
    """Run the cell on the word, then attend; no context is fed back. Luong et al. 2015, eq. 5.

    h_t = LSTM(e_t, h_{t-1}); c_t = attend(h_t); features a_t = tanh(W_c c_t + W_h h_t).
    If the attention is not recurrent either, all steps can be computed at once (``fast.parallel``).
    """

    def __init__(
        self, embedding_dim: int, hidden_dim: int, fusion: FusionFactory, *, layers: PositiveInt = 1
    ) -> None:
        super().__init__()
        self.layers = layers
        self.fusion: Any = fusion(hidden_dim)
        self.cell = LSTMStack(embedding_dim, hidden_dim, layers)
        self.from_hidden = nn.Linear(hidden_dim, hidden_dim)
        self.from_context = context_map(hidden_dim, self.fusion.context_dim)
        self.features_dim = hidden_dim

    def prepare(self, memories: Mapping[str, Memory]) -> Any:
        return self.fusion.prepare(memories, self.from_context)

    def begin(self, layers: LSTMState) -> State:
        return State(layers, None)

    def attend(self, hidden: Tensor, keys: Any, history: Any) -> tuple[Tensor, Weights, Any]:
        """Top hidden states (B, N, H) -> attentional vectors (B, N, H), weights, history."""
        context, weights, history = self.fusion(hidden, keys, history)
        return torch.tanh(context + self.from_hidden(hidden)), weights, history

    def forward(self, embedded: Tensor, state: State, keys: Any) -> tuple[Tensor, State, Weights]:
        hidden, layers = self.cell(embedded, state.layers)
        vector, weights, history = self.attend(hidden, keys, state.history)
        return vector, State(layers, history), weights


class InputFeeding(nn.Module):
    """``Luong``, feeding the attentional vector to the next step. Luong et al. 2015, section 3.3.

    h_t = LSTM([e_t; a_{t-1}], h_{t-1}); c_t = attend(h_t); features a_t = tanh(W_c c_t + W_h h_t).
    """

    def __init__(
        self, embedding_dim: int, hidden_dim: int, fusion: FusionFactory, *, layers: PositiveInt = 1
    ) -> None:
        super().__init__()
        self.layers = layers
        self.fusion: Any = fusion(hidden_dim)
        self.cell = LSTMStack(embedding_dim + hidden_dim, hidden_dim, layers)
        self.from_hidden = nn.Linear(hidden_dim, hidden_dim)
        self.from_context = context_map(hidden_dim, self.fusion.context_dim)
        self.features_dim = hidden_dim

    def prepare(self, memories: Mapping[str, Memory]) -> Any:
        return self.fusion.prepare(memories, self.from_context)

    def begin(self, layers: LSTMState) -> State:
        return State(layers, None, torch.zeros_like(layers[-1][0]))

    def forward(self, embedded: Tensor, state: State, keys: Any) -> tuple[Tensor, State, Weights]:
        inputs = torch.cat([embedded, state.fed], -1)  # type: ignore[list-item]
        hidden, layers = self.cell(inputs, state.layers)
        context, weights, history = self.fusion(hidden, keys, state.history)
        vector = torch.tanh(context + self.from_hidden(hidden))
        return vector, State(layers, history, vector), weights
