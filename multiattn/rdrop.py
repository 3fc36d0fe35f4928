"""R-Drop: what two passes with dropout say of a target should agree.

Liang et al. 2021, "R-Drop: Regularized dropout for neural networks". It refuses to know what a
model reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import NonNegativeFloat

from multiattn.engine.decoder import Output
from multiattn.engine.memory import Memory
from multiattn.engine.output_layer import at_least_single
from multiattn.recipe.settings import Probability
from multiattn.training.objectives import CrossEntropy, Loss, no_heads


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
        self.cross_entropy = CrossEntropy(label_smoothing=label_smoothing)

    def loss(self, model: Any, batch: Any, memories: Mapping[str, Memory], output: Output) -> Loss:
        total, count = self.cross_entropy.loss(model, batch, memories, output)
        if model.training:
            _, again = model(batch)
            other, _ = self.cross_entropy.loss(model, batch, memories, again)
            p, q = (at_least_single(each.scores).log_softmax(-1) for each in (output, again))
            apart = ((p.exp() - q.exp()) * (p - q)).sum()  # KL(p‖q) + KL(q‖p), from logarithms
            total = (total + other) / 2 + self.alpha / 4 * apart
        return total, count
