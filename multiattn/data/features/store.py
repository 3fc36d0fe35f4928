"""Store float16 rows in one memory-mapped file, keyed by the content of their inputs.

FOLDER/rows.bin     the rows, one after the other, only ever appended to
FOLDER/index.bin    for each row the SHA-256 of its input's content, the CRC-32 of shape, content
                    and row, and for sequences the row's length
FOLDER/layout.json  the shape of a row, null where it varies, and what the features depend on

The rows have one shape or, for sequences such as texts and recordings, a length of their own as
first dimension.

A row is valid once its entry is in the index, which is written after the row is on disk. Anything
that a killed process left after the last valid row is cut off before the next row is written.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multiattn.data.corpus import content_digest
from multiattn.errors import UserError, shortened
from multiattn.files import acquired_lock, flush_to_disk, truncate, write_json

ENTRY = np.dtype([("content", "V32"), ("check", "<u4")])
SEQUENCE_ENTRY = np.dtype([*ENTRY.descr, ("length", "<u4")])
ROW = np.dtype("<f2")
VALUE_WIDTH = 200  # in messages; more than most paths
FORMAT = 2  # version of these files; other versions are never read


class FeatureStore:
    """The rows in one folder, and the position of each value that ``find`` looked up.

    folder: belongs to one encoder with its weights and reader. made_of: describes these, as JSON.
    texts: whether values are texts; otherwise one that names a file stands for the file's content.
    sequences: whether each row has a length of its own.
    """

    def __init__(
        self,
        folder: Path,
        made_of: Mapping[str, Any],
        *,
        texts: bool = False,
        sequences: bool = False,
    ) -> None:
        self.folder = folder
        self._made_of = made_of
        self._digest = _digest_of_text if texts else content_digest
        self._sequences = sequences
        self._entry = SEQUENCE_ENTRY if sequences else ENTRY
        self._contents: dict[Any, bytes] = {}
        self._positions: dict[Any, int] = {}
        self._known: NDArray[np.void] = np.zeros(0, self._entry)
        self._mapped: NDArray[np.float16] | None = None
        self._bounds: NDArray[np.int64] = np.zeros(1, np.int64)  # of the rows, in numbers
        self._pattern: tuple[int, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the memory mapping: another process opens its own."""
        return {**self.__dict__, "_mapped": None, "_contents": {}}

    @contextmanager
    def locked(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Let only one process add rows; any other calls ``waiting`` and then waits.

        The lock is released when its process ends, even if killed. Raises UserError if the folder
        cannot be written.
        """
        try:
            lock = acquired_lock(self.folder / ".lock", waiting)
        except OSError as error:
            raise self._unwritable(error) from error
        with lock:
            self._cut_off_what_was_torn()
            yield

    def find(self, values: Sequence[Any]) -> list[Any]:
        """Look up these values; return those without a row, once per content.

        Each file is read only once, so it should not change meanwhile.
        """
        self._known, self._mapped = self._index(), None
        self._bounds, self._pattern = self._bounds_of(self._known), self._shape() or ()
        known = {entry["content"].tobytes(): row for row, entry in enumerate(self._known)}
        new = [value for value in dict.fromkeys(values) if value not in self._contents]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self._contents |= zip(new, pool.map(self._digest, new), strict=True)
        self._positions = {}
        missing: dict[bytes, Any] = {}
        for value in values:
            content = self._contents[value]
            if content in known:
                self._positions[value] = known[content]
            else:
                missing.setdefault(content, value)
        return list(missing.values())

    def append(self, values: Sequence[Any], features: Iterable[Tensor], expected: int) -> None:
        """Add the row (…) in ``features``, float16, of each value; of sequences, (S, …).

        expected: the number of rows to come in all calls; disk space for all is checked at the
        first. Raises UserError if writing fails, and for rows of another shape, infinite or NaN.
        """
        rows = [_as_row(value, row) for value, row in zip(values, features, strict=True)]
        pairs = [(self._contents[value], row) for value, row in zip(values, rows, strict=True)]
        lengths = [row.shape[: int(self._sequences)] for row in rows]  # (S,), or nothing
        entries = [
            (content, _check(content, row), *length)
            for (content, row), length in zip(pairs, lengths, strict=True)
        ]
        try:
            if self._shape() is None:
                self._check_room(expected * sum(row.nbytes for row in rows) / len(rows))
                shape = self._pattern_of(rows[0].shape)
                layout = {"shape": [size if size > 0 else None for size in shape]}
                write_json(self._layout, {**layout, "made_of": self._made_of})
            self._check_shapes(rows)
            _append(self._rows, b"".join(row.tobytes() for row in rows))
            _append(self._entries, np.array(entries, self._entry).tobytes())
        except OSError as error:
            raise self._unwritable(error) from error

    def read(self, value: Any) -> Tensor:
        """The row (…) of a value that ``find`` has looked up, float16.

        Raises UserError if it is damaged.
        """
        if self._mapped is None:
            self._mapped = np.memmap(self._rows, ROW, "r", shape=(int(self._bounds[-1]),))
        position = self._positions[value]
        first, end = self._bounds[position : position + 2]
        row = np.array(self._mapped[first:end]).reshape(self._pattern)
        content, check, *_ = self._known[position]
        if _check(content.tobytes(), row) != check:
            raise self._damaged(self._rows, f"the original features of {_named(value)}")
        return torch.from_numpy(row)

    @property
    def _rows(self) -> Path:
        return self.folder / "rows.bin"

    @property
    def _entries(self) -> Path:
        return self.folder / "index.bin"

    @property
    def _layout(self) -> Path:
        return self.folder / "layout.json"

    def _pattern_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that all rows have: of sequences, -1 for the length and the shape of a slot."""
        return (-1, *shape[1:]) if self._sequences else shape

    def _shape(self) -> tuple[int, ...] | None:
        """The pattern of all rows, None before the first. Raises UserError for a damaged layout."""
        if not self._layout.exists():
            return None
        try:
            layout = json.loads(self._layout.read_text("utf-8"))
            stated = layout["shape"]
            shape = tuple(-1 if size is None else int(size) for size in stated)
            fixed = shape[int(self._sequences) :]
            right = self._pattern_of(shape) == shape and min(fixed, default=1) > 0
            right = right and layout["made_of"] == self._made_of
        except (ValueError, LookupError, TypeError):
            right = False
        if not right:
            raise self._damaged(self._layout, "the shape of the features and what they depend on")
        return shape

    def _check_shapes(self, rows: Sequence[NDArray[np.float16]]) -> None:
        shape = self._shape()
        for row in rows:
            if self._pattern_of(row.shape) != shape:
                what = "slots" if self._sequences else "features"
                raise UserError(
                    f"expected {what} of one shape for all inputs, got {row.shape} after {shape}; "
                    "they cannot be cached: set the source's cache=false"
                )

    def _bounds_of(self, entries: NDArray[np.void]) -> NDArray[np.int64]:
        """Where the rows of these entries begin in the file, and where the last ends."""
        unit = abs(math.prod(self._shape() or (0,)))
        lengths = entries["length"] if self._sequences else np.ones(len(entries))
        return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64) * unit])

    def _index(self) -> NDArray[np.void]:
        """The index entries of the complete rows."""
        if self._shape() is None or not self._entries.exists() or not self._rows.exists():
            return np.zeros(0, self._entry)
        content = self._entries.read_bytes()
        entries = np.frombuffer(content, self._entry, len(content) // self._entry.itemsize)
        ends = self._bounds_of(entries)[1:]
        written = self._rows.stat().st_size // ROW.itemsize
        return entries[: np.searchsorted(ends, written, "right")]

    def _cut_off_what_was_torn(self) -> None:
        entries = self._index()
        try:
            truncate(self._entries, entries.nbytes)
            truncate(self._rows, ROW.itemsize * int(self._bounds_of(entries)[-1]))
        except OSError as error:
            raise self._unwritable(error) from error

    def _check_room(self, needed: float) -> None:
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise UserError(
                f"expected {needed / 1e9:.1f} GB of free space for features in {self.folder}, got "
                f"{free / 1e9:.1f} GB; set MULTIATTN_CACHE to a folder on a larger disk, or the "
                "source's cache=false"
            )

    def _damaged(self, file: Path, expected: str) -> UserError:
        return UserError(
            f"expected {expected} in {file}, got something else: it is damaged; delete the folder "
            f"{self.folder} and repeat the command, which computes the features again"
        )

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"could not write features in {self.folder}: {error.strerror or error}; free some "
            "space or set MULTIATTN_CACHE to another folder, then repeat the command: it continues "
            "from there"
        )


def _check(content: bytes, row: NDArray[np.float16]) -> int:
    """The CRC-32 of a row that belongs to this content and has this shape."""
    return zlib.crc32(row.data, zlib.crc32(content, zlib.crc32(str(row.shape).encode())))


def _as_row(value: Any, features: Tensor) -> NDArray[np.float16]:
    """The features of a value as they are stored. Raises UserError if they are infinite or NaN."""
    if features.dtype != torch.float16:
        raise TypeError(f"expected features in float16, got {features.dtype}")
    row = np.ascontiguousarray(features.numpy(), ROW)
    if not np.isfinite(row).all():
        raise UserError(
            f"expected features of {_named(value)} that float16 can hold, got infinity or NaN; "
            "check that the encoder's weights are those of a trained network"
        )
    return row


def _named(value: Any) -> str:
    """A value in a message; a long text loses its middle."""
    return shortened(str(value), VALUE_WIDTH)


def _digest_of_text(value: Any) -> bytes:
    return hashlib.sha256(str(value).encode()).digest()


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
    flush_to_disk(path)
