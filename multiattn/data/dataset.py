"""Serve the rows of a split as batches, in the order of a plan.

    train = Dataset.training(splits, readers, tokenizer, settings.training, settings.seed)
    plan = Plan(train.costs, settings.training, seed=settings.seed, world=world)
    for step, batches in train.batches(plan.follow(position), rank=rank, workers=2):
        ...                                    # one Batch per shard; None where a shard is empty
    for batch in Dataset.evaluation(splits, "test", readers).sweep(batch_size=32):
        ...                                    # every example once, longest first: reorder by id

Reading, tokenizing and padding are in ``collation.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

import numpy as np
import torch
from accelerate.utils import parse_flag_from_env
from torch.utils.data import DataLoader

from multiattn.data.batch_plan import Costs, Step
from multiattn.data.collation import Collator, Reader
from multiattn.data.rows import BadRowPolicy, BadRows, Row, SplitReport, no_examples
from multiattn.data.splits import Splits
from multiattn.data.tokenizer import Tokenizer
from multiattn.engine.batch import Batch
from multiattn.errors import UserError, shown
from multiattn.progress import track
from multiattn.recipe.settings import TrainingSettings
from multiattn.stop_signals import leave_to_parent

# Takes a row, its target's ids and its sources' sizes; raises UserError if the row is unusable.
RowCheck = Callable[[Row, Sequence[int], Mapping[str, int]], None]
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Dataset:
    """The rows of one split, measured once, and the collator that batches them."""

    rows: tuple[Row, ...]
    costs: Costs
    collate: Collator
    report: SplitReport

    @classmethod
    def training(
        cls,
        splits: Splits,
        readers: Mapping[str, Reader],
        tokenizer: Tokenizer,
        training: TrainingSettings,
        seed: int,
    ) -> Dataset:
        """The training split, with augmentation and subword sampling: one row per target text.

        Rows over the recipe's length limits are left out. Raises UserError at a bad row (unless the
        recipe skips bad rows) and if no row remains.
        """
        _check_source_names(training, splits.fields.sources)
        collate = Collator(readers, tokenizer, seed=seed)
        split = splits.names.train
        rows, bad_rows = splits.training_rows(split)
        return _measure_rows(rows, bad_rows, split, collate).within_limits(training)

    @classmethod
    def validation(
        cls,
        splits: Splits,
        split: str,
        readers: Mapping[str, Reader],
        tokenizer: Tokenizer,
    ) -> Dataset:
        """Every target text as a row, nothing random: the data for measuring a loss."""
        rows, bad_rows = splits.training_rows(split)
        return _measure_rows(rows, bad_rows, split, Collator(readers, tokenizer))

    @classmethod
    def evaluation(cls, splits: Splits, split: str, readers: Mapping[str, Reader]) -> Dataset:
        """One row per example with all its references; batches for decoding, without targets."""
        rows, bad_rows = splits.evaluation_rows(split)
        return _measure_rows(rows, bad_rows, split, Collator(readers))

    def batches(
        self, steps: Iterable[Step], *, rank: int = 0, workers: int = 0
    ) -> Iterator[tuple[Step, list[Batch | None]]]:
        """Yield each step with the rank's micro-batches: one per shard, None for an empty shard.

        The list has ``accumulate`` entries on every process. ``workers`` processes read ahead,
        which affects speed only. ``steps`` may be endless. Raises UserError if a reader does.
        """
        return _load_in_order(partial(self._micro_batches, rank), steps, workers)

    def sweep(
        self, batch_size: int, *, rank: int = 0, world: int = 1, workers: int = 0
    ) -> Iterator[Batch]:
        """Every row once over all ranks, longest first: memory runs out at once or not at all."""
        lengths = [*self.costs.sources.values(), self.costs.target]
        longest_first = np.lexsort(lengths[::-1])[::-1].tolist()
        starts = range(rank * batch_size, len(self.rows), world * batch_size)
        indices = [longest_first[start : start + batch_size] for start in starts]
        return _load_in_order(self._batch, indices, workers)

    def first(self, count: int | None) -> Dataset:
        """The first ``count`` rows of the split; all of them if None."""
        return self._keep(range(min(count or len(self.rows), len(self.rows))))

    def within_limits(self, training: TrainingSettings) -> Dataset:
        """Leave out and count rows over the recipe's limits. Raises UserError if none is left."""
        limits = {"target": training.max_target_tokens, **training.max_source}
        lengths = {"target": self.costs.target, **self.costs.sources}
        long = {side: lengths[side] > limit for side, limit in limits.items()}  # (E,) bool
        keep = np.flatnonzero(~np.any(list(long.values()), axis=0)).tolist()
        counts = {side: int(mask.sum()) for side, mask in long.items() if mask.any()}
        if not keep:
            raise UserError(
                f"expected examples to train on, got none of {len(self.rows)} within the limits "
                f"{limits}; raise training.max_target_tokens or training.max_source"
            )
        kept = self._keep(keep)
        longest = {
            side: f"{shown(self.rows[lengths[side].argmax()].id)}, has {lengths[side].max():,}"
            for side in counts
        }
        report = replace(kept.report, too_long=counts, longest=longest)
        return replace(kept, report=report)

    def drop_refused(self, check: RowCheck, policy: BadRowPolicy) -> Dataset:
        """Leave out rows that ``check`` refuses, reporting why, or stop at the first."""
        target = self.collate.target
        if target is None:
            return self
        bad_rows = BadRows(policy)

        def examine(index: int) -> int:
            row = self.rows[index]
            own = {name: int(sizes[index]) for name, sizes in self.costs.sources.items()}
            check(row, target.ids(row).tolist()[:-1], own)
            return index

        examined = [bad_rows.attempt(partial(examine, index)) for index in range(len(self.rows))]
        keep = [index for index in examined if index is not None]
        return self._keep_and_report(keep, bad_rows.sentences)

    def drop_values(self, source: str, refused: Mapping[str, str]) -> Dataset:
        """Leave out rows whose source value is in ``refused``, which gives the reason by value."""
        values = [row.sources[source] for row in self.rows]
        keep = [index for index, value in enumerate(values) if value not in refused]
        sentences = [refused[value] for value in dict.fromkeys(values) if value in refused]
        return self._keep_and_report(keep, sentences)

    def _keep_and_report(self, keep: Sequence[int], sentences: Sequence[str]) -> Dataset:
        """Keep these rows, and report why the rest were dropped."""
        if not keep:
            raise UserError(
                f"expected rows to train on, got none: all were refused, the first: {sentences[0]}"
            )
        kept = self._keep(keep)
        skipped = (*self.report.skipped, *sentences)
        return replace(kept, report=replace(kept.report, skipped=skipped))

    def _keep(self, indices: Sequence[int]) -> Dataset:
        at = np.array(indices, dtype=np.int64)
        rows = tuple(self.rows[index] for index in indices)
        sources = {name: lengths[at] for name, lengths in self.costs.sources.items()}
        costs = Costs([row.id for row in rows], self.costs.target[at], sources)
        report = replace(self.report, rows=len(rows))
        return replace(self, rows=rows, costs=costs, report=report)

    def _batch(self, indices: Sequence[int], epoch: int = 0) -> Batch:
        return self.collate([self.rows[index] for index in indices], epoch)

    def _micro_batches(self, rank: int, step: Step) -> tuple[Step, list[Batch | None]]:
        epoch = step.position.epoch
        shards = step.shards_of(rank)
        return step, [self._batch(shard, epoch) if shard else None for shard in shards]


