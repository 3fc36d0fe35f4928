"""The columns of a dataset as fields of examples: texts, labels, translations, stored media."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multiattn import UserError, suggestion

TEXTS = ("string", "large_string", "string_view")
INTEGERS = re.compile(r"u?int\d+")
NOT_LABELLED = (None, -1)  # a class label that is not known
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
        if keys := [*_parts(self.feature)]:
            raise UserError(
                f"expected a part of the column {self.name!r} of the dataset ({', '.join(keys)}), "
                f"got all of it; write {self.name}.{keys[0]} in corpus.fields"
            )
        if not self.holds_media and not _is_text(_item(self.feature)):
            raise UserError(
                f"expected texts, class labels, images or recordings in the column {self.name!r} "
                f"of the dataset, got {_described(self.feature)}; name another in corpus.fields"
            )

    def check_name(self, setting: str) -> None:
        """Raise UserError for a column that cannot be this setting of the corpus: id or group."""
        dtype = getattr(self.feature, "dtype", "")
        if not (_is_text(self.feature) or INTEGERS.fullmatch(dtype) or dtype == "bool"):
            raise UserError(
                f"expected texts, integers or class labels in the column {self.name!r} of the "
                f"dataset, got {_described(self.feature)}; name another as corpus.{setting}"
            )

    def cell(self, row: Mapping[str, Any]) -> Any:
        """The cell of a row: a text, a list of texts or None; a class label by its name."""
        value: Any = row
        for key in self.keys:
            value = None if value is None else value.get(key)
        feature = _item(self.feature)
        if not hasattr(feature, "int2str"):
            return value
        if isinstance(value, list):
            return [_label(feature, each) for each in value if each not in NOT_LABELLED]
        return None if value in NOT_LABELLED else _label(feature, value)


def require_columns(
    fields: Mapping[str, Sequence[str]], notes: Mapping[str, str], features: Mapping[str, Any]
) -> list[Column]:
    """The columns of the fields and of the notes, each once.

    notes: the columns of the settings ``id`` and ``group``, by setting.

    Raises UserError for one that is missing or of a type that does not fit.
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
    for setting, name in notes.items():
        columns.setdefault(name, _column(name, features)).check_name(setting)
    return [*columns.values()]


def _column(name: str, features: Mapping[str, Any]) -> Column:
    keys: list[str] = []
    parts, rest = features, name
    while rest not in parts:
        outer, dot, inner = rest.partition(".")
        if not dot or outer not in parts:
            raise UserError(
                f"expected a column of the dataset ({', '.join(features)}), got {name!r}; "
                f"{suggestion(name, features)}"
            )
        keys.append(outer)
        parts, rest = _parts(parts[outer]), inner
    return Column(name, (*keys, rest), parts[rest])


def _parts(feature: Any) -> Mapping[str, Any]:
    """The features of the parts of a column: of a struct or a translation; {} of any other."""
    from datasets import Translation

    if isinstance(feature, Translation):
        feature = feature.flatten()
    return feature if isinstance(feature, dict) else {}


def read_cells(dataset: Any, columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
    """The cells of each row by the name of the column; those of media are not loaded."""
    media = [column for column in columns if column.holds_media]
    texts = [column for column in columns if not column.holds_media]
    stored = [_media_cells(dataset, column) for column in media]
    for row in _rows(dataset, list(dict.fromkeys(column.keys[0] for column in texts))):
        yield {
            **{column.name: column.cell(row) for column in texts},
            **{column.name: next(cells) for column, cells in zip(media, stored, strict=True)},
        }


def _rows(dataset: Any, names: list[str]) -> Iterator[dict[str, Any]]:
    """The cells of these columns by row, of which nothing is decoded."""
    if not names:
        yield from ({} for _ in range(len(dataset)))
        return
    for table in dataset.select_columns(names).with_format("arrow").iter(BATCH_SIZE):
        yield from table.to_pylist()


@dataclass(frozen=True)
class Cell:
    """Reads the bytes of one image or recording; the dataset stays on disk.

    dataset: of one column alone, as Arrow tables, which are not decoded. keys: see ``Column``.
    """

    dataset: Any
    keys: tuple[str, ...]
    row: int

    def __call__(self) -> bytes:
        """The bytes of the file."""
        (value,) = self.dataset[self.row].to_pylist()
        for key in self.keys:
            value = value[key]
        content: bytes = value["bytes"]
        return content


def _media_cells(dataset: Any, column: Column) -> Iterator[Cell | str | None]:
    """A cell for each row of a column; a path where the dataset names a file; None for null."""
    cells = dataset.select_columns([column.keys[0]]).with_format("arrow")
    row = 0
    for table in cells.iter(BATCH_SIZE):
        for chunk in table.column(0).chunks:
            for key in column.keys[1:]:
                chunk = _struct(chunk)[key]
            stored = _struct(chunk)
            held, paths = stored["bytes"].is_valid().to_pylist(), stored["path"].to_pylist()
            for has_bytes, path in zip(held, paths, strict=True):
                yield Cell(cells, column.keys, row) if has_bytes else path
                row += 1


def _struct(chunk: Any) -> dict[str, Any]:
    """The parts of an Arrow array of structs; null where the struct is."""
    return dict(zip(chunk.type.names, chunk.flatten(), strict=True))


def _label(feature: Any, number: int) -> str | int:
    """The name of a class label; the number if it has none, which is refused as no text."""
    name: str | int = feature.int2str(number) if 0 <= number < feature.num_classes else number
    return name


def _item(feature: Any) -> Any:
    """The feature of the items of a list; any other feature itself."""
    from datasets import LargeList, List

    return feature.feature if isinstance(feature, List | LargeList) else feature


def _described(feature: Any) -> str:
    """A feature in a message: the type of its values, else its name."""
    from datasets import Value

    item = _item(feature)
    if item is not feature:
        return f"lists of {_described(item)}"
    if isinstance(feature, dict):
        return "a struct" if feature else "an empty struct"
    return str(feature.dtype) if isinstance(feature, Value) else type(feature).__name__


def _is_text(feature: Any) -> bool:
    return hasattr(feature, "int2str") or getattr(feature, "dtype", "") in TEXTS
