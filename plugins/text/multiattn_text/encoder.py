"""Bidirectional LSTM over token ids (Bahdanau et al. 2015, A.2.1, with LSTM cells).

Letters: B batch, S slots (ids of a text), E embedding width, H width of one direction.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from multiattn import PAD, UNK, Memory, Probability, Tokens
from multiattn.layers import (
    bidirectional,
    encode_in_groups,
    final_states,
    length_mask,
    one_direction,
)
from multiattn_text.reader import TextSpec

NOT_COPYABLE = -1


class Lstm(nn.Module):
    """Embedding and ``layers`` bidirectional LSTM layers.

    dropout: on the embeddings, between layers, and on the outputs of the last layer; not on the
        final states.
    """

    any_length = True

    def __init__(
        self,
        input_spec: TextSpec,
        *,
        embedding_dim: PositiveInt = 256,
        hidden_dim: PositiveInt = 256,
        layers: PositiveInt = 1,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.out_dim = 2 * hidden_dim
        self.summary_dim = 2 * hidden_dim
        self._joint = input_spec.joint
        self.embedding = nn.Embedding(input_spec.vocabulary_size, embedding_dim, padding_idx=PAD)
        self.dropout = nn.Dropout(dropout)
        widths = [embedding_dim, *[2 * hidden_dim] * (layers - 1)]
        self.forwards: Any = nn.ModuleList(one_direction(width, hidden_dim) for width in widths)
        self.backwards: Any = nn.ModuleList(one_direction(width, hidden_dim) for width in widths)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode ids (B, S) of the given lengths (B,), each at least 1.

        values: (B, S, 2H), forward then backward. summary: (B, 2H), the last layer's state after
        the last id (forward direction) and after the first id (backward direction).
        symbols: the ids themselves if the tokenizer is the target's, else None.
        """
        values, summary = encode_in_groups(self._encode, inputs, lengths)
        values = F.pad(values, (0, 0, 0, inputs.shape[1] - values.shape[1]))
        mask = length_mask(lengths, inputs.shape[1])  # (B, S)
        return Memory(values, mask, Tokens(), summary=summary, symbols=self._symbols(inputs))

    def slots(self, size: int) -> int:
        """Count the slots of an input of ``size`` tokens: one per token."""
        return size

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Make a batch of two texts, with five and three ids."""
        inputs = torch.randint(UNK, self.embedding.num_embeddings, (2, 5))  # (B, S)
        lengths = torch.tensor([5, 3])
        return inputs.masked_fill(~length_mask(lengths, 5), PAD), lengths

    def _encode(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode one group of texts: values (B, S, 2H), final states (B, 2H)."""
        values = self.embedding(inputs)  # (B, S, E)
        for forward, backward in zip(self.forwards, self.backwards, strict=True):
            values = bidirectional(self.dropout(values), lengths, forward, backward)  # (B, S, 2H)
        return self.dropout(values), final_states(values, lengths)

    def _symbols(self, inputs: Tensor) -> Tensor | None:
        """Ids that a decoder may copy: all but padding, end and unknown."""
        return torch.where(inputs > UNK, inputs, NOT_COPYABLE) if self._joint else None
