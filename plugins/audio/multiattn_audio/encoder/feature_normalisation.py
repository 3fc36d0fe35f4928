"""Features of mean 0 and variance 1 in every band: by their own utterance, or by all of training.

    normalise(features (B, F, bands), lengths (B,)) -> (B, F, bands), zero in padded frames

Letters: B batch, F frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from multiattn.memory import length_mask

FLOOR = 1e-5  # of a variance: a band that never changes, as in silence, stays 0


class PerUtterance(nn.Module):
    """By the mean and variance of each utterance: loudness and microphone cancel out."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.bands = bands

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        padding = ~length_mask(lengths, features.shape[1]).unsqueeze(2)  # (B, F, 1)
        count = lengths.view(-1, 1, 1)
        mean = features.masked_fill(padding, 0.0).sum(1, keepdim=True) / count  # (B, 1, bands)
        centred = (features - mean).masked_fill(padding, 0.0)
        variance = centred.square().sum(1, keepdim=True) / count
        return centred * torch.rsqrt(variance + FLOOR)


class Global(nn.Module):
    """By the mean and variance of every frame seen in training so far, over all processes.

    They are buffers, so a checkpoint holds them and a run that continues goes on counting. Each
    training batch counts before it is normalised; before the first one features stay as they are.
    """

    frames: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("frames", torch.zeros((), dtype=torch.long))
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("variance", torch.ones(bands))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        padding = ~length_mask(lengths, features.shape[1]).unsqueeze(2)  # (B, F, 1)
        if self.training:
            self._count((features - self.mean).masked_fill(padding, 0.0), lengths)
        scaled = (features - self.mean) * torch.rsqrt(self.variance + FLOOR)
        return scaled.masked_fill(padding, 0.0)

    @torch.no_grad()
    def _count(self, centred: Tensor, lengths: Tensor) -> None:
        """Merge a batch, given less the mean so far (Chan et al. 1979, equations 2.1)."""
        sums = torch.stack(
            [
                lengths.sum().to(centred.dtype).expand(centred.shape[2]),
                centred.sum((0, 1)),
                centred.square().sum((0, 1)),
            ]
        )  # (3, bands)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(sums)
        count, total, squares = sums
        share = count / (self.frames + count)  # of the batch in everything
        moved = total / count
        spread = squares / count - moved.square()
        before = (1 - share) * self.variance * (self.frames > 0)
        self.variance.copy_(before + share * (spread + (1 - share) * moved.square()))
        self.mean.add_(share * moved)
        self.frames.add_(count[0].round().long())
