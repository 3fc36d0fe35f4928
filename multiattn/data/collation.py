"""Turn rows into one batch: read each source, tokenize the targets, pad.

Every random choice (subword sampling, a reader's augmentation) is drawn from a generator seeded
with (seed, epoch, example id, source or target), so it does not depend on how rows are batched, on
the order of batches or on which process reads them.

Letters: B examples in a batch, R of them with a given source, L its padded length, T target steps.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from multiattn.data.corpus import StoredMedia
from multiattn.data.rows import Row
from multiattn.data.tokenizer import Tokenizer
from multiattn.engine.batch import Batch, Inputs, Targets
from multiattn.errors import UserError
from multiattn.seeds import derive
from multiattn.symbols import EOS, PAD, UNK

# Deterministic arrays are kept after the first read, up to this size per source or target.
CACHED_BYTES = 512 * 2**20

Item = TypeVar("Item", NDArray[Any], Tensor)


@runtime_checkable
class Reader(Protocol):
    """The target of a ``Reader`` record: turns a raw value into an array.

    A value from a corpus is a text or a path; a reader may accept other types, from a corpus
    (``StoredMedia``) or from Python (bytes, arrays). spec: what an encoder must know about its
    input, passed on as ``input_spec``.
    """

    @property
    def spec(self) -> Any:
        """What the encoder is built with, such as a vocabulary size."""

    def labels(self, value: Any) -> Sequence[str]:
        """One label per slot, for attention maps; empty where slots have no labels."""

    def measure(self, value: Any) -> int:
        """Return the size of what ``read`` returns, in the reader's own unit.

        For example ids of a text or hundredths of a second of a recording; this is the unit of
        ``training.source_budget`` and ``training.max_source``. A reader whose sizes depend on the
        generator documents which size it returns. Raises UserError for an unusable value, as far as
        the reader can tell without reading it in full.
        """

    def read(self, value: Any, generator: torch.Generator | None = None) -> NDArray[Any]:
        """Return the array (L, …); a generator is given in training only. Raises UserError."""

    def collate(self, items: Sequence[NDArray[Any]]) -> tuple[Tensor, Tensor]:
        """Pad R arrays (L, …) to a tensor (R, L, …) and return the lengths (R,) too."""


@runtime_checkable
class FittedReader(Protocol):
    """A reader fitted on the training split; its fitted state is kept in the run folder."""

    def fit(self, values: Iterable[Any], tokenizer: Tokenizer) -> None:
        """Fit to these values. tokenizer: the target's, for readers that share it."""

    def save(self, folder: Path) -> None:
        """Write the fitted state into an empty folder.

        A file ``*.jsonl``, such as one of measured durations, may grow later: no array depends on
        it.
        """

    def load(self, folder: Path, tokenizer: Tokenizer) -> None:
        """Read what ``save`` wrote. Raises UserError if it is damaged."""


@runtime_checkable
class PretrainedReader(Protocol):
    """A reader that takes files of a pretrained model, such as its tokenizer, when it is fitted."""

    def start_from(self, data_root: Path) -> None:
        """Called before ``fit`` with the folder below which such files lie."""


@runtime_checkable
class DeterministicReader(Protocol):
    """A reader with ``random = False``: it ignores the generator, so arrays may be cached."""

    random: bool


@runtime_checkable
class JointReader(Protocol):
    """A text reader with ``joint = True``: it shares the target's tokenizer."""

    joint: bool


@runtime_checkable
class TokenizingReader(Protocol):
    """A text reader that exposes its tokenizer."""

    tokenizer: Tokenizer


@runtime_checkable
class ObjectReader(Protocol):
    """A reader that accepts objects of these types besides texts and paths.

    One that accepts ``StoredMedia`` takes the media of datasets.
    """

    accepts: tuple[type, ...]


@runtime_checkable
class ExampleReader(Protocol):
    """A reader that makes values to read, for checks; one of texts is checked on sentences."""

    def example_values(self, folder: Path) -> Sequence[Any]:
        """Two values or more, of different sizes if sizes differ; files go into ``folder``.

        It is called before ``fit``, after ``start_from`` if there is one, with an empty folder.
        """


@runtime_checkable
class CachedFeatures(Protocol):
    """A reader with ``gives_features = True``: it reads tensors that an encoder's frozen part gave.

    They go to ``FeatureEncoder.forward_features``.
    """

    gives_features: bool


def is_random(reader: object) -> bool:
    """Whether reading a value twice may give different arrays; by default it may."""
    return not isinstance(reader, DeterministicReader) or reader.random


