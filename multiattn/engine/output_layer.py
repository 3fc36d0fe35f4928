"""Output layers: from the decoder's features at a step to scores over the vocabulary.

    forward(features (…, F), embedded (…, E), copies) -> scores (…, V)

``log_softmax(scores)`` gives log-probabilities; the scores are logits, or the log-probabilities of
a mixture. Leading dimensions are (B, N) in search and (M,), packed real tokens, in training.

Letters: F features, E embedding width, V vocabulary, S memory slots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol, runtime_checkable

import torch
from pydantic import NonNegativeInt
from torch import Tensor, nn

from multiattn.registry.schema import Probability, Slot

Copies = Sequence[tuple[Tensor, Tensor]]  # weights (…, S) and symbols (…, S) of copyable sources


@runtime_checkable
class Output(Protocol):
    """The target of an ``Output`` record."""

    def forward(self, features: Tensor, embedded: Tensor, copies: Copies = ()) -> Tensor:
        """Features (…, F) and the embedded previous token (…, E) -> scores (…, V)."""


def vocabulary_layer(features_dim: int, embedding: nn.Embedding, tied: bool) -> nn.Module:
    """Linear map to V scores; ``tied`` shares its weights with the embedding (Press & Wolf 2017).

    Tied weights are as wide as the embedding, so features of another width are first mapped to that
    width.
    """
    vocabulary_size, embedding_dim = embedding.weight.shape
    if not tied:
        return nn.Linear(features_dim, vocabulary_size)
    layer = nn.Linear(embedding_dim, vocabulary_size)
    layer.weight = embedding.weight
    if features_dim == embedding_dim:
        return layer
    return nn.Sequential(nn.Linear(features_dim, embedding_dim, bias=False), layer)


def at_least_float32(leaf: Tensor) -> Tensor:
    """Cast lower precisions to float32, for values that are summed over many tokens."""
    return leaf.float() if leaf.dtype.itemsize < 4 else leaf


class Linear(nn.Module):
    """Scores straight from the features. Luong et al. 2015, equation 6."""

    def __init__(
        self,
        features_dim: int,
        embedding: nn.Embedding,
        *,
        tied: bool = False,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.vocabulary = vocabulary_layer(features_dim, embedding, tied)

    def forward(self, features: Tensor, embedded: Tensor, copies: Copies = ()) -> Tensor:
        scores: Tensor = self.vocabulary(self.dropout(features))
        return scores


class Deep(nn.Module):
    """Deep output: a tanh layer over features and last word, then scores. Pascanu et al. 2014.

    ``dim`` 0 means the width of the embedding, which avoids a further map to tied weights.
    """

    def __init__(
        self,
        features_dim: int,
        embedding: nn.Embedding,
        *,
        dim: NonNegativeInt = 0,
        tied: bool = False,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        width = dim or embedding.embedding_dim
        self.from_features = nn.Linear(features_dim, width)
        self.from_word = nn.Linear(embedding.embedding_dim, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.vocabulary = vocabulary_layer(width, embedding, tied)

    def forward(self, features: Tensor, embedded: Tensor, copies: Copies = ()) -> Tensor:
        deep = torch.tanh(self.from_features(features) + self.from_word(embedded))
        scores: Tensor = self.vocabulary(self.dropout(deep))
        return scores


OutputFactory = Annotated[Callable[[int, nn.Embedding], Any], Slot("output")]


class Copy(nn.Module):
    """A mixture of generating a word and copying an attended one. See et al. 2017, equations 8-9.

    P(w) = p_write P_vocabulary(w) + (1 - p_write) Σ_{i: symbol_i = w} α_i. The mass of slots that
    cannot be copied (symbol -1) stays with the vocabulary, so P always sums to 1. Weights are
    averaged over the copyable sources that the input has. Scores are log-probabilities, with the
    probabilities clamped at the dtype's smallest normal number.
    """

    def __init__(
        self, features_dim: int, embedding: nn.Embedding, *, of: OutputFactory = Deep
    ) -> None:
        super().__init__()
        self.of = of(features_dim, embedding)
        self.write_from_features = nn.Linear(features_dim, 1)
        self.write_from_word = nn.Linear(embedding.embedding_dim, 1, bias=False)

    def forward(self, features: Tensor, embedded: Tensor, copies: Copies = ()) -> Tensor:
        scores: Tensor = self.of(features, embedded)
        if not copies:
            return scores
        written = torch.softmax(at_least_float32(scores), -1)
        gate = self.write_from_features(features) + self.write_from_word(embedded)  # (…, 1)
        present = [(weights > 0).any(-1, keepdim=True) for weights, _ in copies]
        sources = torch.stack(present).sum(0).clamp(min=1)  # (…, 1)
        p_copy = torch.sigmoid(-gate).to(written.dtype) / sources
        copied = torch.zeros_like(written)
        mass = torch.zeros_like(p_copy)
        for weights, symbols in copies:
            share = p_copy * weights.to(written.dtype) * (symbols >= 0)  # (…, S)
            copied = copied.scatter_add(-1, symbols.clamp(min=0).expand_as(share), share)
            mass = mass + share.sum(-1, keepdim=True)
        mixture = (1 - mass) * written + copied
        return mixture.clamp(min=torch.finfo(mixture.dtype).tiny).log()
