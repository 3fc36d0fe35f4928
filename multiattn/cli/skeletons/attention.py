"""An attention that scores by the distance between query and key: nearer keys get more weight.

Letters: B batch, N queries, S slots, A width.
"""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from multiattn import Memory
from multiattn.layers import Keys, attend, project_values


class Example(nn.Module):
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
