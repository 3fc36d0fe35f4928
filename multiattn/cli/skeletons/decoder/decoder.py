"""A small decoder: a gated recurrent unit reads the words and attends to every source.

h_t = GRU(e_t, h_{t-1}); c_t = Σ attend(h_t, source); scores from [h_t; c_t]. Change ``step``, which
says all of that; ``forward`` is only a loop over it.

Protocol: ``multiattn.protocols.Decoder``. In a recipe: ``decoder: my-plugin``.
Letters: B batch, N hypotheses, T target steps, M real target tokens, S slots, H width,
V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from multiattn import DecoderOutput, Memory, MemorySpec
from multiattn.layers import Keys, attend, length_mask

Weights = dict[str, Tensor]


class MyPluginDecoder(nn.Module):
    """``dim`` is the width H of words, states and values. A source that is absent adds nothing."""

    def __init__(
        self,
        vocabulary_size: int,
        memories: Mapping[str, MemorySpec],
        *,
        dim: PositiveInt = 256,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, dim)
        self.cell = nn.GRUCell(dim, dim)
        self.sources = nn.ModuleDict(
            {name: nn.Linear(spec.dim, dim) for name, spec in memories.items()}
        )
        self.vocabulary = nn.Linear(2 * dim, vocabulary_size)

    def begin(self, memories: Mapping[str, Memory], batch_size: int) -> tuple[Any, Tensor]:
        """What all steps share, leaves (B, …), and the first state (B, 1, H), of zeros."""
        shared = {}
        for name, layer in self.sources.items():
            values = layer(memories[name].values)  # (B, S, H)
            shared[name] = Keys(values, values, memories[name].mask)
        return shared, self.embedding.weight.new_zeros(batch_size, 1, self.cell.hidden_size)

    def step(
        self, tokens: Tensor, state: Tensor, shared: Mapping[str, Keys]
    ) -> tuple[Tensor, Tensor, Weights]:
        """Tokens (B, N) -> scores (B, N, V), state (B, N, H), weights (B, N, S) per source."""
        words = self.embedding(tokens)  # (B, N, H)
        state = self.cell(words.flatten(0, 1), state.flatten(0, 1)).view_as(words)  # (B, N, H)
        context, weights = torch.zeros_like(state), {}
        for name, keys in shared.items():
            attended, weights[name] = attend(state @ keys.keys.mT, keys)
            context = context + attended
        return self.vocabulary(torch.cat([state, context], -1)), state, weights

    def forward(
        self,
        targets: Any,
        memories: Mapping[str, Memory],
        feeding: Any = None,
        keep: tuple[str, ...] = (),
    ) -> DecoderOutput:
        """Scores (M, V) of the real tokens of ``targets``: tokens (B, T) and lengths (B,).

        feeding: chooses between a target word and the model's own, for scheduled sampling.
        keep: names what an objective needs besides scores: weights (B, T, S) per source.
        """
        shared, state = self.begin(memories, len(targets.lengths))
        scores: list[Tensor] = []
        weights: list[Weights] = []
        for words in targets.inputs().unbind(1):
            if feeding is not None and scores:
                words = feeding.choose(words, scores[-1])
            step_scores, state, step_weights = self.step(words.unsqueeze(1), state, shared)
            scores.append(step_scores.squeeze(1))  # (B, V)
            weights.append(step_weights)
        real = length_mask(targets.lengths, len(scores))  # (B, T)
        rows, steps = real.nonzero(as_tuple=True)  # (M,), (M,)
        kept = {
            name: torch.cat([step[name] for step in weights], 1) * real.unsqueeze(2)
            for name in shared
        }
        return DecoderOutput(
            torch.stack(scores, 1)[rows, steps],
            rows,
            steps,
            {"weights": kept} if "weights" in keep else {},
        )
