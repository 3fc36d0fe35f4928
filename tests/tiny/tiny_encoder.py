"""The part of ``tiny_plugin`` that needs torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from multiattn.memory import Memory, Tokens, length_mask


class Embedded(nn.Module):
    """A letter's embedding, with dropout so that random numbers matter."""

    def __init__(self, input_spec: Any, *, dim: int = 8, dropout: float = 0.1) -> None:
        super().__init__()
        self.out_dim, self.summary_dim = dim, 0
        self.embedding = nn.Embedding(input_spec.vocabulary_size, dim)
        self.mixing = nn.Conv1d(dim, dim, 3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        mask = length_mask(lengths, inputs.size(1))  # (B, S)
        embedded = self.embedding(inputs) * mask.unsqueeze(2)  # (B, S, D)
        mixed = self.mixing(embedded.transpose(1, 2)).transpose(1, 2)
        return Memory(self.dropout(mixed.tanh()) * mask.unsqueeze(2), mask, Tokens())
