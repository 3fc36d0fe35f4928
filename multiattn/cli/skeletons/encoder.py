"""A text encoder that ignores word order: one slot per token, each encoded independently.

Letters: B batch, S slots, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from multiattn import Memory, Tokens
from multiattn.layers import length_mask


@dataclass(frozen=True)
class TextSpec:
    """What the text reader tells the encoder."""

    vocabulary_size: int


class Example(nn.Module):
    """Keyword-only parameters are the settings of a recipe, checked against their types."""

    def __init__(self, input_spec: TextSpec, *, dim: PositiveInt = 128) -> None:
        super().__init__()
        self.out_dim = dim
        self.summary_dim = 0
        self.embedding = nn.Embedding(input_spec.vocabulary_size, dim)
        self.layer = nn.Linear(dim, dim)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode ids (B, S) of lengths (B,); slots past the length must be zero."""
        mask = length_mask(lengths, inputs.size(1))  # (B, S)
        values = torch.tanh(self.layer(self.embedding(inputs)))  # (B, S, D)
        return Memory(values * mask.unsqueeze(2), mask, Tokens())

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Make a batch of two texts, with five and three ids."""
        return torch.randint(self.embedding.num_embeddings, (2, 5)), torch.tensor([5, 3])
