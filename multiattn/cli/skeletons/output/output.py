"""An output layer with softly bounded scores: none is above ``cap`` or below ``-cap``.

Change how ``forward`` scores the vocabulary. ``copies`` are the weights (…, S) and the symbols
(…, S) of sources from which words could be copied; this layer does not use them.

Protocol: ``multiattn.protocols.Output``. In a recipe: ``decoder: {output: my-plugin}``.
Letters: F features, E embedding, V vocabulary, S slots.
"""

from collections.abc import Sequence

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn


class MyPluginOutput(nn.Module):
    """cap · tanh(scores / cap): a linear layer that cannot become arbitrarily certain."""

    def __init__(
        self, features_dim: int, embedding: nn.Embedding, *, cap: PositiveFloat = 30.0
    ) -> None:
        super().__init__()
        self.cap = cap
        self.vocabulary = nn.Linear(features_dim, embedding.num_embeddings)

    def forward(
        self, features: Tensor, embedded: Tensor, copies: Sequence[tuple[Tensor, Tensor]] = ()
    ) -> Tensor:
        """Features (…, F) and the embedded previous word (…, E) -> scores (…, V)."""
        return self.cap * torch.tanh(self.vocabulary(features) / self.cap)
