"""What a corpus is: examples of a split, their fields, and how a corpus is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from multiattn.errors import UserError
from multiattn.recipe.settings import CorpusSettings, SourceSettings
from multiattn.registry import records
from multiattn.registry.host import Host


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


def open_corpus(settings: CorpusSettings, host: Host, data_root: Path) -> Corpus:
    """The corpus of a recipe. Raises UserError naming the folder that is missing."""
    folder = data_root / settings.folder
    if not folder.is_dir():
        raise UserError(
            f"expected the corpus in the folder {folder}, got no such folder; "
            "say with --data where the corpora are"
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
