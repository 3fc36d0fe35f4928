"""Several decoders that search as one: at every step their probabilities are averaged.

Letters: B inputs, N hypotheses per input, V vocabulary, M decoders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from multiattn.engine.memory import Memory
from multiattn.search.scorers import Decoder, Weights, log_probabilities


class Ensemble:
    """Several decoders over one vocabulary that write as one: their probabilities are averaged.

    ``begin`` takes a list of memories, one mapping per decoder. The weights returned are those of
    the first: decoders need not cut a source into the same slots.
    """

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self.decoders = tuple(decoders)

    def begin(
        self, memories: Sequence[Mapping[str, Memory]], batch_size: int
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The decoders' shared values and states, side by side."""
        started = [
            decoder.begin(seen, batch_size)
            for decoder, seen in zip(self.decoders, memories, strict=True)
        ]
        shared, state = zip(*started, strict=True)
        return shared, state

    def step(
        self, tokens: Tensor, state: tuple[Any, ...], shared: tuple[Any, ...]
    ) -> tuple[Tensor, tuple[Any, ...], Weights]:
        """Scores (B, N, V) are log Σ_m p_m; that they are not divided by M changes nothing."""
        steps = [
            decoder.step(tokens, *own)
            for decoder, *own in zip(self.decoders, state, shared, strict=True)
        ]
        voices = torch.stack([log_probabilities(scores) for scores, _, _ in steps])
        scores = voices.logsumexp(0)  # (M, B, N, V) -> (B, N, V)
        return scores, tuple(after for _, after, _ in steps), steps[0][2]
