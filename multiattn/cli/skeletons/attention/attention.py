"""An attention that scores by the distance between query and key: nearer keys get more weight.

Change how ``forward`` computes the scores, and what ``prepare`` computes for them once per input.

Protocol: ``multiattn.protocols.Attention``. In a recipe: ``decoder: {attention: my-plugin}``.
Letters: B batch, N queries, S slots, A width, Q query width, D memory width, C context width.
"""

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from multiattn import Memory
from multiattn.layers import Keys, attend, project_values


class MyPluginAttention(nn.Module):
    """Keyword-only parameters are the settings of a recipe, checked against their types."""

    recurrent = False  # no history is carried from one step to the next

    def __init__(self, query_dim: int, memory_dim: int, *, dim: PositiveInt = 128) -> None:
        super().__init__()
        self.context_dim = memory_dim
        self.query = nn.Linear(query_dim, dim)
        self.key = nn.Linear(memory_dim, dim, bias=False)

    def prepare(self, memory: Memory, value_projection: Tensor | None = None) -> Keys:
        """Compute, once per input, what does not depend on the query."""
        return Keys(self.key(memory.values), project_values(memory, value_projection), memory.mask)

    def forward(self, query: Tensor, keys: Keys, history: None) -> tuple[Tensor, Tensor, None]:
        """Attend: query (B, N, Q) -> context (B, N, C), weights (B, N, S)."""
        scores = -torch.cdist(self.query(query), keys.keys)  # (B, N, S)
        return *attend(scores, keys), history
