"""SpecAugment: mask random bands and time spans in training.

Park et al. 2019 (arXiv:1904.08779). Letters: B batch, F frames.
"""

from __future__ import annotations

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor
from torchaudio.functional import mask_along_axis_iid

from multiattn import Probability, Strict
from multiattn.layers import length_mask


class SpecAugment(Strict):
    """How many masks of each kind an utterance gets, and how wide they may be.

    The width of a mask is drawn uniformly from 0 to its maximum: ``frequency_bands`` for frequency
    masks and ``time_share`` of the utterance for time masks (the adaptive size of Park et al. 2020,
    arXiv:1912.05533), which keeps short utterances intelligible. 0 masks of both kinds turn
    SpecAugment off.
    """

    frequency_masks: NonNegativeInt = 2
    frequency_bands: PositiveInt = 27
    time_masks: NonNegativeInt = 2
    time_share: Probability = 0.1


def spec_augment(features: Tensor, lengths: Tensor, settings: SpecAugment) -> Tensor:
    """Mask features (B, F, bands) of these lengths (B,) with 0, their mean: (B, F, bands)."""
    for _ in range(settings.frequency_masks):
        planes = features.unsqueeze(1)  # (B, 1, F, bands)
        features = mask_along_axis_iid(planes, settings.frequency_bands, 0.0, axis=3).squeeze(1)
    for _ in range(settings.time_masks):
        mask = _random_time_mask(lengths, settings.time_share, features.shape[1])
        features = features.masked_fill(mask.unsqueeze(2), 0.0)
    return features


def _random_time_mask(lengths: Tensor, share: float, frames: int) -> Tensor:
    """One span of frames per row, anywhere within its length: (B, F) bool.

    torchaudio's time masks assume that all rows have the same length.
    """
    draws = torch.rand(2, len(lengths), device=lengths.device)
    width = (draws[0] * ((share * lengths).floor() + 1)).long()  # (B,), 0 to the maximum
    first = (draws[1] * (lengths - width + 1)).long()
    return length_mask(first + width, frames) & ~length_mask(first, frames)
