"""Normalised features against means and variances over the real frames."""

from __future__ import annotations

import torch
from torch import Tensor

from multiattn.layers import length_mask
from multiattn_audio.encoder.feature_normalisation import (
    GlobalNormalisation,
    UtteranceNormalisation,
)

EXACT = {"rtol": 0.0, "atol": 1e-9}


def test_utterance_normalisation_uses_the_mean_and_variance_of_each_utterance():
    features, lengths = torch.randn(3, 9, 5) * 4 + 7, torch.tensor([9, 4, 1])
    normalised = UtteranceNormalisation(5)(features, lengths)
    for row, length in enumerate(lengths.tolist()):
        own = features[row, :length]
        expected = (own - own.mean(0)) / (own.var(0, correction=0) + 1e-5).sqrt()
        torch.testing.assert_close(normalised[row, :length], expected, **EXACT)
        assert not normalised[row, length:].any()


def test_global_statistics_cover_all_real_frames_seen_in_training():
    module, seen = GlobalNormalisation(5), []
    for size in (1, 4, 3):
        features = torch.randn(size, 9, 5) * torch.arange(1, 6) + 30
        lengths = torch.randint(1, 10, (size,))
        normalised = module.train()(features, lengths)
        seen += [row[:length] for row, length in zip(features, lengths.tolist(), strict=True)]
    frames = torch.cat(seen)
    assert module.frames == len(frames)
    torch.testing.assert_close(module.mean, frames.mean(0), **EXACT)
    torch.testing.assert_close(module.variance, frames.var(0, correction=0), **EXACT)
    expected = (seen[-1] - frames.mean(0)) / (frames.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(normalised[-1, : len(seen[-1])], expected, **EXACT)
    assert not normalised[-1, len(seen[-1]) :].any()


def test_global_statistics_are_fixed_outside_training_and_resume_from_a_checkpoint():
    first, second = GlobalNormalisation(5), GlobalNormalisation(5)
    batches = [torch.randn(2, 9, 5) + 3 for _ in range(3)]
    lengths = torch.tensor([9, 6])
    for features in batches:
        first(features, lengths)
    before = {name: buffer.clone() for name, buffer in first.state_dict().items()}
    first.eval()(batches[0], lengths)
    assert all(torch.equal(before[name], buffer) for name, buffer in first.state_dict().items())

    for features in batches[:2]:
        second(features, lengths)
    third = GlobalNormalisation(5)
    third.load_state_dict(second.state_dict())
    third(batches[2], lengths)
    assert all(torch.equal(before[name], buffer) for name, buffer in third.state_dict().items())


def test_global_statistics_cover_all_processes(monkeypatch):
    local, remote = torch.randn(2, 9, 5) + 3, torch.randn(3, 9, 5) - 1
    local_lengths, remote_lengths = torch.tensor([9, 4]), torch.tensor([2, 9, 5])
    module = GlobalNormalisation(
        5
    )  # the mean is still 0, so nothing is subtracted from its first batch

    def add_remote_sums(sums: Tensor) -> None:
        frames = remote[length_mask(remote_lengths, 9)]
        count = torch.full((5,), float(len(frames)))
        sums.add_(torch.stack([count, frames.sum(0), frames.square().sum(0)]))

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", add_remote_sums)
    module(local, local_lengths)
    frames = torch.cat(
        [local[length_mask(local_lengths, 9)], remote[length_mask(remote_lengths, 9)]]
    )
    assert module.frames == len(frames)
    torch.testing.assert_close(module.mean, frames.mean(0), **EXACT)
    torch.testing.assert_close(module.variance, frames.var(0, correction=0), **EXACT)
