"""Bidirectional layers against ``nn.LSTM`` over packed sequences, and the groups they run in."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from multiattn.engine.bilstm import (
    bidirectional,
    encode_in_groups,
    final_states,
    one_direction,
    similar_lengths,
)
from multiattn.engine.memory import length_mask

EXACT = {"rtol": 0.0, "atol": 1e-12}


def test_a_layer_is_the_librarys_over_packed_sequences_whatever_stands_in_padding():
    torch.manual_seed(3)
    lengths = torch.tensor([6, 1, 4])
    values = torch.randn(3, 6, 5, dtype=torch.float64)
    ahead, back = one_direction(5, 4).double(), one_direction(5, 4).double()
    library = nn.LSTM(5, 4, bidirectional=True, batch_first=True).double()
    reverse = {f"{name}_reverse": weight for name, weight in back.state_dict().items()}
    library.load_state_dict(dict(ahead.state_dict()) | reverse)
    outputs, (states, _) = library(
        pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
    )
    expected, _ = pad_packed_sequence(outputs, batch_first=True)
    found = bidirectional(values, lengths, ahead, back)
    torch.testing.assert_close(found, expected, **EXACT)
    torch.testing.assert_close(final_states(found, lengths), torch.cat([*states], 1), **EXACT)
    assert not found[~length_mask(lengths, 6)].any()


def test_rows_are_grouped_where_that_saves_slots_and_every_row_is_in_one_group():
    groups = similar_lengths(torch.tensor([1 + index % 20 for index in range(70)]))
    assert torch.cat(groups).sort().values.tolist() == list(range(70))
    assert similar_lengths(torch.full((64,), 9)) == []
    assert similar_lengths(torch.tensor([1, 30] * 8)) == []


@pytest.mark.parametrize("extra", [0, 3])
def test_groups_come_back_in_the_order_of_the_batch_and_no_longer_than_they_are(extra):
    lengths = torch.tensor([1 + (7 * index) % 20 for index in range(48)])
    inputs = torch.rand(48, 20 + extra, 2) + 1
    inputs = inputs * length_mask(lengths, 20 + extra).unsqueeze(2)
    sizes = []

    def encode(rows, counts):
        sizes.append(rows.shape[1])
        return rows, rows.sum(1)

    values, final = encode_in_groups(encode, inputs, lengths)
    assert sizes == sorted(sizes)
    assert len(sizes) == 3
    assert sizes[0] < sizes[-1] == 20
    assert torch.equal(values, inputs[:, :20])
    torch.testing.assert_close(final, inputs.sum(1))
