"""Model and objectives as one module, and running figures of the loss for the log.

Letters: K objectives, B batch, M real target tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiattn.engine.batch import Batch, require_targets, target_tokens
from multiattn.engine.decoder import DecoderOutput, Feeding
from multiattn.engine.memory import Memory
from multiattn.engine.model import Model
from multiattn.engine.output_layer import at_least_float32
from multiattn.errors import UserError
from multiattn.training.objectives import (
    CountedObjective,
    Objective,
    OutputFreeObjective,
    WeightedObjective,
)


class Losses(nn.Module):
    """Uses everything that needs a gradient in one ``forward``, so that DDP can wrap it."""

    def __init__(self, model: Model, objectives: Sequence[WeightedObjective]) -> None:
        super().__init__()
        self.model = model
        self.objectives = tuple(objectives)
        self.keep = tuple({name for part in objectives for name in part.objective.keep})
        self.needs_output = any(_needs_output(part.objective) for part in objectives)

    def counts(self, batch: Batch) -> list[float]:
        """The count that each objective is divided by (K), known before the forward pass."""
        return [float(_count(part.objective, batch)) for part in self.objectives]

    def forward(self, batch: Batch | None, feeding: Feeding | None = None) -> tuple[Tensor, Tensor]:
        """Sums (K,) and counts (K,) of the objectives over a batch.

        Without a batch they are zeros, and the sums depend on every parameter: a process without
        examples must still take part in the exchange of gradients.
        """
        if batch is None:
            touched = torch.stack([parameter.sum() for parameter in self.parameters()]).sum() * 0
            return touched.expand(len(self.objectives)), torch.zeros_like(touched).expand(
                len(self.objectives)
            )
        if not self.needs_output:
            return self._totals(batch, self.model.encode(batch.sources, batch.size), None)
        return self._totals(batch, *self.model(batch, self.keep, feeding))

    @torch.no_grad()
    def measure(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Sums (K,), counts (K,), and the negative log-likelihood of each row (B,)."""
        memories, output = self.model(batch, self.keep)
        sums, counts = self._totals(batch, memories, output)
        gold = require_targets(batch).tokens[output.rows, output.steps]  # (M,)
        surprise = F.cross_entropy(at_least_float32(output.scores), gold, reduction="none")  # (M,)
        return sums, counts, sum_per_row(surprise, output, batch.size)

    def _totals(
        self, batch: Batch, memories: Mapping[str, Memory], output: Any
    ) -> tuple[Tensor, Tensor]:
        """The objectives' sums (K,) and counts (K,); ``output`` may be None if none needs it."""
        totals = [
            part.objective.loss(self.model, batch, memories, output) for part in self.objectives
        ]
        sums, counts = zip(*totals, strict=True)
        return torch.stack(sums), torch.stack(counts).to(sums[0])


def sum_per_row(values: Tensor, output: DecoderOutput, batch_size: int) -> Tensor:
    """Sum values (M,) of real target tokens over each row (B,), in the order of its steps.

    On a GPU ``index_add`` would add them in any order, with other last digits each time.
    """
    steps = int(output.steps[-1]) + 1
    padded = values.new_zeros(batch_size, steps).index_put((output.rows, output.steps), values)
    return padded.sum(1)


def _needs_output(objective: Objective) -> bool:
    return not isinstance(objective, OutputFreeObjective) or objective.needs_output


def _count(objective: Objective, batch: Batch) -> float:
    if isinstance(objective, CountedObjective):
        return objective.count(batch)
    return target_tokens(batch)


class Window:
    """Figures summed over the steps since the last line of the log; checkpoints store them."""

    def __init__(self, names: Sequence[str], weights: Tensor) -> None:
        self._names = tuple(names)
        self._weights = weights  # (K,)
        self.reset()

    def reset(self) -> None:
        """Reset all sums to zero."""
        size = len(self._names)
        self.total = self._weights.new_zeros(2 * size + 3)

    def add(self, totals: Tensor, norm: Tensor) -> None:
        """Add a step: global sums (K,), counts (K,) and target tokens, and its gradient norm."""
        self.total += torch.cat([totals, torch.stack([norm, norm.new_ones(())])])  # (2K + 3,)

    def figures(self) -> dict[str, float]:
        """Mean ``loss``, mean of each objective if there are several, and mean ``gradient_norm``.

        Raises UserError if the loss is not finite.
        """
        size = len(self._names)
        sums, counts, (norm, steps) = (
            self.total[:size],
            self.total[size : 2 * size],
            self.total[2 * size + 1 :],
        )
        means = sums / counts.clamp(min=1)
        figures = {"loss": finite(float((means * self._weights).sum()))}
        if size > 1:
            figures |= dict(zip(self._names, means.tolist(), strict=True))
        return figures | {"gradient_norm": float(norm / steps.clamp(min=1))}

    @property
    def tokens(self) -> int:
        """The number of target tokens."""
        return int(self.total[2 * len(self._names)])


def finite(loss: float) -> float:
    """Return ``loss``. Raises UserError if it is not finite, because training has diverged."""
    if not math.isfinite(loss):
        raise UserError(
            f"expected a finite loss, got {loss}; lower training.learning_rate or "
            "training.clip_norm, and start a new run with another --out"
        )
    return loss
