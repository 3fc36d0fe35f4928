"""Objectives: what training minimises. Each returns a sum and the count that it is a mean over.

    keep                                             what the decoder must hand over besides scores
    heads(vocabulary_size, memories) -> modules      what must be in the model to compute it
    loss(model, batch, memories, output) -> (sum, count)
    count(batch)           where it is not of target tokens: the same count, before all else
    check(row, ids, slots) where not every row is of use: UserError, before the first step
    prepare(surroundings)  where it must know more than its settings: once, before the first step
    needs_output = False   where the scores of the targets do not matter: ``output`` may be None

The loop divides the global sum by the global count, so that a step cut into shards, or spread
over processes, is the same step. Heads belong to the model: the beam scores with the head that
was trained.

Letters: B batch, T target steps, S slots, M real target tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from multiattn.data.tokenizer import Tokenizer
from multiattn.engine.decoder import Output
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.output_layer import at_least_single
from multiattn.recipe.settings import Search
from multiattn.registry.schema import Named, Probability

if TYPE_CHECKING:
    from multiattn.registry.host import Host

Loss = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Surroundings:
    """What a run tells an objective that has ``prepare``.

    named: the objective as the recipe has it; search: how the recipe writes.
    references: of every training example, all of its targets.
    """

    named: Named
    search: Search
    host: Host
    tokenizer: Tokenizer
    references: Sequence[tuple[str, ...]]


class Objective(Protocol):
    """What the training loop asks of an objective."""

    keep: tuple[str, ...]

    def heads(
        self, vocabulary_size: int, memories: Mapping[str, MemorySpec]
    ) -> dict[str, nn.Module]:
        """Modules that the model must hold for it, by name."""

    def loss(self, model: Any, batch: Any, memories: Mapping[str, Memory], output: Output) -> Loss:
        """The sum over this batch and the count that the global sum is divided by."""


def no_heads(vocabulary_size: int, memories: Mapping[str, MemorySpec]) -> dict[str, nn.Module]:
    """For objectives that need nothing in the model."""
    return {}


class CrossEntropy:
    """Negative log-likelihood per token; ``label_smoothing`` of the mass is spread over all words.

    Szegedy et al. 2016, section 7.
    """

    keep: tuple[str, ...] = ()
    heads = staticmethod(no_heads)

    def __init__(self, *, label_smoothing: Probability = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def loss(self, model: Any, batch: Any, memories: Mapping[str, Memory], output: Output) -> Loss:
        gold = batch.targets.tokens[output.rows, output.steps]  # (M,)
        total = F.cross_entropy(
            at_least_single(output.scores),
            gold,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )
        return total, total.new_tensor(len(gold))


class Coverage:
    """Penalises looking again at what was looked at: Σ_t Σ_i min(α_ti, Σ_{u<t} α_ui).

    See et al. 2017, equation 12, summed over the sources; the count is of target tokens.
    """

    keep: tuple[str, ...] = ("weights",)
    heads = staticmethod(no_heads)

    def loss(self, model: Any, batch: Any, memories: Mapping[str, Memory], output: Output) -> Loss:
        total = at_least_single(output.scores.new_zeros(()))
        for kept in output.kept["weights"].values():
            weights = at_least_single(kept)  # (B, T, S)
            before = weights.cumsum(1) - weights
            total = total + torch.minimum(weights, before).sum()
        return total, total.new_tensor(len(output.rows))


class DoublyStochastic:
    """Asks that every slot be looked at once: Σ_i (1 - Σ_t α_ti)². Xu et al. 2015, equation 14.

    Over the real slots, summed over the sources; the count is of inputs.
    """

    keep: tuple[str, ...] = ("weights",)
    heads = staticmethod(no_heads)

    def count(self, batch: Any) -> int:
        """Inputs."""
        return len(batch.ids)

    def loss(self, model: Any, batch: Any, memories: Mapping[str, Memory], output: Output) -> Loss:
        total = at_least_single(output.scores.new_zeros(()))
        for name, weights in output.kept["weights"].items():  # (B, T, S)
            missed = (1 - at_least_single(weights).sum(1)) * memories[name].mask  # (B, S)
            total = total + missed.square().sum()
        return total, total.new_tensor(len(batch.ids))


@dataclass(frozen=True)
class WeightedObjective:
    """An objective and its weight in the loss."""

    name: str
    weight: float
    objective: Objective


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
