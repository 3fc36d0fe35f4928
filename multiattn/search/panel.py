"""Combine decoders and scorers into the step function of a search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from multiattn.engine.memory import Memory
from multiattn.errors import UserError
from multiattn.search.scorers import Decoder, Scorer, Weights, log_probabilities


@dataclass(frozen=True)
class StepScores:
    """The scores of one step; the caller may write into its tensors."""

    log_probabilities: Tensor  # (B, N, V), the decoder's
    scores: Tensor  # (B, N, V), added to the total; the same tensor without scorers
    state: Any
    weights: Weights


class StepScorer(Protocol):
    """Scores the next tokens at every step of a search."""

    def begin(
        self, memories: Any, heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[Any, Any]:
        """Shared values and state, as from ``Decoder.begin``."""

    def step(self, tokens: Tensor, state: Any, shared: Any) -> StepScores:
        """Read tokens (B, N)."""

    def finish(self, state: Any, shared: Any) -> Tensor | float:
        """The final terms (B, N) of hypotheses that end with the next token, or 0."""


class Panel:
    """A decoder and weighted scorers, combined into one step scorer."""

    def __init__(self, decoder: Decoder, scorers: Sequence[tuple[Scorer, float]]) -> None:
        self.decoder, self.scorers = decoder, tuple(scorers)

    @property
    def ceiling(self) -> float:
        """Upper bound on the score of one token; infinite (unknown) if a weight is negative."""
        if any(weight < 0 for _, weight in self.scorers):
            return math.inf
        return sum(weight * scorer.ceiling for scorer, weight in self.scorers if weight)

    def begin(
        self, memories: Any, heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[Any, Any]:
        """Shared values and states of all of them, each a tuple with the decoder's first."""
        started = [self.decoder.begin(memories, batch_size)]
        seen = primary_memories(memories)
        started += [scorer.start(seen, heads, batch_size) for scorer, _ in self.scorers]
        shared, state = zip(*started, strict=True)
        return shared, state

    def step(self, tokens: Tensor, state: Any, shared: Any) -> StepScores:
        """Read tokens (B, N). Raises UserError for a scorer over another vocabulary."""
        scores, after, weights = self.decoder.step(tokens, state[0], shared[0])
        own = log_probabilities(scores)  # one fused pass: faster than a logsumexp
        total, states = own, [after]
        for index, (scorer, weight) in enumerate(self.scorers, 1):
            additions, after = scorer.score(tokens, weights, state[index], shared[index])
            states.append(after)
            if additions.shape[2] not in (1, own.shape[2]):
                raise UserError(
                    f"expected scorers over the decoder's {own.shape[2]} tokens, got one over "
                    f"{additions.shape[2]}; use one trained with the same target tokenizer"
                )
            total = torch.add(total, additions, alpha=weight)
        return StepScores(own, total, tuple(states), weights)

    def finish(self, state: Any, shared: Any) -> Tensor | float:
        """The weighted sum of final terms, (B, N) or 0."""
        total: Tensor | float = 0.0
        for index, (scorer, weight) in enumerate(self.scorers, 1):
            term = scorer.finish(state[index], shared[index])
            if term is not None:
                total = total + weight * term
        return total


def primary_memories(memories: Any) -> Mapping[str, Memory]:
    """The memories that attention is reported over; an ensemble reports its first member's."""
    seen: Mapping[str, Memory] = memories if isinstance(memories, Mapping) else memories[0]
    return seen


class Ensemble:
    """Several decoders over one vocabulary as one: their probabilities are averaged.

    ``begin`` takes a list of memories, one mapping per decoder. The attention weights returned are
    those of the first decoder, because the others may divide a source into different slots.
    """

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self.decoders = tuple(decoders)

    def begin(
        self, memories: Sequence[Mapping[str, Memory]], batch_size: int
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The shared values and the states of all decoders, as tuples."""
        started = [
            decoder.begin(seen, batch_size)
            for decoder, seen in zip(self.decoders, memories, strict=True)
        ]
        shared, state = zip(*started, strict=True)
        return shared, state

    def step(
        self, tokens: Tensor, state: tuple[Any, ...], shared: tuple[Any, ...]
    ) -> tuple[Tensor, tuple[Any, ...], Weights]:
        """Scores (B, N, V) are log Σ_m p_m; dividing by M would not change their softmax."""
        steps = [
            decoder.step(tokens, *own)
            for decoder, *own in zip(self.decoders, state, shared, strict=True)
        ]
        members = torch.stack([log_probabilities(scores) for scores, _, _ in steps])
        scores = members.logsumexp(0)  # (M, B, N, V) -> (B, N, V)
        return scores, tuple(after for _, after, _ in steps), steps[0][2]
