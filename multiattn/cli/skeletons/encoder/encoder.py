"""A text encoder that ignores word order: change ``forward``. Letters: B batch, S slots, D width.

Protocol: ``multiattn.protocols.Encoder``. In a recipe: ``sources: {NAME: {encoder: my-plugin}}``.
"""

from dataclasses import dataclass

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from multiattn import Memory, Tokens
from multiattn.layers import length_mask


@dataclass(frozen=True)
class MyPluginSpec:
    """What the encoder needs of its reader's ``spec``."""

    vocabulary_size: int


class MyPluginEncoder(nn.Module):
    """Keyword-only parameters are the settings of a recipe, checked against their types."""

    def __init__(self, input_spec: MyPluginSpec, *, dim: PositiveInt = 128) -> None:
        super().__init__()
        self.out_dim = dim
        self.embedding = nn.Embedding(input_spec.vocabulary_size, dim)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode ids (B, S) of lengths (B,); slots past the length must be zero."""
        mask = length_mask(lengths, inputs.size(1))  # (B, S)
        values = self.embedding(inputs) * mask.unsqueeze(2)  # (B, S, D)
        return Memory(values, mask, Tokens())

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Make a batch of two texts, with five and three ids."""
        return torch.randint(self.embedding.num_embeddings, (2, 5)), torch.tensor([5, 3])
