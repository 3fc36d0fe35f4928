"""Images and recordings that are no files of their own, and the content of raw values.

Imports no torch.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


@dataclass(frozen=True, eq=False, repr=False)
class StoredMedia:
    """An image or a recording inside a dataset or an archive, or one that is decoded already.

    Only what is read is loaded, and nothing is kept. Two are equal if their content is the same,
    wherever they are stored.

    name: for messages, such as ``audio of train-7``.
    load: returns the bytes of a file or decoded media that the reader accepts, the same at every
        call. Worker processes get it pickled.
    """

    name: str
    load: Callable[[], Any]

    @cached_property
    def digest(self) -> bytes:
        """The SHA-256 of the content."""
        return content_digest(self.load())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredMedia) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return self.name


def content_digest(value: Any) -> bytes:
    """The SHA-256 of what a raw value holds: the file that it names, a text, bytes or an object."""
    if isinstance(value, StoredMedia):
        return value.digest
    if isinstance(value, bytes):
        content = value
    elif isinstance(value, str | Path):
        try:
            content = Path(value).read_bytes()
        except (OSError, ValueError):
            content = str(value).encode()
    else:
        content = pickle.dumps(value)
    return hashlib.sha256(content).digest()
