"""Encodes a series: stretches of time steps, one memory slot each, then a bidirectional LSTM.

Change the network; a slot of other meaning also needs a layout and a renderer of its own.

Protocol: ``multiattn.protocols.Encoder``. In a recipe: ``sources: {NAME: {encoder: my-plugin}}``.
Letters: B batch, L time steps, C channels, S slots, H width of one direction.
"""

from dataclasses import dataclass

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from multiattn import Memory
from multiattn.layers import bidirectional, length_mask, one_direction

from .reader import MyPluginSpec


@dataclass(frozen=True)
class MyPluginLayout:
    """What a slot stands for: ``steps`` time steps. Renderers are found by ``kind``."""

    steps: int
    kind: str = "my-plugin"


class MyPluginEncoder(nn.Module):
    """``steps``: how many time steps make a slot. ``hidden_dim``: the width H."""

    def __init__(
        self, input_spec: MyPluginSpec, *, steps: PositiveInt = 4, hidden_dim: PositiveInt = 64
    ) -> None:
        super().__init__()
        self.out_dim = 2 * hidden_dim
        self.steps, self.channels = steps, input_spec.channels
        self.layer = nn.Linear(steps * self.channels, hidden_dim)
        self.ahead = one_direction(hidden_dim, hidden_dim)
        self.back = one_direction(hidden_dim, hidden_dim)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode series (B, L, C), zero past their lengths (B,): values (B, S, 2H)."""
        missing = self.slots(inputs.size(1)) * self.steps - inputs.size(1)
        whole = F.pad(inputs, (0, 0, 0, missing))  # (B, S · steps, C)
        stretches = whole.reshape(len(whole), -1, self.steps * self.channels)  # (B, S, steps · C)
        slots = (lengths + self.steps - 1) // self.steps  # (B,)
        embedded = torch.tanh(self.layer(stretches))  # (B, S, H)
        values = bidirectional(embedded, slots, self.ahead, self.back)
        return Memory(values, length_mask(slots, values.size(1)), MyPluginLayout(self.steps))

    def slots(self, size: int) -> int:
        """Count the slots of a series of ``size`` time steps."""
        return (size + self.steps - 1) // self.steps

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Make a batch of two series, of eleven and six time steps."""
        lengths = torch.tensor([11, 6])
        mask = length_mask(lengths, 11).unsqueeze(2)  # (B, L, 1)
        return torch.randn(2, 11, self.channels) * mask, lengths
