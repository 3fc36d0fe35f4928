"""A recurrence with a gated recurrent unit: attend with the last state, then run the unit.

c_t = attend(h_{t-1}); h_t = GRU([e_t; c_t], h_{t-1}); features [h_t; c_t], as Bahdanau et al. 2015
have it. Change the order of unit and attention in ``forward``, and what the features are made of.

Protocol: ``multiattn.protocols.Recurrence``. In a recipe: ``decoder: {recurrence: my-plugin}``.
Letters: B batch, N hypotheses, E embedding, H hidden, C context width, S slots.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from multiattn import Memory, State


class MyPluginRecurrence(nn.Module):
    """One layer. ``fusion`` builds, for a query width, what attends to the sources."""

    layers = 1

    def __init__(self, embedding_dim: int, hidden_dim: int, fusion: Callable[[int], Any]) -> None:
        super().__init__()
        self.fusion = fusion(hidden_dim)
        context_dim = self.fusion.context_dim
        self.cell = nn.GRUCell(embedding_dim + context_dim, hidden_dim)
        self.features_dim = hidden_dim + context_dim

    def prepare(self, memories: Mapping[str, Memory]) -> Any:
        """Compute, once per input, what does not depend on a step."""
        return self.fusion.prepare(memories)

    def begin(self, layers: tuple[tuple[Tensor, Tensor], ...]) -> State:
        """The state before the first word, from hidden and cell (B, 1, H) of each layer."""
        return State(layers, None)

    def forward(
        self, embedded: Tensor, state: State, keys: Any
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Words (B, N, E) -> features (B, N, H + C), state, weights (B, N, S) of each source."""
        before = state.layers[0][0]  # (B, N, H)
        context, weights, history = self.fusion(before, keys, state.history)
        inputs = torch.cat([embedded, context], -1)  # (B, N, E + C)
        hidden = self.cell(inputs.flatten(0, 1), before.flatten(0, 1)).view_as(before)
        after = State(((hidden, hidden),), history)  # the unit has no cell beside its hidden state
        return torch.cat([hidden, context], -1), after, weights
