"""The feature cache: the output of an encoder's frozen part, computed once per input, on disk.

An encoder that can be cached is a ``FeatureEncoder``, or a ``SequenceFeatureEncoder`` if features
differ in length. Letters: R inputs in a batch, S slots.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from multiattn.data.collation import Reader, is_random
from multiattn.data.corpus import media_sources
from multiattn.data.dataset import Dataset
from multiattn.data.features.key import feature_dependencies, folder_name
from multiattn.data.features.store import FORMAT, FeatureStore
from multiattn.data.rows import BadRowPolicy, BadRows
from multiattn.engine.model import FeatureEncoder, SequenceFeatureEncoder
from multiattn.errors import UserError
from multiattn.progress import draw_on, progress_bar
from multiattn.recipe.settings import SourceSettings
from multiattn.registry.host import Host
from multiattn.registry.schema import Named

CACHE_VARIABLE = "MULTIATTN_CACHE"  # environment variable: the folder of the caches
Pad = Callable[[Sequence[Tensor]], tuple[Tensor, Tensor]]


class FeatureReader:
    """A reader that returns cached features instead of the input itself, for batches.

    pad: makes features of all inputs one tensor, with their lengths.
    """

    random = False
    gives_features = True

    def __init__(self, reader: Reader, store: FeatureStore, pad: Pad) -> None:
        self._reader = reader
        self._store = store
        self._pad = pad

    def measure(self, value: Any) -> int:
        """As the wrapped reader."""
        return self._reader.measure(value)

    def read(self, value: Any, generator: torch.Generator | None = None) -> Tensor:
        """The cached features (…), float16. Raises UserError if they are damaged."""
        return self._store.read(value)

    def collate(self, items: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The features of R inputs and their lengths (R,)."""
        return self._pad(items)


def stack(items: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Features of one shape: (R, …); all lengths are 1, because nothing is padded."""
    return torch.stack(list(items)), torch.ones(len(items), dtype=torch.long)


def pad_slots(items: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Features (S, …) that differ in length: (R, S, …), zero past each length."""
    return pad_sequence(list(items), batch_first=True), torch.tensor([len(item) for item in items])


@dataclass(frozen=True)
class FeatureCache:
    """The cached features of one source: the reader and encoder they come from, and their store."""

    source: str
    reader: Any
    encoder: Any
    store: FeatureStore

    def feature_reader(self) -> FeatureReader:
        """A reader that returns these cached features."""
        sequences = isinstance(self.encoder, SequenceFeatureEncoder)
        return FeatureReader(self.reader, self.store, pad_slots if sequences else stack)

    def describe(self, values: Sequence[Any]) -> str:
        """Say how many of these values are still to be computed, and where."""
        missing = len(self.store.find(values))
        return (
            f"features of {self.source}: to be computed for {missing:,} of {len(values):,} inputs, "
            f"cached in {self.store.folder}"
        )

    def fill(
        self, values: Sequence[Any], batch_size: int, policy: BadRowPolicy, console: Console
    ) -> Mapping[Any, str]:
        """Compute missing features; return the values that cannot be read, each with the reason.

        Waits while another process fills the same cache. Raises UserError at an unreadable input
        unless the policy is to skip it, and if the disk is full.
        """
        refused = BadRows(policy)
        sentences: dict[Any, str] = {}
        if not self.store.find(values):
            return {}  # before locking, so that a complete cache may be read-only
        busy = f"features of {self.source}: waiting for another run that is computing them"
        with self.store.locked(lambda: console.print(busy, markup=False)):
            missing = self.store.find(values)
            if missing:
                groups = _read_ahead(self.reader, missing, batch_size)
                self._announce(console, len(missing))
                with (
                    _in_evaluation_mode(self.encoder) as device,
                    draw_on(console),
                    progress_bar(f"features of {self.source}", len(missing)) as bar,
                ):
                    for items in groups:
                        for value, item in items.items():
                            if isinstance(item, UserError):
                                refused.refuse(str(item))
                                sentences[value] = str(item)
                        self._compute(items, device, len(missing))
                        bar.advance(len(items))
            self.store.find([value for value in values if value not in sentences])
        return sentences

    def _announce(self, console: Console, missing: int) -> None:
        """Print where the features go; a terminal shows a bar instead."""
        if not console.is_terminal:
            line = f"features of {self.source}: computing {missing:,}, cached in "
            console.print(f"{line}{self.store.folder}", markup=False, emoji=False, soft_wrap=True)

    def _compute(
        self, items: Mapping[Any, NDArray[Any] | UserError], device: torch.device, expected: int
    ) -> None:
        good = {value: item for value, item in items.items() if not isinstance(item, UserError)}
        if not good:
            return
        inputs, lengths = self.reader.collate(list(good.values()))
        inputs, lengths = inputs.to(device), lengths.to(device)
        rows: Iterable[Tensor]
        if isinstance(self.encoder, SequenceFeatureEncoder):
            features, counts = self.encoder.sequence_features(inputs, lengths)
            pairs = zip(features.cpu(), counts.tolist(), strict=True)
            rows = [row[:count] for row, count in pairs]
        else:
            rows = self.encoder.features(inputs, lengths).cpu()
        self.store.append(list(good), rows, expected)


def open_caches(
    sources: Mapping[str, SourceSettings],
    host: Host,
    encoders: Mapping[str, Any],
    readers: Mapping[str, Any],
) -> dict[str, FeatureCache]:
    """The caches that a recipe enables, by source. The encoders must hold their initial weights.

    Raises UserError if features cannot be cached, because they are trained or random.
    """
    caches, media = {}, media_sources(sources, host)
    for name, source in sources.items():
        if source.cache:
            encoder, reader = encoders[name], readers[name]
            _check_encoder(name, source.encoder, encoder)
            _check_reader(name, source.reader, reader, host)
            made = feature_dependencies(source.encoder, encoder, source.reader, reader, host)
            folder = cache_folder() / f"features-{FORMAT}" / folder_name(made)
            store = FeatureStore(
                folder,
                made,
                texts=name not in media,
                sequences=isinstance(encoder, SequenceFeatureEncoder),
            )
            caches[name] = FeatureCache(name, reader, encoder, store)
    return caches


def fill_caches(
    caches: Mapping[str, FeatureCache],
    data: tuple[Dataset, Dataset, Dataset],
    batch_size: int,
    policy: BadRowPolicy,
    console: Console,
) -> tuple[Dataset, Dataset, Dataset]:
    """Compute missing features; return the datasets without rows that cannot be read."""
    for name, cache in caches.items():
        refused = cache.fill(source_values(name, data), batch_size, policy, console)
        if refused:
            first, second, third = (part.drop_values(name, refused) for part in data)
            data = first, second, third
    return data


def source_values(source: str, data: Iterable[Dataset]) -> list[str]:
    """Every distinct value of a source, in order of first appearance."""
    values = (row.sources[source] for part in data for row in part.rows)
    return [value for value in dict.fromkeys(values) if value is not None]


def cache_folder() -> Path:
    """``$MULTIATTN_CACHE``, or a folder in the platform's user cache folder."""
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE]).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "multiattn"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multiattn"


