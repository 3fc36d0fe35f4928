"""The encoder against a readable version of it; slots and layout. The suite checks the rest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from multiattn_sensors.encoder import SeriesBiLSTM
from multiattn_sensors.reader import SeriesSpec

SPEC = SeriesSpec(("x", "y", "z"), 50.0)


@pytest.mark.parametrize("samples_per_slot", [2, 4, 8, 16])
def test_a_series_alone_equals_convolutions_and_the_lstm_of_torch(samples_per_slot):
    torch.manual_seed(0)
    encoder = SeriesBiLSTM(SPEC, samples_per_slot=samples_per_slot, hidden_dim=5)
    values, lengths = encoder.example_inputs()
    for row, length in enumerate(lengths.tolist()):
        series = values[[row], :length]  # (1, L, C)
        expected = series.transpose(1, 2)
        for convolution in encoder.convolutions:
            expected = torch.relu(convolution(expected))
        expected = encoder.norm(expected.transpose(1, 2))
        lstm = nn.LSTM(5, 5, batch_first=True, bidirectional=True)
        weights = dict(encoder.ahead.state_dict())
        weights |= {f"{name}_reverse": leaf for name, leaf in encoder.back.state_dict().items()}
        lstm.load_state_dict(weights)
        states, (final, _) = lstm(expected)  # (1, S, 10), (2, 1, 5)
        memory = encoder(values, lengths)
        assert int(memory.mask[row].sum()) == states.shape[1] == encoder.slots(length)
        torch.testing.assert_close(memory.values[row, : states.shape[1]], states[0])
        torch.testing.assert_close(memory.summary[row], final[:, 0].flatten())


@pytest.mark.parametrize("samples_per_slot", [2, 4, 8, 16])
def test_the_slots_of_every_length_are_counted_right(samples_per_slot):
    encoder = SeriesBiLSTM(SPEC, samples_per_slot=samples_per_slot, hidden_dim=2)
    for length in range(1, 40):
        memory = encoder(torch.zeros(1, length, 3), torch.tensor([length]))
        assert memory.mask.sum() == encoder.slots(length) == memory.values.shape[1]


def test_the_layout_tells_a_renderer_the_time_and_the_channels():
    layout = SeriesBiLSTM(SPEC, samples_per_slot=8).layout
    assert (layout.kind, layout.samples_per_slot, layout.sample_rate_hz) == ("series", 8, 50.0)
    assert layout.channels == ("x", "y", "z")
