"""Features normalised to mean 0 and variance 1 in every band, per utterance or globally.

    normalise(features (B, F, bands), lengths (B,)) -> (B, F, bands), zero in padded frames

Letters: B batch, F frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from multiattn.layers import length_mask

VARIANCE_FLOOR = 1e-5  # keeps a band that never changes, as in silence, at 0


class UtteranceNormalisation(nn.Module):
    """Uses each utterance's own mean and variance, which cancels out loudness and microphone."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.bands = bands

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        padding = ~length_mask(lengths, features.shape[1]).unsqueeze(2)  # (B, F, 1)
        count = lengths.view(-1, 1, 1)
        mean = features.masked_fill(padding, 0.0).sum(1, keepdim=True) / count  # (B, 1, bands)
        centred = (features - mean).masked_fill(padding, 0.0)
        variance = centred.square().sum(1, keepdim=True) / count
        return centred * torch.rsqrt(variance + VARIANCE_FLOOR)


class GlobalNormalisation(nn.Module):
    """Uses the mean and variance of every frame seen in training so far, over all processes.

    These statistics are buffers, so a checkpoint holds them and a resumed run goes on updating
    them. Each training batch updates them before it is normalised; until the first update they are
    mean 0 and variance 1.
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
            self._update_statistics((features - self.mean).masked_fill(padding, 0.0), lengths)
        scaled = (features - self.mean) * torch.rsqrt(self.variance + VARIANCE_FLOOR)
        return scaled.masked_fill(padding, 0.0)

    @torch.no_grad()
    def _update_statistics(self, centred: Tensor, lengths: Tensor) -> None:
        """Merge a batch from which the mean so far is subtracted (Chan et al. 1979, equations 2.1).

        centred: (B, F, bands), zero in padded frames.
        """
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
        batch_share = count / (self.frames + count)  # of all frames so far
        mean_shift = total / count
        batch_variance = squares / count - mean_shift.square()
        old_variance = (1 - batch_share) * self.variance * (self.frames > 0)
        between = (1 - batch_share) * mean_shift.square()
        self.variance.copy_(old_variance + batch_share * (batch_variance + between))
        self.mean.add_(batch_share * mean_shift)
        self.frames.add_(count[0].round().long())
