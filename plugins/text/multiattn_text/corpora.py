"""Text corpora: aligned files, tables, Multi30k, AESLC.

A corpus lists the examples of a split with all fields unchanged; the recipe chooses which fields
are sources and which is the target. For a bad row ``examples`` raises a UserError naming file and
line; if ``on_bad_row`` is given, it gets the message instead and the row is left out. Imports no
torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from multiattn import Example, UserError
from multiattn.corpora import (
    FileLine,
    OnBadRow,
    TableRow,
    Value,
    collect_examples,
    decode_line,
    find_splits,
    first_existing,
    read_lines,
    require_text,
    table_examples,
    table_path,
    table_splits,
)
from multiattn_text.example_files import ENGLISH, GERMAN, write_lines, write_multi30k, write_table


class Parallel:
    """Text files aligned by line, such as ``train.en`` and ``train.de``; plain or .gz.

    fields: the file name of each field, with ``{split}`` for the split. By default, every
        file ``SPLIT.NAME`` or ``SPLIT.NAME.gz`` in the folder is the field NAME.
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

    @staticmethod
    def example_folder(folder: Path) -> dict[str, Any]:
        """Write two splits of three lines in two languages."""
        write_lines(folder, {"en": ENGLISH, "de": GERMAN})
        return {}

    def splits(self) -> tuple[str, ...]:
        """List the splits that have a file for every field."""
        if not self._patterns:
            stems = {name.rpartition(".")[0] for name in find_splits(self._folder, "{split}")}
            return tuple(
                sorted(stem for stem in stems if stem and len(self._patterns_of(stem)) > 1)
            )
        by_field = [find_splits(self._folder, pattern) for pattern in self._patterns.values()]
        return tuple(sorted(set.intersection(*by_field)))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Align the files of a split. Raises UserError for unequal numbers of lines."""
        patterns = self._patterns or self._patterns_of(split) or {"text": "{split}.*"}
        paths = {
            field: first_existing(self._folder, [pattern.replace("{split}", split)])
            for field, pattern in patterns.items()
        }
        files = _read_aligned(split, paths)
        return collect_examples(files.rows(), files.example, on_bad_row)

    def _patterns_of(self, split: str) -> dict[str, str]:
        """Derive the fields of a split, and their file patterns, from the names of its files."""
        parts = (name.rpartition(".") for name in sorted(find_splits(self._folder, "{split}")))
        return {field: f"{{split}}.{field}" for stem, _, field in parts if stem == split}


class Multi30k:
    """Multi30k, task 1 (Elliott et al. 2016): English and German captions of photographs.

    variant: ``raw`` for the original text; ``tok`` for the lowercased, normalised and tokenised
        (Moses) text, on which most published scores are measured.
    photographs: the folder of the images, relative to the corpus folder. The field ``image`` is
        the path of an image, or None where the line has none.
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
        self._text_folder = folder / "tok" if variant == "tok" else folder
        self._image_folder = (folder / photographs).resolve()

    @staticmethod
    def example_folder(folder: Path) -> dict[str, Any]:
        """Write two splits of three lines; the last has no photograph."""
        return write_multi30k(folder, folder)

    def splits(self) -> tuple[str, ...]:
        """List the splits that have both languages."""
        patterns = {language: f"{{split}}.{language}" for language in self.languages}
        return Parallel(self._text_folder, fields=patterns).splits()

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Align English, German and images. Raises UserError for unequal numbers of lines."""
        paths = {
            language: first_existing(self._text_folder, [f"{split}.{language}"])
            for language in self.languages
        }
        if split in find_splits(self._folder, "{split}.image"):
            paths["image"] = first_existing(self._folder, [f"{split}.image"])
        files = _read_aligned(split, paths, optional=frozenset(["image"]))

        def example_with_image_path(line: int, raw_lines: tuple[bytes, ...]) -> Example:
            example = files.example(line, raw_lines)
            image = example.fields.get("image")
            path = str(self._image_folder / str(image)) if image else None
            return replace(example, fields={**example.fields, "image": path})

        return collect_examples(files.rows(), example_with_image_path, on_bad_row)


class Table:
    """One table per split: ``SPLIT.jsonl``, or ``SPLIT.tsv`` or ``SPLIT.csv`` with a header row.

    fields: the column of each field. A JSON list of texts gives the field several values; null
        means that the row lacks the field.
    id: the column with the ids of the rows; by default, the id is the split and the line number.
    """

    def __init__(self, folder: Path, *, fields: Mapping[str, str], id: str = "") -> None:  # noqa: A002
        self._folder = folder
        self._fields = dict(fields)
        self._id = id

    @staticmethod
    def example_folder(folder: Path) -> dict[str, Any]:
        """Write two tables of three rows in two languages."""
        write_table(folder, {"en": ENGLISH, "de": GERMAN})
        return {"fields": {"en": "en", "de": "de"}}

    def splits(self) -> tuple[str, ...]:
        """List the splits that have a table in the folder."""
        return table_splits(self._folder)

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the rows of a table in order."""

        def example(row: TableRow) -> Example:
            fields = {field: row.value(column) for field, column in self._fields.items()}
            line = str(row.place.line)
            name = row.name(self._id) if self._id else f"{split}-{line}"
            return Example(name, fields, {"file": row.place.path.name, "line": line})

        return table_examples(table_path(self._folder, split), example, on_bad_row)


