"""Time reduction: strided convolutions before the LSTM, or concatenation between its layers.

    reduce(values (B, F, D), lengths (B,)) -> values (B, S, D'), lengths (B,); zero in padded slots

Each halving rounds up: S = ⌈F / 2⌉. Layer normalisation of the output (Ba et al. 2016) gives the
LSTM inputs of a suitable scale from the start.

Letters: B batch, F frames, S slots, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from multiattn.layers import length_mask


def halve_lengths(lengths: Tensor) -> Tensor:
    """Half of each length, rounded up."""
    return (lengths + 1) // 2


def initialise_for_relu(convolution: nn.Module) -> nn.Module:
    """Initialise a convolution that is followed by a ReLU, as He et al. 2015 do."""
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")  # type: ignore[arg-type]
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution


class PlaneConvolutions(nn.Module):
    """3 × 3 convolutions over time and bands, stride 2 in both, each with a ReLU.

    A spectrogram is treated as an image that may shift a little in both directions. The output is
    ``maps`` feature maps of ⌈bands / 2^halvings⌉ values per slot.
    """

    def __init__(self, bands: int, halvings: int, maps: int = 32) -> None:
        super().__init__()
        widths = [1] + [maps] * halvings
        self.convolutions: Any = nn.ModuleList(
            initialise_for_relu(nn.Conv2d(width, maps, 3, stride=2, padding=1))
            for width in widths[:-1]
        )
        self.out_dim = widths[-1] * -(-bands // 2**halvings)
        self.norm = nn.LayerNorm(self.out_dim)

    def forward(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        planes = values.unsqueeze(1)  # (B, 1, F, bands)
        for convolution in self.convolutions:
            planes, lengths = torch.relu(convolution(planes)), halve_lengths(lengths)
            mask = length_mask(lengths, planes.shape[2])  # (B, S)
            planes = planes.masked_fill(~mask[:, None, :, None], 0.0)
        normal = self.norm(planes.transpose(1, 2).flatten(2))  # (B, S, maps · bands')
        return normal.masked_fill(~length_mask(lengths, normal.shape[1]).unsqueeze(2), 0.0), lengths


class FrameConvolutions(nn.Module):
    """Convolutions of three frames, stride 2, over time alone, each with a ReLU."""

    def __init__(self, bands: int, halvings: int, channels: int) -> None:
        super().__init__()
        widths = [bands] + [channels] * halvings
        self.convolutions: Any = nn.ModuleList(
            initialise_for_relu(nn.Conv1d(width, channels, 3, stride=2, padding=1))
            for width in widths[:-1]
        )
        self.out_dim = widths[-1]
        self.norm = nn.LayerNorm(self.out_dim)

    def forward(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        values = values.transpose(1, 2)  # (B, D, F)
        for convolution in self.convolutions:
            values, lengths = torch.relu(convolution(values)), halve_lengths(lengths)
            mask = length_mask(lengths, values.shape[2])  # (B, S)
            values = values.masked_fill(~mask.unsqueeze(1), 0.0)
        normal = self.norm(values.transpose(1, 2))  # (B, S, D)
        return normal.masked_fill(~length_mask(lengths, normal.shape[1]).unsqueeze(2), 0.0), lengths


def concatenate_pairs(values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenate neighbouring slots: (B, F, D) -> (B, S, 2D). Chan et al. 2016, equation 5.

    The last slot of an odd number is concatenated with zeros.
    """
    even = functional.pad(values, (0, 0, 0, values.shape[1] % 2))
    return even.reshape(len(even), -1, 2 * even.shape[2]), halve_lengths(lengths)
