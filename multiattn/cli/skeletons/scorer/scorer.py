"""A scorer that prefers focused attention: it subtracts the entropy of the attention weights.

Change what ``score`` adds. A term may depend on the last tokens and on the weights, and on earlier
ones by way of a ``state``, with leaves (B, 1, …) at the start and (B, N, …) at each step.

Protocol: ``multiattn.protocols.Scorer``. In a recipe:
``search: {scorers: [{name: my-plugin, weight: 0.1}]}``.
Letters: B inputs, N hypotheses of each, S slots.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from multiattn import Memory


class MyPluginScorer:
    """Σ_i α_i log α_i, summed over the sources: 0 where all attention is on one slot."""

    ceiling = 0.0  # no addition is above it, which lets a search end early

    def start(
        self, memories: Mapping[str, Memory], heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[None, None]:
        """What is shared by all steps, leaves (B, …), and the first state: nothing."""
        return None, None

    def score(
        self, tokens: Tensor, weights: Mapping[str, Tensor], state: None, shared: None
    ) -> tuple[Tensor, None]:
        """Last tokens (B, N), weights (B, N, S) per source -> additions (B, N, 1) and state."""
        total = torch.zeros_like(tokens, dtype=torch.float).unsqueeze(2)  # (B, N, 1)
        for attended in weights.values():
            total = total + torch.xlogy(attended, attended).sum(2, keepdim=True)
        return total, state

    def finish(self, state: None, shared: None) -> None:
        """Final terms (B, N), of at most 0, of hypotheses that end; None for none."""
        return
