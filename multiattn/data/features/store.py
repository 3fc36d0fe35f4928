"""Store float16 rows in one memory-mapped file, keyed by the content of their inputs.

FOLDER/rows.bin     the rows, one after the other, only ever appended to
FOLDER/index.bin    for each row the SHA-256 of its input's content, and the CRC-32 of shape,
                    content and row
FOLDER/layout.json  the shape of a row, and what the features depend on

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multiattn.errors import UserError
from multiattn.files import acquired_lock, flush_to_disk, truncate, write_json

ENTRY = np.dtype([("content", "V32"), ("check", "<u4")])
ROW = np.dtype("<f2")
FORMAT = 2  # version of these files; other versions are never read


class FeatureStore:
    """The rows in one folder, and the position of each value that ``find`` looked up.

    folder: belongs to one encoder with its weights and reader. made_of: describes these, as JSON.
    """

    def __init__(self, folder: Path, made_of: Mapping[str, Any]) -> None:
        self.folder = folder
        self._made_of = made_of
        self._contents: dict[Any, bytes] = {}
        self._positions: dict[Any, int] = {}
        self._known: NDArray[np.void] = np.zeros(0, ENTRY)
        self._mapped: NDArray[np.float16] | None = None

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
        """Look up these values (files, else texts); return those without a row, once per content.

        Each file is read only once, so it should not change meanwhile.
        """
        self._known = self._index()
        known = {entry["content"].tobytes(): row for row, entry in enumerate(self._known)}
        new = [value for value in dict.fromkeys(values) if value not in self._contents]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self._contents |= zip(new, pool.map(_digest, new), strict=True)
        self._positions = {}
        missing: dict[bytes, Any] = {}
        for value in values:
            content = self._contents[value]
            if content in known:
                self._positions[value] = known[content]
            else:
                missing.setdefault(content, value)
        return list(missing.values())

    def append(self, values: Sequence[Any], features: Tensor, expected: int) -> None:
        """Add a row (…) of ``features`` (B, …), float16, for each value.

        expected: the number of rows to come in all calls; disk space for all is checked at the
        first. Raises UserError if writing fails, and for rows of another shape, infinite or NaN.
        """
        if features.dtype != torch.float16:
            raise TypeError(f"expected features in float16, got {features.dtype}")
        rows = np.ascontiguousarray(features.numpy(), ROW)  # (B, …)
        for value, row in zip(values, rows, strict=True):
            if not np.isfinite(row).all():
                raise UserError(
                    f"expected features of {value} that float16 can hold, got infinity or NaN; "
                    "check that the encoder's weights are those of a trained network"
                )
        pairs = zip(values, rows, strict=True)
        entries = np.array(
            [(self._contents[value], _check(self._contents[value], row)) for value, row in pairs],
            ENTRY,
        )
        try:
            if self._shape() is None:
                self._check_room(rows[0].nbytes * expected)
                write_json(self._layout, {"shape": rows.shape[1:], "made_of": self._made_of})
            if self._shape() != rows.shape[1:]:
                raise UserError(
                    f"expected features of one shape for all inputs, got {rows.shape[1:]} after "
                    f"{self._shape()}; they cannot be cached: set the source's cache=false"
                )
            _append(self._rows, rows.tobytes())
            _append(self._entries, entries.tobytes())
        except OSError as error:
            raise self._unwritable(error) from error

    def read(self, value: Any) -> Tensor:
        """The row (…) of a value that ``find`` has looked up, float16.

        Raises UserError if it is damaged.
        """
        if self._mapped is None:
            shape = (len(self._known), *(self._shape() or ()))
            self._mapped = np.memmap(self._rows, ROW, "r", shape=shape)
        position = self._positions[value]
        row = np.array(self._mapped[position])
        content, check = self._known[position]
        if _check(content.tobytes(), row) != check:
            raise self._damaged(self._rows, f"the original features of {value}")
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

    def _shape(self) -> tuple[int, ...] | None:
        """The shape of a row, None before the first. Raises UserError for a damaged layout."""
        if not self._layout.exists():
            return None
        try:
            layout = json.loads(self._layout.read_text("utf-8"))
            shape = tuple(int(size) for size in layout["shape"])
            right = layout["made_of"] == self._made_of and min(shape, default=1) > 0
        except (ValueError, LookupError, TypeError):
            right = False
        if not right:
            raise self._damaged(self._layout, "the shape of the features and what they depend on")
        return shape

    def _index(self) -> NDArray[np.void]:
        """The index entries of the complete rows."""
        shape = self._shape()
        if shape is None or not self._entries.exists() or not self._rows.exists():
            return np.zeros(0, ENTRY)
        content = self._entries.read_bytes()
        whole = min(
            len(content) // ENTRY.itemsize,
            self._rows.stat().st_size // (ROW.itemsize * math.prod(shape)),
        )
        return np.frombuffer(content, ENTRY, whole)

    def _cut_off_what_was_torn(self) -> None:
        whole = len(self._index())
        row_bytes = ROW.itemsize * math.prod(self._shape() or (0,))
        try:
            truncate(self._entries, whole * ENTRY.itemsize)
            truncate(self._rows, whole * row_bytes)
        except OSError as error:
            raise self._unwritable(error) from error

    def _check_room(self, needed: int) -> None:
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


def _digest(value: Any) -> bytes:
    """The SHA-256 of the file that a value names, or of the value itself as text."""
    try:
        content = Path(value).read_bytes()
    except (OSError, ValueError):
        content = str(value).encode()
    return hashlib.sha256(content).digest()


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
    flush_to_disk(path)
