"""Nothing is wrong with this one: what its protocol asks for is set in the constructor."""

from dataclasses import dataclass

import torch
from torch import nn

from multiattn import Encoder, Memory, Tokens, hookimpl
from multiattn.layers import length_mask


@hookimpl
def multiattn_components():
    for name, target in (("frozen", "FrozenInInit"), ("features", "FeaturesInInit")):
        yield Encoder(
            name=f"{name}-in-init",
            target=f"set_in_init:{target}",
            summary="is frozen",
            consumes="numbers",
        )


@dataclass(frozen=True)
class NumbersSpec:
    channels: int = 3


class FrozenInInit(nn.Module):
    """Has methods for its features; says in the constructor that they are frozen."""

    def __init__(self, input_spec: NumbersSpec) -> None:
        super().__init__()
        self.frozen = True
        self.feature_settings = {"channels": input_spec.channels}
        self.out_dim, self.channels = 5, input_spec.channels
        self.linear = nn.Linear(input_spec.channels, 5)

    def features(self, inputs, lengths):
        return torch.cat([inputs, length_mask(lengths, inputs.size(1)).unsqueeze(2)], 2)

    def forward_features(self, features):
        mask = features[..., -1] > 0
        return Memory(self.linear(features[..., :-1]) * mask.unsqueeze(2), mask, Tokens())

    def forward(self, inputs, lengths):
        return self.forward_features(self.features(inputs, lengths))

    def example_inputs(self):
        return torch.randn(2, 6, self.channels), torch.tensor([6, 4])


class Paired(nn.Module):
    def forward(self, inputs, lengths):
        return FrozenInInit.features(self, inputs, lengths)


class FeaturesInInit(nn.Module):
    """Has a submodule for its features, as most networks of torchvision do."""

    forward = FrozenInInit.forward
    forward_features = FrozenInInit.forward_features
    example_inputs = FrozenInInit.example_inputs

    def __init__(self, input_spec: NumbersSpec) -> None:
        super().__init__()
        self.frozen, self.features = True, Paired()
        self.out_dim, self.channels = 5, input_spec.channels
        self.linear = nn.Linear(input_spec.channels, 5)
