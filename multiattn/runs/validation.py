"""Decode a split and measure losses on it, over all processes; validation during training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray

from multiattn import stop_signals
from multiattn.data.dataset import Dataset
from multiattn.data.rows import Row
from multiattn.engine.batch import Batch, out_of_memory_as_user_error, require_targets
from multiattn.progress import progress_bar
from multiattn.scoring.evaluator import DecodedExample, Evaluator
from multiattn.scoring.perplexity import Perplexity
from multiattn.search.diagnostics.reading import Reading, readings
from multiattn.search.diagnostics.skipped import ctc_outputs
from multiattn.search.hypotheses import Hypothesis
from multiattn.search.panel import primary_memories
from multiattn.search.sequence_generator import SequenceGenerator
from multiattn.search.task import Memories
from multiattn.stop_signals import Stopped
from multiattn.training.loss import Losses, finite

OUT_OF_MEMORY_REMEDY = "lower search.batch_size or search.beam"


def decode(
    generator: SequenceGenerator,
    data: Dataset,
    accelerator: Accelerator,
    tokens_per_slot: Mapping[str, float | None] | None = None,
) -> list[DecodedExample]:
    """Decode every example; the result is in the order of the split, whole on every process.

    tokens_per_slot: of each source, see ``unread_stretch``; given, the examples say how the sources
    were read. Raises Stopped, on every process, if a signal has asked any of them to stop.
    """
    generator.refresh()
    own: list[tuple[str, tuple[str, ...], tuple[float, ...], dict[str, Reading]]] = []
    batches = data.sweep(
        generator.settings.batch_size,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
    )
    with progress_bar("decoding", math.ceil(len(data.rows) / accelerator.num_processes)) as bar:
        for batch in _until_stopped(batches):
            with out_of_memory_as_user_error(batch, OUT_OF_MEMORY_REMEDY):
                memories = generator.encode(batch.to(accelerator.device))
                outputs = generator.search(memories, batch.ids)
            by_row: Iterable[dict[str, Reading]] = repeat({}, batch.size)
            if tokens_per_slot is not None:
                by_row = _readings(generator, memories, outputs, tokens_per_slot)
            for example_id, n_best, read in zip(batch.ids, outputs, by_row, strict=True):
                texts, scores = map(generator.text, n_best), (each.score for each in n_best)
                own.append((example_id, tuple(texts), tuple(scores), read))
            bar.advance(batch.size)
    by_id = {example_id: outcome for example_id, *outcome in _gather(own)}
    _check_complete(data.rows, by_id)
    decoded = []
    for row in data.rows:
        texts, scores, read = by_id[row.id]
        decoded.append(DecodedExample(row.id, texts, scores, row.targets, read))
    return decoded


def _readings(
    generator: SequenceGenerator,
    memories: Memories,
    outputs: Sequence[Sequence[Hypothesis]],
    tokens_per_slot: Mapping[str, float | None],
) -> Iterator[dict[str, Reading]]:
    """How the first output of every example reads its sources."""
    own = primary_memories(memories)
    layouts = {name: memory.layout for name, memory in own.items()}
    ctc = ctc_outputs(own, dict(generator.model.heads))
    for row, n_best in enumerate(outputs):
        of_row = {name: each[row] for name, each in ctc.items()}
        yield readings(n_best[0], layouts, tokens_per_slot, of_row)


def measure(
    losses: Losses, data: Dataset, batch_size: int, accelerator: Accelerator
) -> tuple[float, NDArray[np.float64]]:
    """The weighted objectives, and negative log-likelihood and tokens of every row (n, 2).

    Raises Stopped as ``decode`` does.
    """
    own: list[tuple[str, float, int]] = []
    sums = torch.zeros(2, len(losses.objectives), dtype=torch.float64)  # sums, counts
    rank, world = accelerator.process_index, accelerator.num_processes
    with progress_bar("measuring the loss", math.ceil(len(data.rows) / world)) as bar:
        for batch in _until_stopped(data.sweep(batch_size, rank=rank, world=world)):
            with out_of_memory_as_user_error(batch, OUT_OF_MEMORY_REMEDY):
                *totals, nll = losses.measure(batch.to(accelerator.device))
            sums += torch.stack(totals).double().cpu()
            lengths = require_targets(batch).lengths.tolist()
            own += zip(batch.ids, nll.tolist(), lengths, strict=True)
            bar.advance(batch.size)
    sums = torch.stack(_gather([sums])).sum(0)
    by_id = {example_id: (nll, tokens) for example_id, nll, tokens in _gather(own)}
    _check_complete(data.rows, by_id)
    weights = torch.tensor([weighted.weight for weighted in losses.objectives]).double()
    loss = float((weights * sums[0] / sums[1].clamp(min=1)).sum())
    return loss, np.array([by_id[row.id] for row in data.rows], dtype=np.float64)


def _until_stopped(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches up to the one in hand when a signal asks this process to stop."""
    for batch in batches:
        yield batch
        if stop_signals.requested():
            return


def _gather(own: list[Any]) -> list[Any]:
    """The entries of all processes. Raises Stopped on each if a signal has asked any to stop."""
    signal = max(gather_object([stop_signals.requested()]))
    if signal:
        raise Stopped(signal)
    gathered: list[Any] = gather_object(own)
    return gathered


def _check_complete(rows: Sequence[Row], by_id: Mapping[str, object]) -> None:
    missing = [row.id for row in rows if row.id not in by_id]
    if missing or len(by_id) != len(rows):
        raise RuntimeError(f"{len(missing)} examples were lost, the first is {missing[:1]}")


@dataclass(frozen=True)
class Validation:
    """Measures a model during training: loss, perplexity, and the metrics of its outputs.

    loss_data: the split with targets. decode_data: the same split, to be decoded.
    generator: None for a language model, of which nothing is decoded.
    """

    losses: Losses
    loss_data: Dataset
    decode_data: Dataset
    generator: SequenceGenerator | None
    evaluator: Evaluator
    accelerator: Accelerator
    batch_size: int

    def __call__(self) -> dict[str, float]:
        """Every value by name."""
        loss, rows = measure(self.losses, self.loss_data, self.batch_size, self.accelerator)
        values = {"loss": finite(loss), **Perplexity(rows).aggregate(rows.sum(0), len(rows))}
        if self.generator is None:
            return values
        decoded = decode(self.generator, self.decode_data, self.accelerator)
        return values | self.evaluator.values(decoded)
