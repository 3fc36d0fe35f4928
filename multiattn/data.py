"""Rows -> batches. It reads and pads by contract, and refuses to know what a value shows.

    train = Dataset.training(corpus, settings.splits.train, settings, readers, tokenizer)
    plan = Plan(train.costs, settings.training, seed=settings.seed, world=world)
    for step, batches in train.batches(plan.follow(position), rank=rank, workers=2):
        ...                                    # one Batch per shard; None where a shard is empty
    for batch in Dataset.evaluation(corpus, "test", settings, readers).sweep(batch_size=32):
        ...                                    # every example once, longest first: reorder by id

Every random choice (subword sampling, a reader's augmentation) is drawn from a generator seeded
with (seed, epoch, example id, part): batches, their order and the process that reads them change
nothing.

Letters: B examples of a batch, R of them that have a source, L its padded length, T target steps.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from multiattn.decoder import Targets
from multiattn.errors import UserError
from multiattn.memory import tree_map
from multiattn.plan import Costs, Step, derive
from multiattn.rows import BadRows, Corpus, Report, Row, scored_rows, taught_rows
from multiattn.settings import RecipeSettings
from multiattn.tokenizer import EOS, PAD, Tokenizer

# What has been read once and is the same every time is kept, up to so much per source or target.
KEPT_BYTES = 512 * 2**20

Given = TypeVar("Given")
Made = TypeVar("Made")


class Reader(Protocol):
    """Raw value -> tensor; the part of a reader that batches need.

    A value of a corpus is a text or a path; from Python a reader may take others (bytes, arrays).
    A reader with an attribute ``random = False`` promises that a generator changes nothing; what it
    read is then kept in memory.
    """

    def measure(self, value: Any) -> int:
        """Give the size of what ``read`` returns, in the reader's own unit.

        Ids of a text, hundredths of a second of a recording: what ``training.source_budget`` and
        ``training.max_source`` count. A reader whose sizes a generator changes says which it gives.
        Raises UserError for a value that cannot be used, as far as the reader looks into it.
        """

    def read(self, value: Any, generator: torch.Generator | None = None) -> Tensor:
        """Give the tensor (L, …); a generator means training. Raises UserError."""

    def collate(self, items: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pad: R items (L, …) -> (R, L, …) and lengths (R,)."""


@dataclass(frozen=True)
class Inputs:
    """One source of a batch, of the examples that have it.

    values: (R, L, …) padded; lengths: (R,); rows: (R,) their positions in the batch, ascending.
    """

    values: Tensor
    lengths: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Batch:
    """What the model sees at once. A source that no example of the batch has is left out.

    ids: B names; targets: None where nothing is taught.
    """

    ids: tuple[str, ...]
    sources: Mapping[str, Inputs]
    targets: Targets | None = None

    @property
    def size(self) -> int:
        """The number of examples B."""
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        """Give the same batch on another device."""
        moved: Batch = tree_map(lambda leaf: leaf.to(device), self)
        return moved

    def describe(self) -> str:
        """Say how large the batch is and whose, for a message about memory."""
        parts = [f"{name} {tuple(inputs.values.shape)}" for name, inputs in self.sources.items()]
        if self.targets is not None:
            parts.append(f"target {tuple(self.targets.tokens.shape)}")
        return f"{self.size} examples ({self.ids[0]} … {self.ids[-1]}): " + ", ".join(parts)


