"""An encoder with a layout of its own, a good renderer of it, a blank one, and one of no layout."""

from dataclasses import dataclass

import torch
from torch import nn

from multiattn import Encoder, Memory, Renderer, hookimpl
from multiattn.layers import length_mask


@hookimpl
def multiattn_components():
    yield Encoder(
        name="rings", target="new_layout:Rings", summary="rings of a tree", consumes="tree"
    )
    for name, layout in (("circles", "rings"), ("blank", "rings"), ("spiral", "spirals")):
        target = f"new_layout:{name.title()}"
        yield Renderer(name=name, target=target, summary="draws rings", layout=layout)


@dataclass(frozen=True)
class RingSpec:
    channels: int = 3


@dataclass(frozen=True)
class RingLayout:
    widths: tuple[float, ...]
    kind: str = "rings"


class Rings(nn.Module):
    summary_dim = 0

    def __init__(self, input_spec: RingSpec) -> None:
        super().__init__()
        self.out_dim, self.channels = 5, input_spec.channels
        self.linear = nn.Linear(input_spec.channels, 5)

    def forward(self, inputs, lengths):
        mask = length_mask(lengths, inputs.size(1))
        values = torch.tanh(self.linear(inputs)) * mask.unsqueeze(2)
        return Memory(values, mask, RingLayout((0.5,) * inputs.size(1)))

    def example_inputs(self):
        return torch.randn(2, 7, self.channels), torch.tensor([7, 4])


class Circles:
    def draw(self, figure, record):
        assert len(record.layout.widths) == record.weights.shape[1] == len(record.labels) == 7
        figure.add_subplot().plot(record.layout.widths)


class Blank:
    def draw(self, figure, record):
        pass


class Spiral(Circles):
    pass
