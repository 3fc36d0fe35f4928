"""Corpora of texts: aligned files, tables, Multi30k, AESLC. They refuse to know what is a source.

A corpus lists the examples of a split, every field as it was written; which field is read and which
is written is the recipe's choice. ``examples`` takes what to do with a bad row: without, it raises
a UserError naming file and line; with, the sentence is passed on and the row left out. No torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from multiattn.data.corpus import Example
from multiattn.data.tables import TableRow, Value, table_examples, table_path, table_splits
from multiattn.data.text_files import (
    FileLine,
    OnBadRow,
    collect_examples,
    decode_line,
    find_splits,
    first_existing,
    read_lines,
    require_text,
)
from multiattn.errors import UserError


class Parallel:
    """Text files of which line n belongs to line n: ``train.en``, ``train.de``; plain or .gz.

    fields: each field and its file's name, in which ``{split}`` stands for the split. Without any,
        every file ``SPLIT.NAME`` or ``SPLIT.NAME.gz`` of the folder is the field NAME.
    """

    def __init__(self, folder: Path, *, fields: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._patterns = {
            field: pattern.removesuffix(".gz") for field, pattern in (fields or {}).items()
        }
        for field, pattern in self._patterns.items():
            if "{split}" not in pattern:
                raise UserError(
                    f"expected a file name with {{split}} for the field {field!r}, "
                    f"got {pattern!r}; write for example {{split}}.{field}"
                )

    def splits(self) -> tuple[str, ...]:
        """Splits of which every field has its file."""
        if not self._patterns:
            stems = {name.rpartition(".")[0] for name in find_splits(self._folder, "{split}")}
            return tuple(sorted(stem for stem in stems if stem and len(self._found(stem)) > 1))
        complete = [find_splits(self._folder, pattern) for pattern in self._patterns.values()]
        return tuple(sorted(set.intersection(*complete)))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Align the files of a split. Raises UserError for unequal numbers of lines."""
        patterns = self._patterns or self._found(split) or {"text": "{split}.*"}
        paths = {
            field: first_existing(self._folder, [pattern.replace("{split}", split)])
            for field, pattern in patterns.items()
        }
        files = _aligned(split, paths)
        return collect_examples(files.rows(), files.example, on_bad_row)

    def _found(self, split: str) -> dict[str, str]:
        """Fields of a split by what its files are called."""
        parts = (name.rpartition(".") for name in sorted(find_splits(self._folder, "{split}")))
        return {field: f"{{split}}.{field}" for stem, _, field in parts if stem == split}


class Multi30k:
    """Multi30k, task 1 (Elliott et al. 2016): English and German captions of photographs.

    variant: ``raw`` as it was written; ``tok`` lowercased, normalised and tokenised (Moses), the
        form of most published scores.
    photographs: where the pictures lie, from the corpus folder; ``image`` is the path of one, or
        None where the line has none.
    """

    languages = ("en", "de")

    def __init__(
        self,
        folder: Path,
        *,
        variant: Literal["raw", "tok"] = "raw",
        photographs: str = "../flickr8k",
    ) -> None:
        self._folder = folder
        self._texts = folder / "tok" if variant == "tok" else folder
        self._photographs = (folder / photographs).resolve()

    def splits(self) -> tuple[str, ...]:
        """Splits that have both languages."""
        return Parallel(self._texts, fields={n: f"{{split}}.{n}" for n in self.languages}).splits()

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Align English, German and photographs. Raises UserError for unequal numbers of lines."""
        paths = {name: first_existing(self._texts, [f"{split}.{name}"]) for name in self.languages}
        if split in find_splits(self._folder, "{split}.image"):
            paths["image"] = first_existing(self._folder, [f"{split}.image"])
        files = _aligned(split, paths, optional=frozenset(["image"]))

        def pictured(line: int, raws: tuple[bytes, ...]) -> Example:
            example = files.example(line, raws)
            image = example.fields.get("image")
            path = str(self._photographs / str(image)) if image else None
            return replace(example, fields={**example.fields, "image": path})

        return collect_examples(files.rows(), pictured, on_bad_row)


class Table:
    """A table per split: ``SPLIT.jsonl``, or ``SPLIT.tsv``, ``SPLIT.csv`` with column names first.

    fields: each field and its column. A JSON list of texts is several values of one field, null is
        a field that the row does not have.
    id: the column that identifies a row; without one, rows are called by split and line.
    """

    def __init__(self, folder: Path, *, fields: Mapping[str, str], id: str = "") -> None:  # noqa: A002
        self._folder = folder
        self._fields = dict(fields)
        self._id = id

    def splits(self) -> tuple[str, ...]:
        """Names of the tables in the folder."""
        return table_splits(self._folder)

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the rows of a table in their order."""

        def example(row: TableRow) -> Example:
            fields = {field: row.value(column) for field, column in self._fields.items()}
            line = str(row.place.line)
            name = row.name(self._id) if self._id else f"{split}-{line}"
            return Example(name, fields, {"file": row.place.path.name, "line": line})

        return table_examples(table_path(self._folder, split), example, on_bad_row)


class Aeslc:
    """AESLC, the Annotated Enron Subject Line Corpus (Zhang and Tetreault 2019): mail -> subject.

    Fields: ``source`` (the body), ``subject`` (its author's) and ``annotations`` (subjects by three
    other people, in the splits for evaluation; elsewhere none).
    """

    columns = ("source", "subject", "annotations")

    def __init__(self, folder: Path) -> None:
        self._table = Table(folder, fields={name: name for name in self.columns}, id="id")

    def splits(self) -> tuple[str, ...]:
        """Names of the .jsonl files in the folder."""
        return self._table.splits()

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the mails of a split."""
        return self._table.examples(split, on_bad_row)


@dataclass(frozen=True)
class _AlignedFiles:
    """Files of a split that belong together by line; a line of an ``optional`` one may be empty."""

    split: str
    paths: Mapping[str, Path]
    columns: Sequence[Sequence[bytes]]
    optional: frozenset[str]

    def rows(self) -> Iterator[tuple[int, tuple[bytes, ...]]]:
        """Line numbers and what every file says there."""
        return enumerate(zip(*self.columns, strict=True), start=1)

    def example(self, line: int, raws: tuple[bytes, ...]) -> Example:
        """Decode a row. Raises BadRowError for bad UTF-8 and for an empty line."""
        fields: dict[str, Value] = {}
        for (field, path), raw in zip(self.paths.items(), raws, strict=True):
            place = FileLine(path, line)
            text = decode_line(raw, place)
            absent = field in self.optional and not text.strip()
            fields[field] = None if absent else require_text(text, "a sentence", place)
        file = next(iter(self.paths.values())).name
        return Example(f"{self.split}-{line}", fields, {"file": file, "line": str(line)})


def _aligned(
    split: str, paths: Mapping[str, Path], optional: frozenset[str] = frozenset()
) -> _AlignedFiles:
    columns = [read_lines(path) for path in paths.values()]
    if len({len(lines) for lines in columns}) > 1:
        counts = zip(paths.values(), columns, strict=True)
        found = ", ".join(f"{len(lines)} in {path}" for path, lines in counts)
        raise UserError(
            f"expected as many lines in every file of the split {split!r}, got {found}; "
            "line n of one must belong to line n of the others; move away what is none of them"
        )
    return _AlignedFiles(split, paths, columns, optional)
