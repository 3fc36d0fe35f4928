"""Components that load and build, and then do not do what their kind promises."""

from dataclasses import dataclass

import torch
from torch import nn

from multiattn import (
    Aligner,
    Attention,
    Encoder,
    Memory,
    Metric,
    Normaliser,
    Renderer,
    TimedWord,
    Tokens,
    hookimpl,
)
from multiattn.engine.attention import Additive
from multiattn.layers import length_mask


@hookimpl
def multiattn_components():
    for name in ("Unmasked", "Remembering", "Idle", "Misnamed"):
        target = f"broken_contracts:{name}"
        yield Attention(name=name.lower(), target=target, summary="breaks its contract")
    for name in ("Unclean", "Neighbourly"):
        target = f"broken_contracts:{name}"
        yield Encoder(
            name=name.lower(), target=target, summary="breaks its contract", consumes="numbers"
        )
    yield Metric(
        name="contrary",
        target="broken_contracts:Contrary",
        summary="prefers what is wrong and needs torch for it",
        higher_is_better=True,
        unit="0-1",
    )
    summary = "breaks its contract"
    yield Normaliser(name="restless", target="broken_contracts:Restless", summary=summary)
    yield Aligner(
        name="backward", target="broken_contracts:Backward", summary=summary, layout="time"
    )
    yield Renderer(name="blank", target="broken_contracts:Blank", summary=summary, layout="grid")


class Unmasked(Additive):
    """Looks at padding too."""

    def __init__(self, query_dim: int, memory_dim: int) -> None:
        super().__init__(query_dim, memory_dim, dim=4)

    def prepare(self, memory, value_projection=None):
        keys = super().prepare(memory, value_projection)
        return keys._replace(mask=torch.ones_like(keys.mask))


class Remembering(Additive):
    """Keeps on itself what belongs into its history."""

    def __init__(self, query_dim: int, memory_dim: int) -> None:
        super().__init__(query_dim, memory_dim, dim=4)
        self.last = 0

    def forward(self, query, keys, history):
        query, self.last = query + self.last, query.mean().detach()
        return super().forward(query, keys, history)


class Idle(Additive):
    """Has a parameter that nothing uses."""

    def __init__(self, query_dim: int, memory_dim: int) -> None:
        super().__init__(query_dim, memory_dim, dim=4)
        self.unused = nn.Parameter(torch.zeros(3))


class Misnamed(Additive):
    """Calls what the engine supplies by other names."""

    def __init__(self, asking: int, asked: int) -> None:
        super().__init__(asking, asked, dim=4)


@dataclass(frozen=True)
class NumbersSpec:
    channels: int = 3


class Unclean(nn.Module):
    """Leaves values in padded slots."""

    summary_dim = 0

    def __init__(self, input_spec: NumbersSpec, *, dim: int = 5) -> None:
        super().__init__()
        self.out_dim = dim
        self.linear = nn.Linear(input_spec.channels, dim)
        self.channels = input_spec.channels

    def forward(self, inputs, lengths):
        mask = length_mask(lengths, inputs.size(1))
        return Memory(torch.tanh(self.linear(inputs)), mask, Tokens())

    def example_inputs(self):
        return torch.randn(3, 6, self.channels), torch.tensor([6, 2, 4])


class Neighbourly(Unclean):
    """Sees the other inputs of its batch."""

    def __init__(self, input_spec: NumbersSpec) -> None:
        super().__init__(input_spec)

    def forward(self, inputs, lengths):
        memory = super().forward(inputs - inputs.mean(), lengths)
        return Memory(memory.values * memory.mask.unsqueeze(2), memory.mask, memory.layout)


class Contrary:
    """The more words are wrong, the better."""

    def statistics(self, hypotheses, references):
        pairs = zip(hypotheses, references, strict=True)
        return torch.tensor([[float(one not in others)] for one, others in pairs]).numpy()

    def aggregate(self, sums, count):
        return {"contrary": float(sums[0]) / count}

    def signature(self):
        return "contrary"

    def details(self, hypotheses, references, ids):
        return "some are wrong"


class Restless:
    """Is never done."""

    def __call__(self, text):
        return f"{text}."

    def signature(self):
        return "restless-v1"


class Backward:
    """Gives the last word the first time."""

    def align(self, evidence):
        return [
            TimedWord(word, 5.0 - place, 6.0 - place, 0.5, "attention")
            for place, (word, _, _) in enumerate(evidence.words)
        ]


class Blank:
    """Draws nothing."""

    def draw(self, figure, record):
        pass