class Collator:
    """Rows -> Batch. Without a tokenizer no targets; without a seed nothing is random."""

    def __init__(
        self,
        readers: Mapping[str, Reader],
        tokenizer: Tokenizer | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        self.sources = {name: _Source(name, reader, seed) for name, reader in readers.items()}
        self.target = None if tokenizer is None else _Target(tokenizer, seed)

    def __call__(self, rows: Sequence[Row], epoch: int = 0) -> Batch:
        """Read, encode and pad these rows (at least one) as they are in this epoch."""
        sources = {name: source(rows, epoch) for name, source in self.sources.items()}
        return Batch(
            ids=tuple(row.id for row in rows),
            sources={name: inputs for name, inputs in sources.items() if inputs is not None},
            targets=None if self.target is None else self.target(rows, epoch),
        )

    def measure(self, row: Row) -> tuple[int, ...]:
        """Give the target's length with EOS, then each source's; 0 for what is not there."""
        target = 0 if self.target is None else self.target.measure(row)
        return target, *(source.measure(row) for source in self.sources.values())


class _Source:
    """One source of a batch: values are read, those that never change are kept."""

    def __init__(self, name: str, reader: Reader, seed: int | None) -> None:
        self._name = name
        self._reader = reader
        self._seed = seed
        self._kept = _Kept(KEPT_BYTES)
        self._lengths: dict[str, int] = {}  # five captions, one picture: measured once

    def __call__(self, rows: Sequence[Row], epoch: int) -> Inputs | None:
        items, present = [], []
        for position, row in enumerate(rows):
            value = row.sources[self._name]
            if value is not None:
                items.append(self._read(value, row.id, epoch))
                present.append(position)
        if not present:
            return None
        values, lengths = self._reader.collate(items)  # (R, L, …), (R,)
        return Inputs(values, lengths, torch.tensor(present))

    def measure(self, row: Row) -> int:
        value: str | None = row.sources[self._name]
        if value is None:
            return 0
        if value not in self._lengths:
            self._lengths[value] = self._reader.measure(value)
        return self._lengths[value]

    def _read(self, value: Any, example_id: str, epoch: int) -> Tensor:
        if self._seed is None or not getattr(self._reader, "random", True):
            return self._kept.get(value, lambda: self._reader.read(value))
        seed = derive(self._seed, epoch, example_id, "source", self._name)
        return self._reader.read(value, torch.Generator().manual_seed(seed))


class _Target:
    """The targets of a batch, and how many texts the tokenizer does not give back."""

    def __init__(self, tokenizer: Tokenizer, seed: int | None) -> None:
        self.lossy = 0
        self._tokenizer = tokenizer
        self._seed = seed if tokenizer.settings.sampling else None
        self._kept = _Kept(KEPT_BYTES)

    def __call__(self, rows: Sequence[Row], epoch: int) -> Targets:
        items = [self._encode(row, epoch) for row in rows]
        lengths = torch.tensor([len(item) for item in items])
        return Targets(pad_sequence(items, batch_first=True, padding_value=PAD), lengths)  # (B, T)

    def measure(self, row: Row) -> int:
        """Without sampling: what is drawn may be longer."""
        (text,) = row.targets
        ids = self._ids(text, None) if self._seed is not None else self._encode(row, 0)
        expected = text.lower() if self._tokenizer.settings.lowercase else text
        self.lossy += self._tokenizer.decode(ids.tolist()).split() != expected.split()
        return len(ids)

    def _encode(self, row: Row, epoch: int) -> Tensor:
        (text,) = row.targets
        if self._seed is None:
            return self._kept.get(text, lambda: self._ids(text, None))
        seed = derive(self._seed, epoch, row.id, "target")
        return self._ids(text, random.Random(seed))  # noqa: S311 (not for secrets)

    def _ids(self, text: str, generator: random.Random | None) -> Tensor:
        return torch.tensor([*self._tokenizer.encode(text, generator), EOS])


class _Kept:
    """Tensors made once of a text or a path, until they fill ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._tensors: dict[str, Tensor] = {}

    def get(self, key: Any, make: Callable[[], Tensor]) -> Tensor:
        if not isinstance(key, str):
            return make()
        if key in self._tensors:
            return self._tensors[key]
        tensor = make()
        if tensor.nbytes <= self._room:
            self._room -= tensor.nbytes
            self._tensors[key] = tensor
        return tensor


@dataclass(frozen=True)
class Dataset:
    """The rows of one split, measured once, and how they become batches."""

    rows: tuple[Row, ...]
    costs: Costs
    collate: Collator
    report: Report

    @classmethod
    def training(
        cls,
        corpus: Corpus,
        split: str,
        settings: RecipeSettings,
        readers: Mapping[str, Reader],
        tokenizer: Tokenizer,
    ) -> Dataset:
        """One row per target text; too long ones are left out; augmented, sampled.

        Raises UserError at a bad row (unless the recipe skips them) and if no row remains.
        """
        _check_names(settings)
        collate = Collator(readers, tokenizer, seed=settings.seed)
        return _prepare(taught_rows, corpus, split, settings, collate).within(settings)

    @classmethod
    def validation(
        cls,
        corpus: Corpus,
        split: str,
        settings: RecipeSettings,
        readers: Mapping[str, Reader],
        tokenizer: Tokenizer,
    ) -> Dataset:
        """One row per target text, all of them, nothing random: what a loss is measured on."""
        return _prepare(taught_rows, corpus, split, settings, Collator(readers, tokenizer))

    @classmethod
    def evaluation(
        cls,
        corpus: Corpus,
        split: str,
        settings: RecipeSettings,
        readers: Mapping[str, Reader],
    ) -> Dataset:
        """One row per example with all its references; batches without targets: to be decoded."""
        return _prepare(scored_rows, corpus, split, settings, Collator(readers))

    def batches(
        self, steps: Iterable[Step], *, rank: int = 0, workers: int = 0
    ) -> Iterator[tuple[Step, list[Batch | None]]]:
        """Per optimiser step, this process's micro-batches: one per shard, None where it is empty.

        The list is ``accumulate`` long on every process. ``workers`` processes read ahead; they
        change nothing but time. ``steps`` may be endless. Raises UserError if a reader does.
        """
        return _loaded(partial(self._micro_batches, rank), steps, workers)

    def sweep(
        self, batch_size: int, *, rank: int = 0, world: int = 1, workers: int = 0
    ) -> Iterator[Batch]:
        """Every row once over all ranks, longest first: memory runs out at once or never."""
        lengths = [*self.costs.sources.values(), self.costs.target]
        longest_first = np.lexsort(lengths[::-1])[::-1].tolist()
        starts = range(rank * batch_size, len(self.rows), world * batch_size)
        indices = [longest_first[start : start + batch_size] for start in starts]
        return _loaded(self._batch, indices, workers)

    def first(self, count: int | None) -> Dataset:
        """The first rows of the split, all of them for None."""
        return self._keep(range(min(count or len(self.rows), len(self.rows))))

    def within(self, settings: RecipeSettings) -> Dataset:
        """Leave out rows longer than the recipe's limits, count them. UserError if none is left."""
        limits = {"target": settings.training.max_target_tokens, **settings.training.max_source}
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
        return replace(kept, report=replace(kept.report, too_long=counts))

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
class _Maker(Generic[Given, Made]):
    """What a loader asks, in this process or in another one, which would wrap what is raised."""

    make: Callable[[Given], Made]

    def __getitem__(self, given: Given) -> Made | UserError:
        try:
            return self.make(given)
        except UserError as error:
            return error


def _loaded(make: Callable[[Given], Made], given: Iterable[Given], workers: int) -> Iterator[Made]:
    """Map ``make`` over ``given`` in order, ``workers`` processes ahead."""
    loader: DataLoader[Made | UserError] = DataLoader(
        _Maker(make),  # type: ignore[arg-type]
        batch_size=None,
        sampler=given,
        num_workers=workers,
        collate_fn=_as_is,
        # Its own, because a loader otherwise takes a number from the one that dropout draws from.
        generator=torch.Generator(),
    )
    for made in loader:
        if isinstance(made, UserError):
            raise made
        yield made


def _as_is(made: object) -> object:
    return made


def _prepare(
    rows_of: Callable[[Corpus, str, RecipeSettings, BadRows], list[Row]],
    corpus: Corpus,
    split: str,
    settings: RecipeSettings,
    collate: Collator,
) -> Dataset:
    """Read a split and measure every row, obeying the recipe's policy for bad ones."""
    bad_rows = BadRows(settings.training.bad_rows)
    rows, measured = [], []
    for row in rows_of(corpus, split, settings, bad_rows):
        lengths = bad_rows.attempt(partial(collate.measure, row))
        if lengths is not None:
            rows.append(row)
            measured.append(lengths)
    if not rows:
        raise UserError(f"expected examples in the split {split!r}, got none; look at the corpus")
    columns = np.array(measured, dtype=np.int64).T  # (1 + sources, E)
    costs = Costs(
        ids=[row.id for row in rows],
        target=columns[0],
        sources=dict(zip(collate.sources, columns[1:], strict=True)),
    )
    lossy = 0 if collate.target is None else collate.target.lossy
    report = Report(len(rows), tuple(bad_rows.sentences), lossy=lossy)
    return Dataset(tuple(rows), costs, collate, report)


def _check_names(settings: RecipeSettings) -> None:
    """Limits and budgets of a source that is not there would silently do nothing."""
    for setting in ("max_source", "source_budget"):
        for name in getattr(settings.training, setting):
            if name not in settings.sources:
                raise UserError(
                    f"expected in training.{setting} a source of the recipe "
                    f"({', '.join(settings.sources)}), got {name!r}; correct or remove it"
                )
