"""Components that keep on themselves what belongs to one input: right while there is only one."""

import torch

from multiattn import Attention, Decoder, Fusion, Recurrence, Scorer, hookimpl
from multiattn.engine.attention import Additive
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.fusion import Concat
from multiattn.engine.recurrence import Luong
from multiattn.search.scorers import LengthReward

PARTS = {
    Attention: "KeepsKeys",
    Fusion: "KeepsSources",
    Recurrence: "KeepsPrepared",
    Decoder: "KeepsShared",
    Scorer: "KeepsLoudness",
}


@hookimpl
def multiattn_components():
    for record, name in PARTS.items():
        yield record(
            name=f"keeps-{name.removeprefix('Keeps').lower()}",
            target=f"keeps_state:{name}",
            summary="keeps on itself what belongs to an input",
        )


class KeepsKeys(Additive):
    """Attends to the keys that it prepared last, where they are of the right shape."""

    def __init__(self, query_dim: int, memory_dim: int) -> None:
        super().__init__(query_dim, memory_dim, dim=4)

    def prepare(self, memory, value_projection=None):
        self.last = super().prepare(memory, value_projection)
        return self.last

    def forward(self, query, keys, history):
        same = self.last.keys.shape == keys.keys.shape
        return super().forward(query, self.last if same else keys, history)


class KeepsSources(Concat):
    """Attends to the sources that it prepared last, where there are as many inputs."""

    def __init__(self, query_dim, memories, attention) -> None:
        super().__init__(query_dim, memories, attention)

    def prepare(self, memories, value_projection=None):
        self.last = super().prepare(memories, value_projection)
        self.inputs = next(iter(memories.values())).mask.size(0)
        return self.last

    def forward(self, query, keys, history):
        return super().forward(query, self.last if query.size(0) == self.inputs else keys, history)


class KeepsPrepared(Luong):
    """Takes each step with the keys of the last batch, where there are as many inputs."""

    def __init__(self, embedding_dim: int, hidden_dim: int, fusion) -> None:
        super().__init__(embedding_dim, hidden_dim, fusion)

    def prepare(self, memories):
        self.last = super().prepare(memories)
        self.inputs = next(iter(memories.values())).mask.size(0)
        return self.last

    def forward(self, embedded, state, keys):
        same = embedded.size(0) == self.inputs
        return super().forward(embedded, state, self.last if same else keys)


class KeepsShared(LSTMDecoder):
    """Decodes what it began last."""

    def __init__(self, vocabulary_size: int, memories) -> None:
        super().__init__(vocabulary_size, memories, embedding_dim=64, hidden_dim=64)

    def begin(self, memories, batch_size):
        self.last, state = super().begin(memories, batch_size)
        return self.last, state

    def step(self, tokens, state, shared):
        return super().step(tokens, state, self.last)


class KeepsLoudness(LengthReward):
    """Takes more off for every token, the larger the memory was that it was started with last."""

    def start(self, memories, heads, batch_size):
        self.loudness = sum(memory.values.abs().mean() for memory in memories.values())
        return None, None

    def score(self, tokens, weights, state, shared):
        return torch.full((*tokens.shape, 1), -float(self.loudness)), None
