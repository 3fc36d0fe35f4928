"""Series and texts: ``SPLIT.tsv`` has the columns ``file`` and ``text``; files lie beside it.

Change ``_example`` for other columns, and ``fields`` of the record in ``plugin.py`` with it.

Protocol: ``multiattn.protocols.Corpus``. In a recipe: ``corpus: {name: my-plugin, folder: mine}``,
where ``mine`` is a folder below the one that ``--data`` names.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from multiattn import Example
from multiattn.corpora import (
    BadRowError,
    OnBadRow,
    TableRow,
    table_examples,
    table_path,
    table_splits,
)


class MyPluginCorpus:
    """Tables may also be ``.jsonl`` or ``.csv``, or have ``.gz`` appended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def splits(self) -> Sequence[str]:
        """The splits that have a table."""
        return table_splits(self.folder)

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read a split. A bad row raises BadRowError, or is left out and told to ``on_bad_row``."""
        return table_examples(table_path(self.folder, split), self._example, on_bad_row)

    @staticmethod
    def example_folder(folder: Path) -> Mapping[str, Any]:
        """Write a corpus of two examples into a folder, for checks; return its settings: none."""
        rows = ["file\ttext"]
        for name, text in {"1.dat": "rise", "2.dat": "fall"}.items():
            (folder / name).write_text("0\n1\n", "utf-8")
            rows.append(f"{name}\t{text}")
        (folder / "train.tsv").write_text("\n".join(rows), "utf-8")
        return {}

    def _example(self, row: TableRow) -> Example:
        name = row.name("file")
        path = self.folder / name
        if not path.is_file():
            raise BadRowError(f"expected a file {path}, named in {row.place}, got none; add it")
        meta = {"file": str(row.place.path), "line": str(row.place.line)}
        return Example(name, {"series": str(path), "text": row.value("text")}, meta)