@dataclass(frozen=True)
class _MapDataset(Generic[Key, Value]):
    """The loader's dataset. It returns errors, as a worker process would wrap raised ones."""

    make: Callable[[Key], Value]

    def __getitem__(self, given: Key) -> Value | UserError:
        try:
            return self.make(given)
        except UserError as error:
            return error


def _load_in_order(
    make: Callable[[Key], Value], given: Iterable[Key], workers: int
) -> Iterator[Value]:
    """Map ``make`` over ``given`` in order, with ``workers`` processes reading ahead."""
    loader: DataLoader[Value | UserError] = DataLoader(
        _MapDataset(make),  # type: ignore[arg-type]
        batch_size=None,
        sampler=given,
        num_workers=workers,
        worker_init_fn=_leave_signals_to_parent,
        collate_fn=_identity,
        pin_memory=torch.cuda.is_available() and not parse_flag_from_env("ACCELERATE_USE_CPU"),
        # By default a loader draws a number from the global generator, which dropout uses.
        generator=torch.Generator(),
    )
    for made in loader:
        if isinstance(made, UserError):
            raise made
        yield made


def _leave_signals_to_parent(worker: int) -> None:
    leave_to_parent()


def _identity(made: object) -> object:
    return made


def _measure_rows(
    candidates: Sequence[Row], bad_rows: BadRows, split: str, collate: Collator
) -> Dataset:
    """Measure every row; unusable rows are left out where the recipe skips bad rows."""
    rows, measured = [], []
    for row in track(candidates, f"reading {split}", len(candidates)):
        lengths = bad_rows.attempt(partial(collate.measure, row))
        if lengths is not None:
            rows.append(row)
            measured.append(lengths)
    if not rows:
        raise no_examples(split, bad_rows)
    columns = np.array(measured, dtype=np.int64).T  # (1 + sources, E)
    costs = Costs(
        ids=[row.id for row in rows],
        target=columns[0],
        sources=dict(zip(collate.sources, columns[1:], strict=True)),
    )
    lossy = () if collate.target is None else tuple(collate.target.lossy)
    report = SplitReport(len(rows), tuple(bad_rows.sentences), lossy=lossy)
    return Dataset(tuple(rows), costs, collate, report)


def _check_source_names(training: TrainingSettings, sources: Collection[str]) -> None:
    """Raise UserError for limits or budgets of unknown sources, which would have no effect."""
    limits = {"max_source": training.max_source, "source_budget": training.source_budget}
    for setting, by_source in limits.items():
        for name in by_source:
            if name not in sources:
                raise UserError(
                    f"expected training.{setting} to name a source of the recipe "
                    f"({', '.join(sources)}), got {shown(name)}; correct or remove it"
                )
