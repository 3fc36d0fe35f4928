"""Objectives, which training minimises. Each returns a sum and the count to divide it by.

The protocol ``Objective`` is required; the protocols after it are optional. The training loop
divides the global sum by the global count, so that a step gives the same result if it is cut into
shards or spread over processes. Heads belong to the model, so that a search can score with the
head that was trained.

Letters: B batch, T target steps, S slots, M real target tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from multiattn.data.rows import BadRows, Row
from multiattn.data.tokenizer import Tokenizer
from multiattn.engine.batch import Batch
from multiattn.engine.decoder import DecoderOutput
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.output_layer import at_least_float32
from multiattn.recipe.settings import SearchSettings
from multiattn.registry.schema import Named, Probability

if TYPE_CHECKING:
    from multiattn.registry.host import Host

Loss = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class ObjectiveContext:
    """What a ``PreparedObjective`` receives about its run.

    named: the objective's entry in the recipe. search: the recipe's search settings.
    references: all targets of every training example.
    """

    named: Named
    search: SearchSettings
    host: Host
    tokenizer: Tokenizer
    references: Sequence[tuple[str, ...]]


@runtime_checkable
class Objective(Protocol):
    """The interface of an objective, the target of an ``Objective`` record.

    keep: names of what the decoder must return besides scores, such as ``weights``.
    """

    keep: tuple[str, ...]

    def heads(
        self, vocabulary_size: int, memories: Mapping[str, MemorySpec]
    ) -> dict[str, nn.Module]:
        """Modules that it adds to the model, by name."""

    def loss(
        self, model: Any, batch: Any, memories: Mapping[str, Memory], output: DecoderOutput
    ) -> Loss:
        """The sum over this batch and the count that the global sum is divided by."""


@runtime_checkable
class CountedObjective(Protocol):
    """An objective that is a mean over something other than target tokens."""

    def count(self, batch: Batch) -> int:
        """The count that ``loss`` will return, known before the forward pass."""


@runtime_checkable
class SelectiveObjective(Protocol):
    """An objective that cannot use every row."""

    def check(self, row: Row, ids: Sequence[int], slots: Mapping[str, int]) -> None:
        """Raise UserError, before the first step, for a row that it cannot use.

        ids: of the target, without EOS. slots: per source that can count them, 0 where absent.
        """


@runtime_checkable
class SkippingObjective(Protocol):
    """An objective that leaves examples out during training, as ``training.bad_rows`` says."""

    bad_rows: BadRows


@runtime_checkable
class PreparedObjective(Protocol):
    """An objective that must know more of a run than its own settings."""

    def prepare(self, context: ObjectiveContext) -> None:
        """Prepare for a run; called once, before the first step."""


@runtime_checkable
class OutputFreeObjective(Protocol):
    """An objective with ``needs_output = False``: its ``loss`` may be given None as output."""

    needs_output: bool


def no_heads(vocabulary_size: int, memories: Mapping[str, MemorySpec]) -> dict[str, nn.Module]:
    """For objectives that add no modules to the model."""
    return {}


class CrossEntropy:
    """Negative log-likelihood per target token, with label smoothing.

    ``label_smoothing`` is the share of the probability mass that is spread over the whole
    vocabulary (Szegedy et al. 2016, section 7).
    """

    keep: tuple[str, ...] = ()
    heads = staticmethod(no_heads)

    def __init__(self, *, label_smoothing: Probability = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def loss(
        self, model: Any, batch: Any, memories: Mapping[str, Memory], output: DecoderOutput
    ) -> Loss:
        gold = batch.targets.tokens[output.rows, output.steps]  # (M,)
        total = F.cross_entropy(
            at_least_float32(output.scores),
            gold,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )
        return total, total.new_full((), len(gold))


class Coverage:
    """Penalises attending repeatedly to the same slots: Σ_t Σ_i min(α_ti, Σ_{u<t} α_ui).

    See et al. 2017, equation 12, summed over the sources; the count is of target tokens.
    """

    keep: tuple[str, ...] = ("weights",)
    heads = staticmethod(no_heads)

    def loss(
        self, model: Any, batch: Any, memories: Mapping[str, Memory], output: DecoderOutput
    ) -> Loss:
        total = at_least_float32(output.scores.new_zeros(()))
        for kept in output.kept["weights"].values():
            weights = at_least_float32(kept)  # (B, T, S)
            before = weights.cumsum(1) - weights
            total = total + torch.minimum(weights, before).sum()
        return total, total.new_full((), len(output.rows))


class DoublyStochastic:
    """Pushes each slot's total attention towards 1: Σ_i (1 - Σ_t α_ti)².

    Xu et al. 2015, equation 14, over the real slots, summed over the sources; the count is of
    inputs.
    """

    keep: tuple[str, ...] = ("weights",)
    heads = staticmethod(no_heads)

    def count(self, batch: Any) -> int:
        """Inputs."""
        return len(batch.ids)

    def loss(
        self, model: Any, batch: Any, memories: Mapping[str, Memory], output: DecoderOutput
    ) -> Loss:
        total = at_least_float32(output.scores.new_zeros(()))
        for name, weights in output.kept["weights"].items():  # (B, T, S)
            missed = (1 - at_least_float32(weights).sum(1)) * memories[name].mask  # (B, S)
            total = total + missed.square().sum()
        return total, total.new_full((), len(batch.ids))


@dataclass(frozen=True)
class WeightedObjective:
    """An objective and its weight in the loss."""

    name: str
    weight: float
    objective: Objective


class RDrop:
    """Cross-entropy of two passes with independent dropout, plus the divergence between them.

    ½ (NLL(p) + NLL(q)) + ½ alpha · ½ (KL(p‖q) + KL(q‖p)) per target token: the loss of the R-Drop
    paper (section 2.1) halved, so that it is on the same scale as the cross-entropy that it
    replaces. A step costs as much as two. Outside training, without dropout, it is the
    cross-entropy of one pass. With scheduled sampling, the second pass uses teacher forcing.
    """

    keep: tuple[str, ...] = ()
    heads = staticmethod(no_heads)

    def __init__(
        self, *, alpha: NonNegativeFloat = 5.0, label_smoothing: Probability = 0.0
    ) -> None:
        self.alpha = alpha
        self.cross_entropy = CrossEntropy(label_smoothing=label_smoothing)

    def loss(
        self, model: Any, batch: Any, memories: Mapping[str, Memory], output: DecoderOutput
    ) -> Loss:
        total, count = self.cross_entropy.loss(model, batch, memories, output)
        if model.training:
            _, again = model(batch)
            other, _ = self.cross_entropy.loss(model, batch, memories, again)
            p, q = (at_least_float32(each.scores).log_softmax(-1) for each in (output, again))
            apart = (
                (p.exp() - q.exp()) * (p - q)
            ).sum()  # KL(p‖q) + KL(q‖p), p and q being logarithms
            total = (total + other) / 2 + self.alpha / 4 * apart
        return total, count
