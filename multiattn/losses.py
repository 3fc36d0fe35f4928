"""Model and objectives as one module, and the figures of the steps since the last line of the log.

It refuses to know how gradients become steps.

Letters: K objectives.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiattn.data import Batch
from multiattn.decoder import Feeding, Targets
from multiattn.errors import UserError
from multiattn.model import Model, WeightedObjective


class Losses(nn.Module):
    """All that needs a gradient is used inside this ``forward``, so that it can be distributed."""

    def __init__(self, model: Model, objectives: Sequence[WeightedObjective]) -> None:
        super().__init__()
        self.model = model
        self.objectives = tuple(objectives)
        self.keep = tuple({name for part in objectives for name in part.objective.keep})

    def counts(self, batch: Batch) -> list[float]:
        """What each objective is a mean over (K), known before anything is computed."""
        return [_count(part.objective, batch) for part in self.objectives]

    def forward(self, batch: Batch | None, feeding: Feeding | None) -> Tensor:
        """Sums of the objectives (K,) over a batch; for no batch zeros that touch every weight."""
        if batch is None:
            touched = sum(parameter.sum() for parameter in self.parameters())
            return torch.stack([torch.as_tensor(touched) * 0] * len(self.objectives))
        memories, output = self.model(batch, self.keep, feeding)
        sums = [
            part.objective.loss(self.model, batch, memories, output)[0] for part in self.objectives
        ]
        return torch.stack(sums)

    @torch.no_grad()
    def measure(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Sums of the objectives (K,), and each row's negative log-likelihood (B,)."""
        memories, output = self.model(batch, self.keep)
        sums = [
            part.objective.loss(self.model, batch, memories, output)[0] for part in self.objectives
        ]
        gold = targets_of(batch).tokens[output.rows, output.steps]  # (M,)
        surprise = F.cross_entropy(output.scores.float(), gold, reduction="none")  # (M,)
        rows = surprise.new_zeros(batch.size).index_add(0, output.rows, surprise)  # (B,)
        return torch.stack(sums), rows


class Window:
    """Figures summed over the steps since the last line of the log; a checkpoint keeps them."""

    def __init__(self, names: Sequence[str], weights: Tensor) -> None:
        self._names = tuple(names)
        self._weights = weights  # (K,)
        self.reset()

    def reset(self) -> None:
        """Start again from nothing."""
        size = len(self._names)
        self.total = self._weights.new_zeros(2 * size + 3)

    def add(self, sums: Tensor, counts: Tensor, norm: Tensor) -> None:
        """Add a step: global sums (K,), global counts and target tokens (K + 1,), gradient norm."""
        one = norm.new_ones(())
        self.total += torch.cat([sums, counts, torch.stack([norm, one])])  # (2K + 3,)

    def figures(self) -> dict[str, float]:
        """Mean ``loss``, each objective where there are several, and the mean ``gradient_norm``.

        Raises UserError where the loss is no number any more.
        """
        size = len(self._names)
        sums, counts, (norm, steps) = (
            self.total[:size],
            self.total[size : 2 * size],
            self.total[2 * size + 1 :],
        )
        means = sums / counts.clamp(min=1)
        found = {"loss": finite(float((means * self._weights).sum()))}
        if size > 1:
            found |= dict(zip(self._names, means.tolist(), strict=True))
        return found | {"gradient_norm": float(norm / steps.clamp(min=1))}

    @property
    def tokens(self) -> int:
        """Target tokens seen."""
        return int(self.total[2 * len(self._names)])


def finite(loss: float) -> float:
    """The loss itself. Raises UserError where training has diverged."""
    if not math.isfinite(loss):
        raise UserError(
            f"expected a finite loss, got {loss}; lower training.learning_rate or "
            "training.clip_norm, and start a new run with another --out"
        )
    return loss


def targets_of(batch: Batch) -> Targets:
    """The targets of a batch that teaches."""
    if batch.targets is None:
        raise TypeError("expected a batch with targets, got one to be decoded")
    return batch.targets


def target_tokens(batch: Batch) -> float:
    """Count the target tokens of a batch, ends included."""
    return float(targets_of(batch).lengths.sum())


def _count(objective: Any, batch: Batch) -> float:
    """``objective.count(batch)``; an objective that does not say is a mean over target tokens."""
    counted = getattr(objective, "count", target_tokens)(batch)
    return float(counted)


@contextmanager
def memory_errors(batch: Batch | None, remedy: str) -> Iterator[None]:
    """Turn running out of memory into a sentence that names the batch and what to lower."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        what = "nothing" if batch is None else batch.describe()
        raise UserError(
            f"expected a batch that fits into memory, got {what}, which does not; {remedy}"
        ) from error


def _out_of_memory(error: Exception) -> bool:
    known = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, known) or "can't allocate memory" in str(error)
