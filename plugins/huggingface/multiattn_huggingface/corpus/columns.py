"""The columns of a dataset as fields of examples: texts, labels, translations, stored media."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multiattn import UserError, suggestion

TEXTS = ("string", "large_string", "string_view")
BATCH_SIZE = 100  # rows whose paths are looked up together; a shuffled dataset copies them


@dataclass(frozen=True)
class Column:
    """A column, or with a dotted name a part of one: ``translation.de``.

    keys: the name of the column and the key within it. feature: of ``datasets``.
    """

    name: str
    keys: tuple[str, ...]
    feature: Any

    @property
    def holds_media(self) -> bool:
        """Whether its cells are images or recordings."""
        from datasets import Audio, Image

        return isinstance(self.feature, Audio | Image)

    def check(self) -> None:
        """Raise UserError for a column that can be no field of an example."""
        from datasets import Translation

        if isinstance(self.feature, dict | Translation):
            keys = [*getattr(self.feature, "languages", self.feature)]
            raise UserError(
                f"expected a part of the column {self.name!r} of the dataset ({', '.join(keys)}), "
                f"got all of it; write {self.name}.{keys[0]} in corpus.fields"
            )
        if not self.holds_media and not _is_text(_item(self.feature)):
            raise UserError(
                f"expected texts, class labels, images or recordings in the column {self.name!r} "
                f"of the dataset, got {_described(self.feature)}; name another in corpus.fields"
            )

    def cell(self, row: Mapping[str, Any]) -> Any:
        """The cell of a row: a text, a list of texts or None; a class label by its name."""
        value: Any = row
        for key in self.keys:
            value = None if value is None else value.get(key)
        feature = _item(self.feature)
        if hasattr(feature, "int2str"):
            if isinstance(value, list):
                return [feature.int2str(label) for label in value]
            return None if value in (None, -1) else feature.int2str(value)  # -1: not labelled
        return value


def require_columns(
    fields: Mapping[str, Sequence[str]], notes: Sequence[str], features: Mapping[str, Any]
) -> list[Column]:
    """The columns of the fields and of the notes, each once.

    Raises UserError for one that is missing or, as a field, has another type.
    """
    columns = {name: _column(name, features) for names in fields.values() for name in names}
    for column in columns.values():
        column.check()
    for field, names in fields.items():
        media = [name for name in names if columns[name].holds_media]
        if len(names) > 1 and media:
            raise UserError(
                f"expected texts in the columns of the field {field!r}, which has several, got "
                f"images or recordings in {media[0]!r}; give the field one column"
            )
    return [*columns.values(), *(_column(name, features) for name in notes if name not in columns)]


def _column(name: str, features: Mapping[str, Any]) -> Column:
    from datasets import Translation

    if name in features:
        return Column(name, (name,), features[name])
    outer, _, key = name.partition(".")
    parts = features.get(outer)
    if isinstance(parts, Translation):
        parts = parts.flatten()
    if isinstance(parts, dict) and key in parts:
        return Column(name, (outer, key), parts[key])
    raise UserError(
        f"expected a column of the dataset ({', '.join(features)}), got {name!r}; "
        f"{suggestion(name, features)}"
    )


def read_cells(dataset: Any, columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
    """The cells of each row by the name of the column; those of media are not loaded."""
    media = [column for column in columns if column.holds_media]
    texts = [column for column in columns if not column.holds_media]
    names = list(dict.fromkeys(column.keys[0] for column in texts))
    rows = dataset.select_columns(names).with_format(None) if names else [{}] * len(dataset)
    stored = [_media_cells(dataset, column) for column in media]
    for row in rows:
        yield {
            **{column.name: column.cell(row) for column in texts},
            **{column.name: next(cells) for column, cells in zip(media, stored, strict=True)},
        }


@dataclass(frozen=True)
class Cell:
    """Reads the bytes of one image or recording; the dataset stays on disk.

    column: a dataset of this column alone, which is not decoded.
    """

    column: Any
    name: str
    row: int

    def __call__(self) -> bytes:
        """The bytes of the file."""
        content: bytes = self.column[self.row][self.name]["bytes"]
        return content


def _media_cells(dataset: Any, column: Column) -> Iterator[Cell | str | None]:
    """A cell for each row of a column; a path where the dataset names a file; None for null."""
    undecoded = type(column.feature)(decode=False)
    cells = dataset.select_columns([column.name]).cast_column(column.name, undecoded)
    row = 0
    for table in cells.with_format("arrow").iter(BATCH_SIZE):
        for chunk in table.column(0).chunks:
            stored = dict(zip(chunk.type.names, chunk.flatten(), strict=True))
            held, paths = stored["bytes"].is_valid().to_pylist(), stored["path"].to_pylist()
            for has_bytes, path in zip(held, paths, strict=True):
                yield Cell(cells, column.name, row) if has_bytes else path
                row += 1


def _item(feature: Any) -> Any:
    """The feature of the items of a list; any other feature itself."""
    from datasets import LargeList, List

    return feature.feature if isinstance(feature, List | LargeList) else feature


def _described(feature: Any) -> str:
    """A feature in a message: the type of its values, else its name."""
    item = _item(feature)
    kind = getattr(item, "dtype", None) or type(item).__name__
    return f"lists of {kind}" if item is not feature else str(kind)


def _is_text(feature: Any) -> bool:
    return hasattr(feature, "int2str") or getattr(feature, "dtype", "") in TEXTS
