"""An objective that keeps scores near log-probabilities: (log Z)² per target token.

log Z = log Σ exp(scores) is 0 where the scores are normalised. Add it to the cross-entropy with a
small weight, and change what ``loss`` sums up.

Protocol: ``multiattn.protocols.Objective``. In a recipe:
``objectives: [cross-entropy, {name: my-plugin, weight: 0.0001}]``.
Letters: M real target tokens, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from multiattn import Batch, DecoderOutput, Memory, MemorySpec


class MyPluginObjective:
    """Training divides the sum over all batches of a step by the sum of their counts."""

    keep: tuple[str, ...] = ()  # ("weights",) for the attention weights, in ``output.kept``

    def heads(
        self, vocabulary_size: int, memories: Mapping[str, MemorySpec]
    ) -> dict[str, nn.Module]:
        """Modules that the model gets for this objective, by name: none."""
        return {}

    def loss(
        self, model: Any, batch: Batch, memories: Mapping[str, Memory], output: DecoderOutput
    ) -> tuple[Tensor, Tensor]:
        """Sum and count over the real target tokens; padding has no row in ``output``."""
        normalisers = output.scores.float().logsumexp(1)  # (M, V) -> (M,)
        total = normalisers.square().sum()
        return total, total.new_tensor(len(normalisers))
