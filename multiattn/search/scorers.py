"""What may join a search beside the decoder: a length reward, coverage, a language model.

    start(memories, heads, batch_size) -> (shared, state)       once per input, as ``begin``
    score(tokens, weights, state, shared) -> (additions, state)      at every step, as ``step``
    finish(state, shared) -> final terms (B, N) or None              where a hypothesis has ended

shared leaves (B, …), state leaves (B, 1, …) at first and (B, N, …) then; both are indexed with the
decoder's own. ``additions`` (B, N, V), or (B, N, 1) for all tokens alike, join the log-probability
of the token that comes next; what does not depend on the next token alone, and must not be divided
by a length, is a final term. CTC is in ``ctc.py``. It refuses to know how the best are found.

Letters: B inputs, N hypotheses per input, S memory slots, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from multiattn.engine.memory import Memory
from multiattn.errors import UserError

Weights = Mapping[str, Tensor]


@runtime_checkable
class Decoder(Protocol):
    """What search asks of a decoder; an ``Ensemble`` has it too.

    ``log_softmax(scores)`` is the distribution. The weights of a step are kept until the search
    ends, so no later step may write into them; scores and states are read once.
    """

    def begin(self, memories: Any, batch_size: int) -> tuple[Any, Any]:
        """Shared, leaves (B, …), and state, leaves (B, 1, …)."""

    def step(self, tokens: Tensor, state: Any, shared: Any) -> tuple[Tensor, Any, Weights]:
        """Tokens (B, N) -> scores (B, N, V), state, weights (B, N, S) per source."""


@runtime_checkable
class Scorer(Protocol):
    """One opinion about hypotheses.

    ceiling: no addition is larger (``math.inf`` where unknown: then nothing ends a search early).
    Final terms are at most 0.
    """

    ceiling: float

    def start(
        self, memories: Mapping[str, Memory], heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[Any, Any]:
        """Shared and state. ``heads`` are the model's, trained by its objectives."""

    def score(
        self, tokens: Tensor, weights: Weights, state: Any, shared: Any
    ) -> tuple[Tensor, Any]:
        """Read tokens (B, N), the last ones written, and say what the next may earn.

        weights: (B, N, S), where the decoder looks for the next one.
        """

    def finish(self, state: Any, shared: Any) -> Tensor | None:
        """(B, N) for hypotheses that end with the next token, or None."""


@runtime_checkable
class VocabularyScorer(Protocol):
    """A scorer over a vocabulary of its own, which must be the decoder's."""

    pieces: tuple[str, ...]


class LengthReward:
    """1 for every token, the end too; the weight is the reward. He et al. 2016, section 3.3.

    It shifts all scores alike, and so does nothing, where ``length_penalty`` is 1.
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

    source: the one that ought to be covered; None means all.
    A slot that no word looked at counts as the dtype's smallest normal, not as log 0.
    """

    ceiling = 0.0

    def __init__(self, *, source: str | None = None) -> None:
        self.source = source

    def start(
        self, memories: Mapping[str, Memory], heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Shared: masks (B, S). State: what was looked at so far, (B, N, S)."""
        if self.source is not None and self.source not in memories:
            raise UserError(
                f"scorer 'coverage' expected a source to cover, got {self.source!r}; "
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
        prices = []
        for name, covered in state.items():
            logs = covered.clamp(torch.finfo(covered.dtype).tiny, 1.0).log()  # (B, N, S)
            prices.append((logs * shared[name].unsqueeze(1)).sum(2))
        return torch.stack(prices).sum(0) if prices else None  # (B, N)


class LanguageModel:
    """Shallow fusion: log-probabilities of a decoder without sources. Gulcehre et al. 2015, 4.1.

    decoder: over the same vocabulary, in evaluation mode; it follows the search's device.
    pieces: what its tokens are, so that whoever searches can see that they are the same.
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
    """The distribution over the last dimension, in single precision at least: it will be summed."""
    return scores.log_softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float))
