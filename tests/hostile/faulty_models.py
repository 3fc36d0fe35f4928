"""Encoders, attentions, objectives and scorers, each wrong in one way; two are right."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from multiattn import (
    PAD,
    Attention,
    Encoder,
    Memory,
    Objective,
    Reader,
    Scorer,
    Tokens,
    UserError,
    hookimpl,
)
from multiattn.engine.attention import Additive
from multiattn.layers import length_mask
from multiattn.search.scorers import LengthReward
from multiattn.training.objectives import CrossEntropy

ENCODERS = ("Frozen", "Halving", "Normed", "Unequal", "Learning", "Dropping", "Bound", "Peeking")
ENCODERS += ("Uncounted", "Miscounted")
OTHERS = {
    Attention: ("NormedKeys", "BoundKeys"),
    Objective: ("Detached", "Padded", "Miscounting"),
    Scorer: ("Competing",),
}


@hookimpl
def multiattn_components():
    yield Reader(
        name="numbers", target="faulty_models:Numbers", summary="reads", produces="numbers"
    )
    for name in ENCODERS:
        target = f"faulty_models:{name}"
        yield Encoder(name=name.lower(), target=target, summary="encodes", consumes="numbers")
    for record, names in OTHERS.items():
        for name in names:
            yield record(name=name.lower(), target=f"faulty_models:{name}", summary="is wrong")


@dataclass(frozen=True)
class NumbersSpec:
    channels: int = 3


class Numbers:
    """Reads as many rows of noise as the value says, and measures twice as many."""

    random = False
    spec = NumbersSpec()

    def example_values(self, folder):
        return ["4", "9", "30"]

    def rows(self, value):
        if not value.isascii() or not value.isdigit():
            raise UserError(f"expected a number, got {value!r}; write one")
        return int(value)

    def measure(self, value):
        return 2 * self.rows(value)

    def read(self, value, generator=None):
        return np.random.default_rng(0).standard_normal((self.rows(value), 3))

    def collate(self, items):
        padded = nn.utils.rnn.pad_sequence([torch.tensor(item) for item in items], True)
        return padded, torch.tensor([len(item) for item in items])

    def labels(self, value):
        return []


class Frozen(nn.Module):
    """Right: a frozen layer, then one that is trained."""

    def __init__(self, input_spec: NumbersSpec) -> None:
        super().__init__()
        self.frozen = True
        self.out_dim, self.channels = 5, input_spec.channels
        self.first = nn.Linear(self.channels, 6).requires_grad_(False)
        self.second = nn.Linear(6, 5)

    def features(self, inputs, lengths):
        mask = length_mask(lengths, inputs.size(1)).unsqueeze(2)
        return torch.cat([torch.tanh(self.first(inputs)), mask], 2)

    def forward_features(self, features):
        mask = features[..., -1] > 0
        return Memory(self.second(features[..., :-1]) * mask.unsqueeze(2), mask, Tokens())

    def forward(self, inputs, lengths):
        return self.forward_features(self.features(inputs, lengths))

    def example_inputs(self):
        return torch.randn(3, 6, self.channels), torch.tensor([6, 2, 4])


class Normed(Frozen):
    """Normalises by the batch, with running statistics."""

    def __init__(self, input_spec: NumbersSpec) -> None:
        super().__init__(input_spec)
        self.norm = nn.BatchNorm1d(5)

    def forward_features(self, features):
        memory = super().forward_features(features)
        normed = self.norm(memory.values.transpose(1, 2)).transpose(1, 2)
        return replace(memory, values=normed * memory.mask.unsqueeze(2))


class Unequal(Frozen):
    """Scales what was not cached."""

    def forward(self, inputs, lengths):
        return self.forward_features(torch.cat([2 * self.features(inputs, lengths)], 2))


class Learning(Frozen):
    """Says that it is frozen, and trains its first layer."""

    def __init__(self, input_spec: NumbersSpec) -> None:
        super().__init__(input_spec)
        self.first.requires_grad_(True)


class Dropping(Frozen):
    """Says that it is frozen, and drops out."""

    def features(self, inputs, lengths):
        return super().features(nn.functional.dropout(inputs, 0.05, self.training), lengths)


class Bound(Frozen):
    """Adds a constant that stays on the CPU."""

    def forward_features(self, features):
        memory = super().forward_features(features)
        shifted = memory.values + torch.ones(5, dtype=memory.values.dtype)
        return replace(memory, values=shifted * memory.mask.unsqueeze(2))


class Peeking(Frozen):
    """Looks at a value on the way, which is allowed."""

    def forward(self, inputs, lengths):
        assert int(lengths.max()) > 0
        return super().forward(inputs, lengths)


class Shortened(nn.Module):
    """One slot for each two rows."""

    def __init__(self, input_spec: NumbersSpec) -> None:
        super().__init__()
        self.out_dim, self.channels = 5, input_spec.channels
        self.linear = nn.Linear(self.channels, 5)

    def forward(self, inputs, lengths):
        kept = inputs[:, ::2]
        mask = length_mask((lengths + 1) // 2, kept.size(1))
        return Memory(self.linear(kept) * mask.unsqueeze(2), mask, Tokens())

    example_inputs = Frozen.example_inputs


class Halving(Shortened):
    """Right: counts its slots from what the reader measures."""

    def __init__(self, input_spec: NumbersSpec) -> None:
        super().__init__(input_spec)

    def slots(self, size):
        return (size // 2 + 1) // 2


class Uncounted(Shortened):
    def __init__(self, input_spec: NumbersSpec) -> None:
        super().__init__(input_spec)


class Miscounted(Halving):
    def __init__(self, input_spec: NumbersSpec) -> None:
        super().__init__(input_spec)

    def slots(self, size):
        return size // 8


class NormedKeys(Additive):
    """Normalises a memory by the batch."""

    def __init__(self, query_dim: int, memory_dim: int) -> None:
        super().__init__(query_dim, memory_dim, dim=4)
        self.norm = nn.BatchNorm1d(memory_dim, affine=False)

    def prepare(self, memory, value_projection=None):
        values = self.norm(memory.values.transpose(1, 2)).transpose(1, 2)
        values = values * memory.mask.unsqueeze(2)
        return super().prepare(replace(memory, values=values), value_projection)


class BoundKeys(Additive):
    """Scales queries by a constant that stays on the CPU."""

    def __init__(self, query_dim: int, memory_dim: int) -> None:
        super().__init__(query_dim, memory_dim, dim=4)

    def forward(self, query, keys, history):
        return super().forward(query * torch.ones(query.size(2), dtype=query.dtype), keys, history)


class Detached(CrossEntropy):
    def __init__(self) -> None:
        super().__init__()

    def loss(self, model, batch, memories, output):
        total, count = super().loss(model, batch, memories, output)
        return total.detach(), count


class Padded(CrossEntropy):
    """Adds something for every token of padding."""

    def __init__(self) -> None:
        super().__init__()

    def loss(self, model, batch, memories, output):
        total, count = super().loss(model, batch, memories, output)
        return total + (batch.targets.tokens == PAD).sum(), count


class Miscounting(CrossEntropy):
    """Divides by the inputs without saying so."""

    def __init__(self) -> None:
        super().__init__()

    def loss(self, model, batch, memories, output):
        total, _ = super().loss(model, batch, memories, output)
        return total, torch.tensor(float(batch.size))


class Competing(LengthReward):
    """Rewards what has more attention on its first slot than the others."""

    ceiling = float("inf")

    def score(self, tokens, weights, state, shared):
        first = weights["source"][..., :1]  # (B, N, 1)
        return first - first.mean(1, keepdim=True), None
