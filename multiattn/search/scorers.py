"""Scorers that join the decoder in a search: length reward, coverage, language model.

    prepare(tokenizer)                                           once, where a scorer needs it
    start(memories, heads, batch_size) -> (shared, state)        once per input, like ``begin``
    score(tokens, weights, state, shared) -> (additions, state)  at every step, like ``step``
    finish(state, shared) -> final terms (B, N) or None          where a hypothesis has ended

Leaves of ``shared`` are (B, …), those of ``state`` (B, 1, …) at first and (B, N, …) afterwards; the
search indexes both along with the decoder's. ``additions`` (B, N, V), or (B, N, 1) if the same for
all tokens, are added to the log-probability of the next token. A term that depends on more than
the next token, and must not be divided by a length, is a final term. CTC is in ``ctc.py``.

Letters: B inputs, N hypotheses per input, S memory slots, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from multiattn.data.tokenizer import Tokenizer
from multiattn.engine.memory import Memory
from multiattn.errors import UserError, shown

Weights = Mapping[str, Tensor]


@runtime_checkable
class Decoder(Protocol):
    """What a search needs of a decoder; an ``Ensemble`` provides it too.

    ``log_softmax(scores)`` is the distribution. The attention weights of a step are kept until the
    search ends, so no later step may write into them; scores and states are read once.
    """

    def begin(self, memories: Any, batch_size: int) -> tuple[Any, Any]:
        """Shared values, leaves (B, …), and state, leaves (B, 1, …)."""

    def step(self, tokens: Tensor, state: Any, shared: Any) -> tuple[Tensor, Any, Weights]:
        """Tokens (B, N) -> scores (B, N, V), state, weights (B, N, S) per source."""


@runtime_checkable
class Scorer(Protocol):
    """Adds a term to the scores of hypotheses.

    ceiling: upper bound on an addition; ``math.inf`` if unknown, so that no search ends early.
    Final terms are at most 0.
    """

    ceiling: float

    def start(
        self, memories: Mapping[str, Memory], heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[Any, Any]:
        """Shared values and state. ``heads`` are the model's, trained by its objectives."""

    def score(
        self, tokens: Tensor, weights: Weights, state: Any, shared: Any
    ) -> tuple[Tensor, Any]:
        """Read the last tokens (B, N) and return the additions for the next ones.

        weights: (B, N, S) per source, with which the decoder attends for the next token.
        """

    def finish(self, state: Any, shared: Any) -> Tensor | None:
        """Final terms (B, N) of hypotheses that end with the next token, or None."""


@runtime_checkable
class VocabularyScorer(Protocol):
    """A scorer with its own copy of the vocabulary, which must equal the decoder's."""

    pieces: tuple[str, ...]


@runtime_checkable
class PreparedScorer(Protocol):
    """A scorer that must know the target's tokens, such as one that looks words up in a lexicon."""

    def prepare(self, tokenizer: Tokenizer) -> None:
        """Called once, before the first ``start``; ``tokenizer.size`` is V. Raises UserError."""


class LengthReward:
    """1 for every token, the end symbol included; the weight is the reward per token.

    He et al. 2016, section 3.3. With ``length_penalty: 1`` it shifts all scores alike and has no
    effect.
    """

    ceiling = 1.0

    def start(
        self, memories: Mapping[str, Memory], heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[None, None]:
        return None, None

    def score(
        self, tokens: Tensor, weights: Weights, state: None, shared: None
    ) -> tuple[Tensor, None]:
        return torch.ones_like(tokens).unsqueeze(2), None  # (B, N, 1)

    def finish(self, state: None, shared: None) -> None:
        return None


class CoveragePenalty:
    """Σ_i log min(Σ_t α_ti, 1) over the real slots i. Wu et al. 2016, equation 14; the weight is β.

    source: the one that should be covered; None means all.
    A slot that received no attention counts as the dtype's smallest normal number, not as log 0.
    """

    ceiling = 0.0

    def __init__(self, *, source: str | None = None) -> None:
        self.source = source

    def start(
        self, memories: Mapping[str, Memory], heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Shared: masks (B, S). State: the attention that each slot got so far, (B, N, S)."""
        if self.source is not None and self.source not in memories:
            raise UserError(
                f"scorer 'coverage' expected a source to cover, got {shown(self.source)}; "
                f"choose one of {', '.join(memories) or 'none (this recipe has no sources)'}"
            )
        masks = {
            name: memory.mask for name, memory in memories.items() if self.source in (None, name)
        }
        covered = {
            name: torch.zeros_like(memories[name].values[:, None, :, 0]) for name in masks
        }  # (B, 1, S)
        return masks, covered

    def score(
        self, tokens: Tensor, weights: Weights, state: dict[str, Tensor], shared: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        covered = {name: before + weights[name] for name, before in state.items()}
        return torch.zeros_like(tokens).unsqueeze(2), covered  # (B, N, 1)

    def finish(self, state: dict[str, Tensor], shared: dict[str, Tensor]) -> Tensor | None:
        penalties = []
        for name, covered in state.items():
            logs = covered.clamp(torch.finfo(covered.dtype).tiny, 1.0).log()  # (B, N, S)
            penalties.append((logs * shared[name].unsqueeze(1)).sum(2))
        return torch.stack(penalties).sum(0) if penalties else None  # (B, N)


class LanguageModel:
    """Shallow fusion: log-probabilities of a decoder without sources. Gulcehre et al. 2015, 4.1.

    decoder: over the same vocabulary, in evaluation mode; it is moved to the search's device.
    pieces: the text of its tokens, so that callers can check that the vocabularies are equal.
    """

    ceiling = 0.0

    def __init__(self, decoder: Decoder, pieces: Sequence[str] = ()) -> None:
        self.decoder = decoder
        self.pieces = tuple(pieces)

    def start(
        self, memories: Mapping[str, Memory], heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[Any, Any]:
        for memory in memories.values():
            if isinstance(self.decoder, nn.Module):
                self.decoder.to(memory.values.device)
        return self.decoder.begin({}, batch_size)

    def score(
        self, tokens: Tensor, weights: Weights, state: Any, shared: Any
    ) -> tuple[Tensor, Any]:
        scores, state, _ = self.decoder.step(tokens, state, shared)
        return log_probabilities(scores), state  # (B, N, V)

    def finish(self, state: Any, shared: Any) -> None:
        return None


def log_probabilities(scores: Tensor) -> Tensor:
    """Log-softmax over the last dimension, at least in float32 because it is summed over steps."""
    return scores.log_softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float))
