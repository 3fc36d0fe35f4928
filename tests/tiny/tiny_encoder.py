"""The part of ``tiny_plugin`` that needs torch."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from multiattn import Memory, Tokens
from multiattn.layers import length_mask


def note(letters: Tensor) -> None:
    """Write a line about an input that is computed, slowly if so wanted."""
    time.sleep(float(os.environ.get("TINY_SLOW", "0")))
    if "TINY_COMPUTED" in os.environ:
        with Path(os.environ["TINY_COMPUTED"]).open("a") as file:
            file.write(f"{letters.tolist()}\n")


class Frozen(nn.Module):
    """Two slots of fixed numbers, the mean and the greatest over the letters, and a layer on them.

    A file named in ``TINY_COMPUTED`` gets a line per input; ``TINY_SLOW`` seconds each is waited.
    """

    def __init__(
        self, input_spec: Any, *, dim: int = 8, dropout: float = 0.1, learning: bool = False
    ) -> None:
        super().__init__()
        self.out_dim, self.summary_dim = dim, 0
        self.feature_settings = {"dim": dim}
        self.embedding = nn.Embedding(input_spec.vocabulary_size, dim)
        self.embedding.requires_grad_(learning)
        self.layer = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.frozen = not learning

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        return self.forward_features(self.features(inputs, lengths))

    @torch.no_grad()
    def features(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        rows = []
        for letters, length in zip(inputs, lengths.tolist(), strict=True):
            embedded = self.embedding(letters[:length])  # (L, D)
            rows.append(torch.stack([embedded.mean(0), embedded.amax(0)]).half())
            note(letters[:length])
        return torch.stack(rows)  # (B, 2, D)

    def forward_features(self, features: Tensor) -> Memory:
        mask = features.new_ones(features.shape[:2], dtype=torch.bool)
        values = self.dropout(self.layer(features.to(self.layer.weight.dtype)).tanh())
        return Memory(values, mask, Tokens())


class FrozenSequence(nn.Module):
    """A slot of fixed numbers per letter, and a layer on them that learns.

    The fixed part has dropout, which must never be active.
    """

    def __init__(self, input_spec: Any, *, dim: int = 8, dropout: float = 0.1) -> None:
        super().__init__()
        self.out_dim, self.summary_dim, self.frozen = dim, 0, True
        self.embedding = nn.Embedding(input_spec.vocabulary_size, dim).requires_grad_(False)
        self.embedding_dropout = nn.Dropout(0.5)
        self.layer = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def train(self, mode: bool = True) -> FrozenSequence:
        super().train(mode)
        self.embedding_dropout.eval()
        return self

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        return self.forward_sequence(*self.sequence_features(inputs, lengths))

    @torch.no_grad()
    def sequence_features(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        for letters, length in zip(inputs, lengths.tolist(), strict=True):
            note(letters[:length])
        features = self.embedding_dropout(self.embedding(inputs)).cumsum(1)  # (B, S, D)
        return features.half() * length_mask(lengths, inputs.size(1)).unsqueeze(2), lengths

    def forward_sequence(self, features: Tensor, lengths: Tensor) -> Memory:
        mask = length_mask(lengths, features.size(1))  # (B, S)
        values = self.layer(features.to(self.layer.weight.dtype)).tanh()
        return Memory(self.dropout(values * mask.unsqueeze(2)), mask, Tokens())


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