def _check_encoder(name: str, named: Named, encoder: Any) -> None:
    if not isinstance(encoder, FeatureEncoder | SequenceFeatureEncoder):
        raise UserError(
            f"expected an encoder with features to cache for sources.{name}.cache, got "
            f"sources.{name}.encoder {named.name!r}; set sources.{name}.cache=false"
        )
    if not encoder.frozen:
        raise UserError(
            f"expected an encoder with frozen parts for sources.{name}.cache, got "
            f"sources.{name}.encoder {named.name!r}, all of it trained or without an output of "
            f"the frozen part; freeze more of it, or set sources.{name}.cache=false"
        )


def _check_reader(name: str, named: Named, reader: Any, host: Host) -> None:
    """Raise UserError for a reader that may be random, naming the settings responsible."""
    if not is_random(reader):
        return
    guilty = [
        f"sources.{name}.reader.{key}"
        for key in named.settings
        if not is_random(host.build("reader", _without(named, key)))
    ]
    what = " and ".join(guilty) or f"sources.{name}.reader {named.name!r}"
    raise UserError(
        f"expected inputs that are the same every time for sources.{name}.cache, got {what}, which "
        f"changes them at random; remove it, or set sources.{name}.cache=false"
    )


def _without(named: Named, key: str) -> Named:
    settings = {own: value for own, value in named.settings.items() if own != key}
    return Named(name=named.name, **settings)


def _read_ahead(
    reader: Reader, values: Sequence[Any], batch_size: int
) -> Iterator[dict[Any, NDArray[Any] | UserError]]:
    """Read ``batch_size`` values at a time, in threads, while the previous batch is computed."""

    def read(value: Any) -> NDArray[Any] | UserError:
        try:
            return reader.read(value)
        except UserError as error:
            return error

    groups = [values[start : start + batch_size] for start in range(0, len(values), batch_size)]
    waiting: deque[dict[Any, Future[NDArray[Any] | UserError]]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for group in [*groups, None]:
            if group is not None:
                waiting.append({value: pool.submit(read, value) for value in group})
            if len(waiting) > 1 or group is None:
                yield {value: future.result() for value, future in waiting.popleft().items()}


@contextmanager
def _in_evaluation_mode(encoder: nn.Module) -> Iterator[torch.device]:
    """Put the encoder on this process's device in evaluation mode; restore both afterwards."""
    own, training = next(iter(encoder.state_dict().values())).device, encoder.training
    device = PartialState().device
    encoder.to(device).eval()
    try:
        yield device
    finally:
        encoder.to(own).train(training)
