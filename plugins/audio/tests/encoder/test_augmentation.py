"""SpecAugment: where masks lie and how wide they are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from multiattn.layers import length_mask
from multiattn_audio.encoder.augmentation import SpecAugment, spec_augment


def masked_cells(
    settings: SpecAugment, lengths: Tensor, frames: int = 60, bands: int = 40
) -> Tensor:
    """Which cells (B, F, bands) are masked."""
    return spec_augment(torch.ones(len(lengths), frames, bands), lengths, settings) == 0


def count_spans(mask: Tensor) -> int:
    """How many separate spans a mask (X,) has."""
    return int((mask & ~functional.pad(mask, (1, 0))[:-1]).sum())


def test_time_masks_are_spans_of_at_most_a_share_of_each_utterance():
    lengths = torch.tensor([60, 20, 1] * 200)
    settings = SpecAugment(frequency_masks=0, time_masks=1, time_share=0.25)
    masked = masked_cells(settings, lengths)
    assert torch.equal(masked.any(2), masked.all(2))
    times = masked.all(2)  # (B, F)
    widths = times.sum(1)
    assert all(count_spans(row) <= 1 for row in times)
    assert (widths <= 0.25 * lengths).all()
    assert set(widths[lengths == 60].tolist()) == set(range(16))
    assert set(widths[lengths == 20].tolist()) == set(range(6))
    assert not (times & ~length_mask(lengths, 60)).any()
    assert times[lengths == 20].any(0)[:20].all()


def test_frequency_masks_cover_bands_over_all_frames():
    settings = SpecAugment(frequency_masks=1, frequency_bands=10, time_masks=0)
    masked = masked_cells(settings, torch.full((200,), 60))
    assert torch.equal(masked.any(1), masked.all(1))
    widths = masked.all(1).sum(1)
    assert set(widths.tolist()) == set(range(10))
    assert all(count_spans(row) <= 1 for row in masked.all(1))
