"""SpecAugment: training hides bands and stretches of time. Park et al. 2019 (arXiv:1904.08779)."""

from __future__ import annotations

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor
from torchaudio.functional import mask_along_axis_iid

from multiattn.memory import length_mask
from multiattn.settings import Probability, Strict


class SpecAugment(Strict):
    """How many masks of each kind an utterance gets, and the widest of each.

    A time mask covers at most ``time_share`` of its own utterance (the adaptive size of Park et al.
    2020, arXiv:1912.05533), so short ones keep what they say. A width is drawn from 0 to the
    widest; with 0 masks of both kinds nothing is hidden.
    """

    frequency_masks: NonNegativeInt = 2
    frequency_bands: PositiveInt = 27
    time_masks: NonNegativeInt = 2
    time_share: Probability = 0.1


def spec_augment(features: Tensor, lengths: Tensor, settings: SpecAugment) -> Tensor:
    """Features (B, F, bands) of mean 0 and these lengths (B,), with masks of 0: (B, F, bands)."""
    for _ in range(settings.frequency_masks):
        planes = features.unsqueeze(1)  # (B, 1, F, bands)
        features = mask_along_axis_iid(planes, settings.frequency_bands, 0.0, axis=3).squeeze(1)
    for _ in range(settings.time_masks):
        hidden = _stretch(lengths, settings.time_share, features.shape[1])
        features = features.masked_fill(hidden.unsqueeze(2), 0.0)
    return features


def _stretch(lengths: Tensor, share: float, frames: int) -> Tensor:
    """One stretch of frames per row, anywhere within its length: (B, F) bool.

    torchaudio's own masks know one length for the whole batch.
    """
    draws = torch.rand(2, len(lengths), device=lengths.device)
    width = (draws[0] * ((share * lengths).floor() + 1)).long()  # (B,), 0 to the widest
    first = (draws[1] * (lengths - width + 1)).long()
    return length_mask(first + width, frames) & ~length_mask(first, frames)
