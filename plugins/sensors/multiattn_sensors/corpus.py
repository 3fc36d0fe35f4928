"""Series listed in a table, with a text for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multiattn import Example
from multiattn.corpora import (
    BadRowError,
    OnBadRow,
    TableRow,
    table_examples,
    table_path,
    table_splits,
)


class SeriesFolder:
    """Series in a table per split: ``SPLIT.jsonl``, ``SPLIT.csv`` or ``SPLIT.tsv``, or .gz.

    Columns: ``series`` (a path, absolute or relative to the folder) and ``text``. Optional: ``id``
    (by default the split and the line number). Series lie in a folder of their own, as a CSV file
    beside the tables is taken for one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def example_folder(folder: Path) -> dict[str, str]:
        """Write a split of two series."""
        (folder / "series").mkdir()
        for name in ("one", "two"):
            (folder / "series" / f"{name}.csv").write_text("x,y\n0.5,1\n1.5,-1\n", "utf-8")
        table = "series,text\nseries/one.csv,a first\nseries/two.csv,a second\n"
        (folder / "train.csv").write_text(table, "utf-8")
        return {}

    def splits(self) -> tuple[str, ...]:
        """Names of the tables in the folder."""
        return table_splits(self._folder)

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read a table in order; a series that does not exist is a bad row."""

        def example(row: TableRow) -> Example:
            path = self._folder / row.text("series")
            if not path.is_file():
                raise BadRowError(
                    f"expected the series {path}, which {row.place} names, got no such file; "
                    "fetch it, or leave such rows out with training.bad_rows=skip"
                )
            name = row.name("id") if row.has("id") else f"{split}-{row.place.line}"
            meta = {"file": row.place.path.name, "line": str(row.place.line)}
            return Example(name, {"series": str(path), "text": row.value("text")}, meta)

        return table_examples(table_path(self._folder, split), example, on_bad_row)
