"""A corpus of images and captions listed in tables, one table per split. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from multiattn import Example
from multiattn.corpora import (
    OnBadRow,
    TableRow,
    column_names,
    table_examples,
    table_path,
    table_splits,
)
from multiattn_image.corpora.captioned_images import (
    ImageFolder,
    captioned_example,
    merge_by_image,
    write_images,
)


class CaptionTables:
    """A table per split: ``SPLIT.jsonl``, ``SPLIT.csv`` or ``SPLIT.tsv``, plain or .gz.

    Columns: ``image`` (a path, absolute or relative to the folder) and ``captions`` or ``caption``
    (a text; in JSON also a list of texts, or null). Rows of the same image are merged. A row may
    have an ``id``; without one, the image's path serves as the id. Further columns are notes of the
    image, which results can be grouped by.
    columns: the table's own column names, such as ``{image: file_name, captions: comment}``.
    """

    known_columns = ("image", "captions", "id")

    def __init__(self, folder: Path, *, columns: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._columns = column_names(self.known_columns, columns)

    @staticmethod
    def example_folder(folder: Path) -> dict[str, str]:
        """Write two images, one of them with two captions."""
        first, second = write_images(folder)
        rows = (first, "red"), (second, "blue"), (second, "all blue")
        lines = ["image\tcaption", *("\t".join(row) for row in rows)]
        (folder / "train.tsv").write_text("\n".join(lines) + "\n")
        return {}

    def splits(self) -> tuple[str, ...]:
        """Names of the tables in the folder."""
        return table_splits(self._folder)

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read a table in the order of its rows; every image file must exist.

        A bad row raises BadRowError naming file and line; given ``on_bad_row``, the message goes
        there and the row is left out.
        """
        columns, image_folder = self._columns, ImageFolder.resolve(self._folder)

        def make_example(row: TableRow) -> Example:
            image = row.text(columns["image"])
            path = image_folder.image_path(image, row.place)
            column = columns["captions"]
            if column == "captions" and column not in row.cells and "caption" in row.cells:
                column = "caption"
            example_id = row.name(columns["id"]) if row.has(columns["id"]) else image
            notes = row.notes({*columns.values(), column})
            return captioned_example(example_id, path, row.value(column), row.place, notes)

        table = table_path(self._folder, split)
        return merge_by_image(table_examples(table, make_example, on_bad_row))
