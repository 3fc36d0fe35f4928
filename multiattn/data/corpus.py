"""What a corpus is: examples of a split, their fields and raw values; how a corpus is opened."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from multiattn.errors import UserError
from multiattn.recipe.settings import CorpusSettings, SourceSettings
from multiattn.registry import records
from multiattn.registry.host import Host


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


@dataclass(frozen=True)
class Example:
    """One row of a corpus: raw values, which are texts, paths of files, or ``StoredMedia``.

    ``fields`` holds every field that the corpus lists; ``None`` where this row has no value.
    A field with several texts (five captions of a photograph) is a tuple of them.
    ``meta`` is what results may be grouped by: speaker, file and line.
    """

    id: str
    fields: Mapping[str, Any]
    meta: Mapping[str, str] = field(default_factory=dict)


class BadRowError(UserError):
    """A row that cannot be used. A recipe stops there, or skips the row and counts it."""


@runtime_checkable
class Corpus(Protocol):
    """What the target of a ``Corpus`` record is: built with its folder, it lists splits."""

    def splits(self) -> Sequence[str]:
        """The names of the splits in the folder."""

    def examples(
        self, split: str, on_bad_row: Callable[[str], None] | None = None
    ) -> Sequence[Example]:
        """Read a split.

        A bad row raises BadRowError or, if ``on_bad_row`` is given, is left out and reported to
        it. Raises UserError for a split that does not exist.
        """


@runtime_checkable
class GroupedCorpus(Corpus, Protocol):
    """A corpus whose examples belong together: a cut of a split never divides a group.

    group: the field or note that says which, such as ``speaker``.
    """

    group: str


@runtime_checkable
class ExampleCorpus(Protocol):
    """A corpus of which a tiny example can be written, for checks."""

    @staticmethod
    def example_folder(folder: Path) -> Mapping[str, Any]:
        """Write a few examples into an empty folder; return the settings that read them."""


def open_corpus(settings: CorpusSettings, host: Host, data_root: Path) -> Corpus:
    """The corpus of a recipe. Raises UserError naming the folder that is missing."""
    folder = data_root / settings.folder
    if folder.is_file():
        raise UserError(
            f"expected the corpus in a folder, got the file {folder}; name the folder that it is "
            "in, and let that hold nothing but the corpus"
        )
    if not folder.is_dir():
        raise UserError(
            f"expected the corpus in the folder {folder}, got no such folder; say with --data "
            f"where the corpora are{settings.obtain and f', or {settings.obtain}'}"
        )
    corpus: Corpus = host.build("corpus", settings, folder)
    return corpus


def media_sources(sources: Mapping[str, SourceSettings], host: Host) -> list[str]:
    """The sources whose values are files."""
    readers = {
        name: host.find("reader", source.reader.name).record for name, source in sources.items()
    }
    return [
        name
        for name, record in readers.items()
        if isinstance(record, records.Reader) and not record.reads_text
    ]


def media_fields(corpus: str, host: Host) -> list[str]:
    """The fields of a corpus that hold files, whether a recipe uses them or not."""
    record = host.find("corpus", corpus).record
    assert isinstance(record, records.Corpus)  # noqa: S101
    return [name for name, kind in record.fields.items() if kind != "text"]
