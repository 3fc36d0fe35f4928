"""What a corpus is: examples of a split, their fields, and how one is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from multiattn.errors import UserError
from multiattn.recipe.settings import RecipeSettings
from multiattn.registry.host import Host


@dataclass(frozen=True)
class Example:
    """One row of a corpus: raw values (paths, strings; never decoded media).

    ``fields`` holds every field that the corpus lists; ``None`` says that this row has none.
    A field with several values (five captions of a picture) is a tuple of them.
    ``meta`` is what reports may group by: speaker, file and line.
    """

    id: str
    fields: Mapping[str, str | tuple[str, ...] | None]
    meta: Mapping[str, str] = field(default_factory=dict)


class Corpus(Protocol):
    """Examples of a split from a folder."""

    def examples(
        self, split: str, on_bad_row: Callable[[str], None] | None = None
    ) -> Sequence[Example]:
        """Read a split. A bad row is a UserError, or ``on_bad_row(sentence)`` and left out."""


def open_corpus(settings: RecipeSettings, host: Host, data_root: Path) -> Any:
    """The corpus of a recipe. Raises UserError naming the folder that is missing."""
    folder = data_root / settings.corpus.folder
    if not folder.is_dir():
        raise UserError(
            f"expected the corpus in the folder {folder}, got no such folder; "
            "say with --data where corpora lie"
        )
    return host.build("corpus", settings.corpus, folder)