class Collator:
    """Turn rows into a Batch: no targets without a tokenizer, nothing random without a seed."""

    def __init__(
        self,
        readers: Mapping[str, Reader],
        tokenizer: Tokenizer | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        self.seed = seed
        self.sources = {name: _Source(name, reader, seed) for name, reader in readers.items()}
        self.target = None if tokenizer is None else _Target(tokenizer, seed)

    def __call__(self, rows: Sequence[Row], epoch: int = 0) -> Batch:
        """Read, tokenize and pad these rows (at least one), with this epoch's random choices."""
        sources = {name: source(rows, epoch) for name, source in self.sources.items()}
        return Batch(
            ids=tuple(row.id for row in rows),
            sources={name: inputs for name, inputs in sources.items() if inputs is not None},
            targets=None if self.target is None else self.target(rows, epoch),
            references=tuple(row.references or row.targets for row in rows),
        )

    def measure(self, row: Row) -> tuple[int, ...]:
        """Return the target's length with EOS, then each source's; 0 for an absent one.

        Raises UserError for a value or a target that cannot be used.
        """
        target = 0
        if self.target is not None:
            self.target.check(row, taught=self.seed is not None)
            target = self.target.measure(row)
        return target, *(source.measure(row) for source in self.sources.values())


class _Source:
    """Reads one source of a batch, and keeps arrays that are the same at every read."""

    def __init__(self, name: str, reader: Reader, seed: int | None) -> None:
        self._name = name
        self._reader = reader
        self._seed = seed
        self._features = isinstance(reader, CachedFeatures) and reader.gives_features
        self._random = is_random(reader)
        # Features are read from a memory-mapped file, which the system already caches.
        self._kept = _ItemCache(0 if self._features else CACHED_BYTES)
        self._lengths: dict[Any, int] = {}  # an image with five captions is measured once

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
        return Inputs(values, lengths, torch.tensor(present), self._features)

    def measure(self, row: Row) -> int:
        value = row.sources[self._name]
        if value is None:
            return 0
        if value not in self._lengths:
            self._lengths[value] = self._reader.measure(value)
        return self._lengths[value]

    def _read(self, value: Any, example_id: str, epoch: int) -> Any:
        if self._seed is None or not self._random:
            return self._kept.get(value, lambda: self._reader.read(value))
        seed = derive(self._seed, epoch, example_id, "source", self._name)
        return self._reader.read(value, torch.Generator().manual_seed(seed))


class _Target:
    """Encodes the targets of a batch, and notes texts that the tokenizer does not restore."""

    def __init__(self, tokenizer: Tokenizer, seed: int | None) -> None:
        self.lossy: list[str] = []  # descriptions of rows whose target decodes differently
        self._tokenizer = tokenizer
        self._seed = seed if tokenizer.settings.sampling else None
        self._kept = _ItemCache(CACHED_BYTES)

    def __call__(self, rows: Sequence[Row], epoch: int) -> Targets:
        items = [self._encode(row, epoch) for row in rows]
        lengths = torch.tensor([len(item) for item in items])
        return Targets(pad_sequence(items, batch_first=True, padding_value=PAD), lengths)  # (B, T)

    def measure(self, row: Row) -> int:
        return len(self.ids(row))

    def check(self, row: Row, *, taught: bool) -> None:
        """Note a target that decoding does not restore exactly.

        Raises UserError if ``taught`` (the row is trained on) and a character tokenizer lacks one
        of its characters.
        """
        (text,) = row.targets
        ids = self.ids(row).tolist()
        if taught and self._tokenizer.settings.kind == "char" and UNK in ids:
            raise UserError(
                f"expected only known characters in the target of {row.description}, got "
                f"{self._strange(text)}; correct the target, train a new tokenizer, or set "
                "training.bad_rows=skip"
            )
        if self._tokenizer.decode(ids) != self._tokenizer.normalised(text):
            self.lossy.append(row.description)

    def ids(self, row: Row) -> Tensor:
        """Encode without subword sampling; a sampled encoding may be longer."""
        (text,) = row.targets
        return self._ids(text, None) if self._seed is not None else self._encode(row, 0)

    def _strange(self, text: str) -> str:
        letters = dict.fromkeys(self._tokenizer.normalised(text))
        return ", ".join(repr(one) for one in letters if UNK in self._tokenizer.encode(one))

    def _encode(self, row: Row, epoch: int) -> Tensor:
        (text,) = row.targets
        if self._seed is None:
            return self._kept.get(text, lambda: self._ids(text, None))
        seed = derive(self._seed, epoch, row.id, "target")
        return self._ids(text, random.Random(seed))  # noqa: S311 (not for secrets)

    def _ids(self, text: str, generator: random.Random | None) -> Tensor:
        return torch.tensor([*self._tokenizer.encode(text, generator), EOS])


class _ItemCache:
    """Keeps what is made of each text, path or stored media, up to ``limit`` bytes in total."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._items: dict[str | StoredMedia, Any] = {}

    def get(self, key: Any, make: Callable[[], Item]) -> Item:
        if not isinstance(key, str | StoredMedia):
            return make()
        if key in self._items:
            kept: Item = self._items[key]
            return kept
        item = make()
        if item.nbytes <= self._room:
            self._room -= item.nbytes
            self._items[key] = item
        return item
