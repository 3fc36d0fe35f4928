"""Bidirectional LSTM over ids (Bahdanau et al. 2015, A.2.1; LSTM cells). It never sees a string.

Letters: B batch, S slots (ids of a text), E embedding width, H width of one direction.
"""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from multiattn.memory import Memory, Tokens, length_mask
from multiattn.settings import Probability
from multiattn.tokenizer import PAD, UNK
from multiattn_text.reader import TextSpec

NOT_COPYABLE = -1
GROUP_ROWS = 16  # fewer rows make slow matrix products


class Lstm(nn.Module):
    """Embedding and ``layers`` bidirectional LSTM layers.

    Equal to ``nn.LSTM(bidirectional=True)`` over packed sequences, with these weights, but the
    batch is never packed, which is slow on a CPU: the backward direction is a
    forward LSTM over rows that were each turned round within their own length, so that padding
    comes last in both directions and no real slot ever follows it.

    dropout: on the embeddings, between layers, and on the outputs of the last layer; not on the
        final states.
    """

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
        self.forwards = nn.ModuleList(_direction(width, hidden_dim) for width in widths)
        self.backwards = nn.ModuleList(_direction(width, hidden_dim) for width in widths)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode ids (B, S) of these lengths (B,), each at least 1.

        values: (B, S, 2H), forward then backward. summary: (B, 2H), the state after the last id of
        the forward and after the first id of the backward direction, of the last layer.
        symbols: the ids themselves where the tokenizer is the target's.
        """
        groups = _groups(lengths)
        if groups:
            values, summary = self._encode_groups(inputs, lengths, groups)
        else:
            values, summary = self._encode(inputs, lengths)
        mask = length_mask(lengths, inputs.shape[1])  # (B, S)
        return Memory(values, mask, Tokens(), summary=summary, symbols=self._symbols(inputs))

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Make a batch of two texts, of five ids and of three."""
        inputs = torch.randint(UNK, self.embedding.num_embeddings, (2, 5))  # (B, S)
        lengths = torch.tensor([5, 3])
        return inputs.masked_fill(~length_mask(lengths, 5), PAD), lengths

    def _encode(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode rows that share a call: values (B, S, 2H), final states (B, 2H)."""
        mask = length_mask(lengths, inputs.shape[1])  # (B, S)
        turned = _turned(mask, lengths)
        values = self.embedding(inputs)  # (B, S, E)
        for forward_lstm, backward_lstm in zip(self.forwards, self.backwards, strict=True):
            values = self.dropout(values)
            ahead, _ = forward_lstm(values)  # (B, S, H)
            back, _ = backward_lstm(_gathered(values, turned))
            values = torch.cat([ahead, _gathered(back, turned)], dim=2)  # (B, S, 2H)
        width = values.shape[2] // 2
        rows = torch.arange(len(lengths), device=lengths.device)
        final = torch.cat([values[rows, lengths - 1, :width], values[:, 0, width:]], dim=1)
        return self.dropout(values).masked_fill(~mask.unsqueeze(2), 0.0), final

    def _encode_groups(
        self, inputs: Tensor, lengths: Tensor, groups: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Encode as ``_encode`` does, each group of rows no further than its longest."""
        parts = []
        for rows in groups:
            longest = int(lengths[rows].max())
            values, final = self._encode(inputs[rows, :longest], lengths[rows])
            parts.append((F.pad(values, (0, 0, 0, inputs.shape[1] - longest)), final))
        place = torch.cat(groups).argsort()  # (B,), where each row went
        values, final = (
            torch.cat(part).index_select(0, place) for part in zip(*parts, strict=True)
        )
        return values, final

    def _symbols(self, inputs: Tensor) -> Tensor | None:
        """Ids that a decoder may copy; padding, end and unknown say nothing."""
        return torch.where(inputs > UNK, inputs, NOT_COPYABLE) if self._joint else None


def _direction(width: int, hidden_dim: int) -> nn.LSTM:
    return nn.LSTM(width, hidden_dim, batch_first=True)


def _groups(lengths: Tensor) -> list[Tensor]:
    """Split a batch into rows of similar length, where that saves a tenth of its slots; else none.

    On a CPU padding costs as much as text, and four calls cost at most a tenth more than one of the
    same size. A GPU is better off with one large call.
    """
    count = len(lengths) // GROUP_ROWS
    if lengths.device.type == "cpu" and count > 1:
        groups = list(lengths.argsort(stable=True).chunk(count))
        slots = sum(len(rows) * int(lengths[rows].max()) for rows in groups)
        if slots <= 0.9 * len(lengths) * int(lengths.max()):
            return groups
    return []


def _turned(mask: Tensor, lengths: Tensor) -> Tensor:
    """Positions that turn each row round within its length and leave padding where it is: (B, S).

    Turning twice is not turning.
    """
    positions = torch.arange(mask.shape[1], device=mask.device)  # (S,)
    return torch.where(mask, lengths.unsqueeze(1) - 1 - positions, positions)  # (B, S)


def _gathered(values: Tensor, positions: Tensor) -> Tensor:
    """Take from each row of ``values`` (B, S, D) its slots at ``positions`` (B, S)."""
    return values.gather(1, positions.unsqueeze(2).expand(-1, -1, values.shape[2]))
