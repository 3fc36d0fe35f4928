"""Decode and score the validation split during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray

from multiattn.data.dataset import Dataset
from multiattn.data.rows import Row
from multiattn.engine.batch import memory_errors, targets_of
from multiattn.scoring.evaluator import Judge, Written
from multiattn.scoring.metric import Perplexity
from multiattn.search.writer import Writer
from multiattn.training.loss import Losses, finite

REMEDY = "lower search.batch_size or search.beam"


def decode(writer: Writer, data: Dataset, accelerator: Accelerator) -> list[Written]:
    """What the model writes for every example, in the order of the split."""
    writer.refresh()
    own: list[tuple[str, tuple[str, ...], tuple[float, ...]]] = []
    batches = data.sweep(
        writer.search.batch_size,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
    )
    for batch in batches:
        with memory_errors(batch, REMEDY):
            found = writer(batch.to(accelerator.device))
        for name, best in zip(batch.ids, found, strict=True):
            own.append((name, tuple(map(writer.text, best)), tuple(h.score for h in best)))
    by_id = {name: (texts, scores) for name, texts, scores in gather_object(own)}
    _check_complete(data.rows, by_id)
    return [Written(row.id, *by_id[row.id], row.targets) for row in data.rows]


def measure(
    losses: Losses, data: Dataset, batch_size: int, accelerator: Accelerator
) -> tuple[float, NDArray[np.float64]]:
    """The weighted objectives, and negative log-likelihood and tokens of every row (n, 2)."""
    own: list[tuple[str, float, int]] = []
    sums = torch.zeros(2, len(losses.objectives), dtype=torch.float64)  # sums, counts
    rank, world = accelerator.process_index, accelerator.num_processes
    for batch in data.sweep(batch_size, rank=rank, world=world):
        with memory_errors(batch, REMEDY):
            *totals, surprise = losses.measure(batch.to(accelerator.device))
        sums += torch.stack(totals).double().cpu()
        own += zip(batch.ids, surprise.tolist(), targets_of(batch).lengths.tolist(), strict=True)
    sums = torch.stack(gather_object([sums])).sum(0)
    by_id = {name: (surprise, count) for name, surprise, count in gather_object(own)}
    _check_complete(data.rows, by_id)
    weights = torch.tensor([part.weight for part in losses.objectives]).double()
    loss = float((weights * sums[0] / sums[1].clamp(min=1)).sum())
    return loss, np.array([by_id[row.id] for row in data.rows], dtype=np.float64)


def _check_complete(rows: Sequence[Row], by_id: Mapping[str, object]) -> None:
    missing = [row.id for row in rows if row.id not in by_id]
    if missing or len(by_id) != len(rows):
        raise RuntimeError(f"{len(missing)} examples were lost, the first is {missing[:1]}")


@dataclass(frozen=True)
class Validation:
    """What measures a model while it trains: loss, perplexity, and the metrics of its outputs.

    taught: the split with targets; asked: the same to be decoded; without a writer (a language
    model) nothing is.
    """

    losses: Losses
    taught: Dataset
    asked: Dataset
    writer: Writer | None
    judge: Judge
    accelerator: Accelerator
    batch_size: int

    def __call__(self) -> dict[str, float]:
        """Every figure by name."""
        loss, rows = measure(self.losses, self.taught, self.batch_size, self.accelerator)
        figures = {"loss": finite(loss), **Perplexity(rows).aggregate(rows.sum(0), len(rows))}
        if self.writer is None:
            return figures
        return figures | self.judge.values(decode(self.writer, self.asked, self.accelerator))
