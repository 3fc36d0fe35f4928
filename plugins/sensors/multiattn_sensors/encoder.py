"""Encodes a series as a memory: strided convolutions, then a bidirectional LSTM.

Letters: B batch, L samples, C channels, S slots, H width of one direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from multiattn import Memory, Probability
from multiattn.layers import (
    bidirectional,
    encode_in_groups,
    final_states,
    length_mask,
    one_direction,
)
from multiattn_sensors.reader import SeriesSpec


@dataclass(frozen=True)
class SeriesLayout:
    """One slot per ``samples_per_slot`` samples. Renderers are found by ``kind``."""

    samples_per_slot: int
    sample_rate_hz: float
    channels: tuple[str, ...]
    kind: str = "series"


class SeriesBiLSTM(nn.Module):
    """Convolutions of three samples, each of which halves the length; a bidirectional LSTM.

    samples_per_slot: one convolution for 2, two for 4, three for 8, four for 16.
    hidden_dim: width of the convolutions and of each direction of the LSTM.
    dropout: on the inputs of the LSTM and on the slots, not on the final states.
    """

    any_length = True

    def __init__(
        self,
        input_spec: SeriesSpec,
        *,
        samples_per_slot: Literal[2, 4, 8, 16] = 4,
        hidden_dim: PositiveInt = 128,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.channels = len(input_spec.channels)
        self.layout = SeriesLayout(samples_per_slot, input_spec.sample_rate_hz, input_spec.channels)
        self.out_dim = self.summary_dim = 2 * hidden_dim
        widths = [self.channels] + [hidden_dim] * (samples_per_slot.bit_length() - 2)
        self.convolutions: Any = nn.ModuleList(
            nn.Conv1d(width, hidden_dim, 3, stride=2, padding=1) for width in widths
        )
        self.norm = nn.LayerNorm(hidden_dim)
        self.dropout = nn.Dropout(dropout)
        self.ahead = one_direction(hidden_dim, hidden_dim)
        self.back = one_direction(hidden_dim, hidden_dim)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode series (B, L, C), zero past their lengths (B,), each at least 1.

        values: (B, S, 2H). summary: (B, 2H), the final state of each direction.
        """
        values, summary = encode_in_groups(self._encode, inputs, lengths)
        mask = length_mask(self._slots(lengths), values.shape[1])
        return Memory(values, mask, self.layout, summary)

    def slots(self, size: int) -> int:
        """Count the slots of a series of ``size`` samples."""
        return int(self._slots(torch.tensor(size)))

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Make a batch of two series of noise, of 37 and 20 samples."""
        lengths = torch.tensor([37, 20])
        mask = length_mask(lengths, 37).unsqueeze(2)  # (B, L, 1)
        return torch.randn(2, 37, self.channels).masked_fill(~mask, 0.0), lengths

    def _slots(self, lengths: Tensor) -> Tensor:
        return -(-lengths // self.layout.samples_per_slot)  # rounded up

    def _encode(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode one group of series: slots (B, S, 2H), final states (B, 2H)."""
        values = inputs.transpose(1, 2)  # (B, C, L)
        for convolution in self.convolutions:
            values, lengths = torch.relu(convolution(values)), (lengths + 1) // 2  # (B, H, L / 2)
            mask = length_mask(lengths, values.shape[2]).unsqueeze(1)  # (B, 1, L / 2)
            values = values.masked_fill(~mask, 0.0)
        values = self.dropout(self.norm(values.transpose(1, 2)))  # (B, S, H)
        states = bidirectional(values, lengths, self.ahead, self.back)  # (B, S, 2H)
        return self.dropout(states), final_states(states, lengths)
