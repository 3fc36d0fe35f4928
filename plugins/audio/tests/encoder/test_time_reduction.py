"""Time reduction of a padded batch against each row alone."""

from __future__ import annotations

import torch

from multiattn.layers import length_mask
from multiattn_audio.encoder.time_reduction import (
    FrameConvolutions,
    PlaneConvolutions,
    concatenate_pairs,
)

EXACT = {"rtol": 0.0, "atol": 1e-9}


def test_convolutions_of_a_batch_equal_those_of_each_row_alone():
    for module in (PlaneConvolutions(8, 2), FrameConvolutions(8, 2, 6)):
        values, lengths = torch.randn(4, 11, 8), torch.tensor([11, 8, 5, 1])
        values = values.masked_fill(~length_mask(lengths, 11).unsqueeze(2), 0.0)
        reduced, counts = module(values, lengths)
        assert counts.tolist() == [3, 2, 2, 1]
        assert reduced.shape == (4, 3, module.out_dim)
        for row, length in enumerate(lengths.tolist()):
            own = values[row : row + 1, :length]
            own = own.unsqueeze(1) if module.convolutions[0].weight.dim() == 4 else own.mT
            for convolution in module.convolutions:
                own = convolution(own).relu()
            own = own.transpose(1, 2).flatten(2) if own.dim() == 4 else own.mT
            torch.testing.assert_close(reduced[row, : counts[row]], module.norm(own)[0], **EXACT)
            assert not reduced[row, counts[row] :].any()


def test_neighbouring_slots_are_concatenated():
    values = torch.arange(1.0, 11).view(1, 5, 2)
    joined, lengths = concatenate_pairs(values, torch.tensor([5]))
    assert joined.tolist() == [[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 0, 0]]]
    assert lengths.tolist() == [3]
