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
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiattn.data.rows import BadRows, Row
from multiattn.data.tokenizer import PAD, Tokenizer
from multiattn.engine.decoder import Output
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.output_layer import at_least_single
from multiattn.errors import UserError
from multiattn.recipe.settings import Named, Probability, Search
from multiattn.search import ctc

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


class CTC:
    """Connectionist temporal classification on one memory. Graves et al. 2006; Watanabe 2017.

    The head scores V symbols per slot; PAD, which no target holds, is the blank. The sum is over
    inputs, the count is of their target tokens, so it weighs like the cross-entropy. ``source``
    may be left out where there is one; among several, each has a head of its own.

    A target that needs more slots than its input has is a bad row: a UserError, or, where
    ``bad_rows`` skips, an example that adds nothing to this objective.
    """

    keep: tuple[str, ...] = ()

    def __init__(self, *, source: str | None = None) -> None:
        self.source = source
        self.bad_rows = BadRows("stop")  # ``build_model`` sets the recipe's policy

    def heads(
        self, vocabulary_size: int, memories: Mapping[str, MemorySpec]
    ) -> dict[str, nn.Module]:
        source = ctc.source_of(self.source, memories, "objective")
        head = nn.Linear(memories[source].dim, vocabulary_size)
        return {ctc.head_name(source, memories): head}

    def check(self, row: Row, ids: Sequence[int], slots: Mapping[str, int]) -> None:
        """Refuse a target (ids without EOS) that no path over so many slots can write."""
        there = [name for name in slots if self.source in (None, name)]
        needed = len(ids) + sum(left == right for left, right in pairwise(ids))
        for name in there:
            if needed > slots[name]:
                raise UserError(
                    f"objective 'ctc' needs {needed} slots for the target of {row.described}, got "
                    f"{slots[name]} of {row.sources[name]}; remove the example, let the encoder "
                    "reduce its input less, or set training.bad_rows=skip"
                )

    def count(self, batch: Any) -> int:
        """Target tokens, ends not counted, of the inputs that have the source."""
        source = self.source or next(iter(batch.sources), "")
        inputs = batch.sources.get(source)
        return 0 if inputs is None else int((batch.targets.lengths[inputs.rows] - 1).sum())

    def loss(self, model: Any, batch: Any, memories: Mapping[str, Memory], output: Output) -> Loss:
        source = ctc.source_of(self.source, memories, "objective")
        memory = memories[source]
        present = memory.mask.any(1)
        slots = memory.mask.sum(1)[present]
        tokens = batch.targets.tokens[present]
        lengths = batch.targets.lengths[present] - 1  # without EOS
        self._refuse_too_long(batch, present, tokens, lengths, slots)
        head = model.heads[ctc.head_name(source, memories)]
        scores = at_least_single(head(memory.values[present]))  # (B', S, V)
        if not len(scores):
            return scores.sum(), scores.new_zeros(())  # zero, and part of the graph
        total = F.ctc_loss(
            scores.log_softmax(-1).transpose(0, 1),
            tokens,
            slots,
            lengths,
            blank=PAD,
            reduction="sum",
            zero_infinity=True,  # of a target that was too long
        )
        return total, lengths.sum().to(total.dtype)

    def _refuse_too_long(
        self, batch: Any, present: Tensor, tokens: Tensor, lengths: Tensor, slots: Tensor
    ) -> None:
        """A path needs a slot per token and one more, a blank, between two equal neighbours."""
        inside = torch.arange(1, tokens.size(1), device=tokens.device) < lengths.unsqueeze(1)
        repeats = ((tokens[:, 1:] == tokens[:, :-1]) & inside).sum(1)
        for place in (lengths + repeats > slots).nonzero().flatten().tolist():
            name = batch.ids[int(present.nonzero().flatten()[place])]
            self.bad_rows.refuse(
                f"objective 'ctc' needs {int(lengths[place] + repeats[place])} slots for the "
                f"target of example {name!r}, got {int(slots[place])}; remove the example, let "
                "the encoder reduce its input less, or set training.bad_rows=skip",
                name,
            )


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