class Aeslc:
    """AESLC, the Annotated Enron Subject Line Corpus (Zhang and Tetreault 2019).

    Fields: ``source`` (the body of the e-mail), ``subject`` (the author's subject line) and
    ``annotations`` (subject lines by three other people, in the evaluation splits only).
    """

    columns = ("source", "subject", "annotations")

    def __init__(self, folder: Path) -> None:
        self._table = Table(folder, fields={name: name for name in self.columns}, id="id")

    @staticmethod
    def example_folder(folder: Path) -> dict[str, Any]:
        """Write two splits of three e-mails; the last has no annotations."""
        notes = (["a hat", "hats"], ["run, dog", "dogs"], None)
        ids = ("first", "second", "third")
        columns = {"id": ids, "source": ENGLISH, "subject": ENGLISH, "annotations": notes}
        write_table(folder, columns)
        return {}

    def splits(self) -> tuple[str, ...]:
        """List the splits that have a table in the folder."""
        return self._table.splits()

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the e-mails of a split."""
        return self._table.examples(split, on_bad_row)


@dataclass(frozen=True)
class _AlignedFiles:
    """The files of a split, aligned by line; lines of an ``optional`` field may be empty."""

    split: str
    paths: Mapping[str, Path]
    columns: Sequence[Sequence[bytes]]
    optional: frozenset[str]

    def rows(self) -> Iterator[tuple[int, tuple[bytes, ...]]]:
        """Yield each line number with that line of every file."""
        return enumerate(zip(*self.columns, strict=True), start=1)

    def example(self, line: int, raw_lines: tuple[bytes, ...]) -> Example:
        """Decode a row. Raises BadRowError for invalid UTF-8 and for an empty line."""
        fields: dict[str, Value] = {}
        for (field, path), raw in zip(self.paths.items(), raw_lines, strict=True):
            location = FileLine(path, line)
            text = decode_line(raw, location)
            absent = field in self.optional and not text.strip()
            fields[field] = None if absent else require_text(text, "a sentence", location)
        file = next(iter(self.paths.values())).name
        return Example(f"{self.split}-{line}", fields, {"file": file, "line": str(line)})


def _read_aligned(
    split: str, paths: Mapping[str, Path], optional: frozenset[str] = frozenset()
) -> _AlignedFiles:
    columns = [read_lines(path) for path in paths.values()]
    if len({len(lines) for lines in columns}) > 1:
        files = zip(paths.values(), columns, strict=True)
        counts = ", ".join(f"{len(lines)} in {path}" for path, lines in files)
        raise UserError(
            f"expected the same number of lines in every file of {split!r}, got {counts}; "
            "align the files line by line, and move away files that are not part of the corpus"
        )
    return _AlignedFiles(split, paths, columns, optional)
