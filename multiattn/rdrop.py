"""R-Drop: what two passes with dropout say of a target should agree.

Liang et al. 2021, "R-Drop: Regularized dropout for neural networks". It refuses to know what a
model reads. Letters: M real target tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import NonNegativeFloat
from torch import Tensor

from multiattn.decoder import Output
from multiattn.memory import Memory
from multiattn.objectives import Loss, no_heads
from multiattn.output import at_least_single
from multiattn.settings import Probability


class RDrop:
    """Cross-entropy of two passes, each with dropout of its own, and how far they disagree.

    ½ (NLL(p) + NLL(q)) + ½ alpha · ½ (KL(p‖q) + KL(q‖p)) per target token: the paper's loss
    (section 2.1) halved, so that it weighs as much as the cross-entropy that it takes the place
    of. A step costs two. Without dropout, as in validation, it is the cross-entropy of one pass.
    With scheduled sampling the second pass is fed the targets.
    """

    keep: tuple[str, ...] = ()
    heads = staticmethod(no_heads)

    def __init__(
        self, *, alpha: NonNegativeFloat = 5.0, label_smoothing: Probability = 0.0
    ) -> None:
        self.alpha = alpha
        self.label_smoothing = label_smoothing

    def loss(self, model: Any, batch: Any, memories: Mapping[str, Memory], output: Output) -> Loss:
        gold = batch.targets.tokens[output.rows, output.steps]  # (M,)
        first = at_least_single(output.scores).log_softmax(-1)  # (M, V)
        total = self._surprise(first, gold)
        if model.training:
            _, again = model(batch)
            second = at_least_single(again.scores).log_softmax(-1)  # (M, V)
            apart = ((first.exp() - second.exp()) * (first - second)).sum()  # KL(p‖q) + KL(q‖p)
            total = (total + self._surprise(second, gold)) / 2 + self.alpha / 4 * apart
        return total, total.new_tensor(len(gold))

    def _surprise(self, log_probabilities: Tensor, gold: Tensor) -> Tensor:
        """The sum of the tokens' smoothed negative log-likelihoods."""
        told = log_probabilities.gather(1, gold.unsqueeze(1)).sum()
        spread = log_probabilities.mean(1).sum()
        return -(1 - self.label_smoothing) * told - self.label_smoothing * spread
