"""How an LSTM begins: by its formulas, and loud enough to be learned from."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from multiattn.engine.bilstm import bidirectional, initialise_lstm, one_direction


@pytest.mark.parametrize("kind", [nn.LSTM, nn.LSTMCell])
def test_every_gate_begins_as_its_paper_says(kind):
    parts = dict(initialise_lstm(kind(48, 32)).named_parameters())
    inputs, recurrent, *biases = parts.values()
    for gate in inputs.chunk(4):
        assert gate.abs().max() <= math.sqrt(6 / (48 + 32))
        assert gate.std().item() == pytest.approx(math.sqrt(2 / (48 + 32)), rel=0.1)
    for gate in recurrent.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(32), atol=1e-5, rtol=0)
    enter, keep, candidate, show = sum(biases).chunk(4)
    assert (keep == 1).all()
    assert not torch.cat([enter, candidate, show]).any()


@torch.no_grad()
def test_three_layers_still_pass_on_what_changes_in_time():
    values, lengths = torch.randn(4, 50, 64), torch.full((4,), 50)
    for layer in range(3):
        width = 64 if layer == 0 else 512
        values = bidirectional(
            values, lengths, one_direction(width, 256), one_direction(width, 256)
        )
    assert values.std(1).mean() > 0.05  # 0.006 as PyTorch draws them
