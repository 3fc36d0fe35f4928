"""What the encoders of texts and recordings share: features that differ in length, and LSTMs.

Letters: B inputs, S slots, K layers that are kept, D width of a slot, H width of one direction.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from multiattn import Memory, Probability, Strict
from multiattn.layers import (
    bidirectional,
    encode_in_groups,
    final_states,
    length_mask,
    one_direction,
)
from multiattn_huggingface.encoder import HuggingFaceEncoder

NOT_COPYABLE = -1


class BiLSTM(Strict):
    """Bidirectional LSTM layers over the slots, which a layer norm precedes.

    hidden_dim: the width of one direction. dropout: on the inputs of each layer. masks: how many
    spans of slots are masked in training, each of a width drawn from 0 to ``mask_share`` of the
    input (the time masks of SpecAugment, Park et al. 2020, arXiv:1912.05533).
    """

    hidden_dim: PositiveInt = 256
    layers: PositiveInt = 1
    dropout: Probability = 0.0
    masks: NonNegativeInt = 0
    mask_share: Probability = 0.1


class SequenceEncoder(HuggingFaceEncoder):
    """An encoder of inputs that differ in length.

    A frozen model takes one input at a time, so that the features of each are the same, to the bit,
    in any batch.
    """

    bilstm: BiLSTMLayers | None
    joined: int

    def outputs(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The layers in use, (B, S, K, D), and the slots of each input, (B,)."""
        raise NotImplementedError

    def layout(self) -> Any:
        """What a slot stands for."""
        raise NotImplementedError

    def add_bilstm(self, settings: BiLSTM | None, joined: int = 1) -> None:
        """Put these layers on the slots, ``joined`` neighbours of which become one before."""
        self.joined, self.bilstm = joined, None
        if settings is not None:
            self.bilstm = BiLSTMLayers(joined * self.out_dim, settings)
            self.out_dim = self.summary_dim = 2 * settings.hidden_dim

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode a batch of the reader's tensors with these lengths (B,)."""
        encode = self.sequence_features if self.frozen else self.outputs
        return self.forward_sequence(*encode(inputs, lengths))

    @torch.no_grad()
    def sequence_features(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs of a frozen model, rounded to float16, as ``outputs``."""
        with torch.autocast(inputs.device.type, enabled=False):
            rows = [
                self.outputs(inputs[[row], :length], lengths[[row]])[0].squeeze(0)
                for row, length in enumerate(lengths.tolist())
            ]
        slots = torch.tensor([len(row) for row in rows], device=lengths.device)
        return pad_sequence(rows, batch_first=True).half(), slots

    def forward_sequence(self, features: Tensor, lengths: Tensor) -> Memory:
        """The memory from ``outputs``, and their lengths (B,)."""
        slots, symbols = self.own_slots(features)
        mask = length_mask(lengths, slots.size(1))
        slots = slots * mask.unsqueeze(2)
        symbols = None if symbols is None else symbols.masked_fill(~mask, NOT_COPYABLE)
        if self.bilstm is None:
            summary = slots.sum(1) / lengths.unsqueeze(1)
        else:
            slots, lengths = _joined(slots, lengths, self.joined)
            slots, summary = encode_in_groups(self.bilstm, slots, lengths)
        mask = length_mask(lengths, slots.size(1))
        return Memory(self.dropout(slots), mask, self.layout(), summary, symbols)

    def own_slots(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """The slots (B, S, D) before any LSTM, and what of them can be copied (B, S)."""
        kept = features.to(self.network.dtype).transpose(1, 2)  # (B, K, S, D)
        return self.slots_of(self.mixed(kept)), None


class BiLSTMLayers(nn.Module):
    """Layer norm and bidirectional LSTM layers: (B, S, D), (B,) -> (B, S, 2H), (B, 2H).

    The second output is the last layer's final state of each direction.
    """

    def __init__(self, width: int, settings: BiLSTM) -> None:
        super().__init__()
        self.masks, self.mask_share = settings.masks, settings.mask_share
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(settings.dropout)
        widths = [width, *[2 * settings.hidden_dim] * (settings.layers - 1)]
        directions = [[one_direction(each, settings.hidden_dim) for each in widths] for _ in "<>"]
        self.forwards: Any = nn.ModuleList(directions[0])
        self.backwards: Any = nn.ModuleList(directions[1])

    def forward(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        values = self.norm(values)
        for _ in range(self.masks if self.training else 0):
            mask = _random_span(lengths, self.mask_share, values.size(1))
            values = values.masked_fill(mask.unsqueeze(2), 0.0)
        for ahead, back in zip(self.forwards, self.backwards, strict=True):
            values = bidirectional(self.dropout(values), lengths, ahead, back)  # (B, S, 2H)
        return values, final_states(values, lengths)


def _random_span(lengths: Tensor, share: float, slots: int) -> Tensor:
    """One span of slots in each input, of at most this share of its length: (B, S) bool."""
    draws = torch.rand(2, len(lengths), device=lengths.device)
    width = (draws[0] * ((share * lengths).floor() + 1)).long()  # (B,)
    first = (draws[1] * (lengths - width + 1)).long()
    return length_mask(first + width, slots) & ~length_mask(first, slots)


def _joined(values: Tensor, lengths: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Concatenate ``count`` neighbours: (B, S, D) -> (B, ⌈S / count⌉, count · D); new lengths."""
    rows, slots, width = values.shape
    values = nn.functional.pad(values, (0, 0, 0, -slots % count))
    return values.reshape(rows, -1, count * width), (lengths + count - 1) // count
