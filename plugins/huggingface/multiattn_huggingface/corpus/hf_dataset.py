"""A dataset of Hugging Face ``datasets`` as a corpus. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from multiattn import Example, StoredMedia, UserError
from multiattn.corpora import FileLine, OnBadRow, TableRow, collect_examples
from multiattn_huggingface.corpus.columns import Cell, read_cells, require_columns
from multiattn_huggingface.corpus.opening import open_folder, open_hub, without_bars

BY_ID = "id"  # no cut but between rows


class HuggingFaceDataset:
    """A dataset of the hub, or one in the corpus folder: ``save_to_disk``'s or parquet files.

    fields: the column of each field; several columns are several references. A column holds texts,
        lists of texts, class labels, ``Image`` or ``Audio``; ``translation.de`` is a part of one.
        Images and recordings are not decoded by ``datasets``: the reader gets the stored bytes.
    dataset, config, revision: its name on the hub, its configuration, and branch, tag or commit.
    id: the column with the ids of the rows; by default the id is the split and the row's number.
    group: the column whose values no cut of a split divides, such as the speaker; a note of each
        example.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fields: Mapping[str, str | tuple[str, ...]],
        dataset: str = "",
        config: str | None = None,
        revision: str | None = None,
        id: str = "",  # noqa: A002
        group: str = BY_ID,
    ) -> None:
        self._folder = folder
        self._fields = {
            field: (names,) if isinstance(names, str) else names for field, names in fields.items()
        }
        if not self._fields or not all(self._fields.values()):
            raise UserError(
                "expected in corpus.fields a column for each field, got none; write the names of "
                "fields and of their columns, such as {text: sentence}"
            )
        if not dataset and (config or revision):
            raise UserError(
                "expected corpus.config and corpus.revision only with a dataset of the hub, got "
                f"{config or revision!r} for the one in {folder}; leave it out, or name "
                "corpus.dataset"
            )
        self._hub = (dataset, config, revision)
        self._id = id
        self.group = group

    @staticmethod
    def example_folder(folder: Path) -> dict[str, Any]:
        """Save a dataset of two splits, each of two rows."""
        from datasets import Dataset, DatasetDict

        rows = Dataset.from_dict({"name": ["a", "b"], "text": ["a dog .", "two birds ."]})
        with without_bars():
            DatasetDict({"train": rows, "test": rows}).save_to_disk(folder)
        return {"fields": {"text": "text"}, "id": "name", "group": "name"}

    @cached_property
    def _splits(self) -> Mapping[str, Any]:
        return open_hub(*self._hub) if self._hub[0] else open_folder(self._folder)

    def splits(self) -> tuple[str, ...]:
        """Names of the splits of the dataset."""
        return tuple(self._splits)

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the texts of a split; images and recordings stay where they are.

        Raises UserError for a split or a column that is missing, or of another type.
        """
        if split not in self._splits:
            raise UserError(
                f"expected a split of the dataset ({', '.join(self._splits)}), got {split!r}; "
                "correct `splits` in the recipe"
            )
        dataset = self._splits[split]
        notes = {"id": self._id} if self._id else {}
        notes |= {"group": self.group} if self.group != BY_ID else {}
        columns = require_columns(self._fields, notes, dataset.features)

        def example(number: int, cells: Mapping[str, Any]) -> Example:
            return self._example(TableRow(cells, DatasetRow(Path(split), number)))

        return collect_examples(enumerate(read_cells(dataset, columns)), example, on_bad_row)

    def _example(self, row: TableRow) -> Example:
        name = row.name(self._id) if self._id else f"{row.place.path}-{row.place.line}"
        fields = {field: _value(row, columns, name) for field, columns in self._fields.items()}
        grouped = self.group != BY_ID and row.has(self.group)
        return Example(name, fields, {self.group: row.name(self.group)} if grouped else {})


@dataclass(frozen=True)
class DatasetRow(FileLine):
    """A row of a split, from 0 as ``dataset[row]`` counts."""

    def __str__(self) -> str:
        return f"row {self.line} of {self.path}"


def _value(row: TableRow, columns: Sequence[str], example: str) -> Any:
    """The value of a field: a text, several texts, a path, ``StoredMedia`` or None."""
    if len(columns) == 1:
        cell = row.cells[columns[0]]
        if isinstance(cell, Cell):
            return StoredMedia(f"{columns[0]} of {example}", cell)
        return row.value(columns[0]) or None
    values = [row.value(column) or () for column in columns]
    return tuple(
        text for value in values for text in ((value,) if isinstance(value, str) else value)
    )
