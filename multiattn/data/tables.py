"""Read tables: JSON lines, or TSV and CSV files with a header line. Imports no torch.

The corpora of plugins define which columns there are. Errors name a bad row by file and line: the
first of its lines if, in CSV, a quoted cell contains line breaks (RFC 4180).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from multiattn.data.corpus import BadRowError, Example
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
from multiattn.errors import UserError, shown

KINDS = ("jsonl", "tsv", "csv")

Value = str | tuple[str, ...] | None
Cells = Mapping[str, Any]


@dataclass(frozen=True)
class TableRow:
    """One row of a table: its cells and its location. Its methods raise BadRowError."""

    cells: Cells
    place: FileLine

    def text(self, column: str) -> str:
        """The text of a column that holds exactly one."""
        value = self.value(column)
        if isinstance(value, str):
            return value
        raise self._refused(column, self.cells[column], "write a string")

    def value(self, column: str) -> Value:
        """The value of a column: a text, a JSON list of texts, or null."""
        value = self._cell(column)
        texts = value if isinstance(value, list) else [] if value is None else [value]
        for text in texts:
            if not isinstance(text, str) or not _encodable(text):
                raise self._refused(column, text, "write a string, a list of strings or null")
            require_text(text, f"text in the column {shown(column)}", self.place)
        return tuple(texts) if isinstance(value, list) else value

    def name(self, column: str) -> str:
        """The text or number that identifies the row."""
        value = self._cell(column)
        if isinstance(value, str | int) and str(value).strip():
            return str(value)
        raise BadRowError(
            f"expected a name in the column {shown(column)} in {self.place}, "
            f"got {json.dumps(value)[:40]}; give the row one"
        )

    def has(self, column: str) -> bool:
        """Whether an optional column has a value: present, and neither null nor empty."""
        return self.cells.get(column) not in (None, "")

    def notes(self, used: Iterable[str]) -> dict[str, str]:
        """What the columns that are not ``used`` say in a word or a line, for ``Example.meta``."""
        return {
            column: str(value)
            for column, value in self.cells.items()
            if column not in used and isinstance(value, str | int | float) and str(value).strip()
        }

    def _cell(self, column: str) -> Any:
        if column in self.cells:
            return self.cells[column]
        raise BadRowError(
            f"expected the column {shown(column)} in {self.place}, got {', '.join(self.cells)}; "
            "correct the row, or the corpus's settings in the recipe"
        )

    def _refused(self, column: str, value: object, remedy: str) -> BadRowError:
        return BadRowError(
            f"expected text in the column {shown(column)} in {self.place}, "
            f"got {json.dumps(value)[:40]}; {remedy}"
        )


def column_names(names: Sequence[str], given: Mapping[str, str] | None) -> dict[str, str]:
    """Map each column in ``names`` to the table's own name for it: from ``given``, or unchanged.

    Raises UserError if ``given`` has a key that is not in ``names``.
    """
    unknown = [name for name in given or {} if name not in names]
    if unknown:
        raise UserError(
            f"expected the corpus's columns to be among {', '.join(names)}, got "
            f"{shown(unknown[0])}; write {{{names[0]}: the table's own name, ...}}"
        )
    return {**{name: name for name in names}, **(given or {})}


def table_splits(folder: Path) -> tuple[str, ...]:
    """Names of the tables ``SPLIT.jsonl``, ``SPLIT.tsv``, ``SPLIT.csv`` in a folder."""
    return tuple(sorted(set().union(*(find_splits(folder, f"{{split}}.{k}") for k in KINDS))))


def table_path(folder: Path, split: str, kinds: Sequence[str] = KINDS) -> Path:
    """The table of a split, plain or .gz. Raises UserError if there is none."""
    return first_existing(folder, [f"{split}.{kind}" for kind in kinds])


def table_examples(
    path: Path,
    make: Callable[[TableRow], Example],
    on_bad_row: OnBadRow | None = None,
    blank: Callable[[FileLine], Example] | None = None,
) -> list[Example]:
    """Make an example from every row of a table.

    Raises UserError for an unreadable file and BadRowError at a bad row. If ``on_bad_row`` is
    given, a bad row is left out instead, and ``on_bad_row`` is called with the message.
    blank: makes the example of a row without a visible character, which is otherwise a bad row.
    """
    lines = read_lines(path)
    kind = path.with_name(path.name.removesuffix(".gz")).suffix.lower()
    rows = _csv_records(lines) if kind == ".csv" else enumerate(lines, start=1)
    cells_of = _json_cells
    if kind != ".jsonl":
        cut = _cut_at_tabs if kind == ".tsv" else _cut_at_commas
        cells_of = partial(_separated_cells, cut, _header(path, rows, cut))

    def example(line: int, raw: bytes) -> Example:
        place = FileLine(path, line)
        if blank is not None and not raw.strip():
            return blank(place)
        return make(TableRow(cells_of(_decode(raw, place), place), place))

    return collect_examples(rows, example, on_bad_row)


def _csv_records(lines: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield each record of a CSV file, its lines joined, with the number of its first line.

    A line that begins no valid record is one by itself: a bad row, and not the rest of the file.
    """
    csv.field_size_limit(max(csv.field_size_limit(), sum(len(line) + 1 for line in lines)))
    start = 0
    never_closed = False  # a quoted cell was open at the end of the file
    while start < len(lines):
        count = 1
        if b'"' in lines[start] and not never_closed:
            texts = (
                lines[index].decode("utf-8", "surrogateescape") + "\n"
                for index in range(start, len(lines))
            )
            reader = csv.reader(texts, strict=True)
            try:
                next(reader)
                count = reader.line_num
            except csv.Error as error:
                never_closed = "end of data" in str(error)
        yield start + 1, b"\n".join(lines[start : start + count])
        start += count


def _decode(raw: bytes, place: FileLine) -> str:
    """Decode the lines of a row. Raises BadRowError naming the line that is not UTF-8."""
    return "\n".join(
        decode_line(line, replace(place, line=place.line + offset))
        for offset, line in enumerate(raw.split(b"\n"))
    )


def _json_cells(text: str, place: FileLine) -> Cells:
    try:
        cells = json.loads(require_text(text, "a row", place))
    except (ValueError, RecursionError) as error:
        raise BadRowError(
            f"expected a JSON object in {place}, got: {error}; correct the row"
        ) from error
    if not isinstance(cells, dict):
        raise BadRowError(
            f"expected a JSON object in {place}, got {shown(text, 40)}; "
            'write {"column": "text", ...}'
        )
    return cells


Cut = Callable[[str, FileLine], list[str]]


def _cut_at_tabs(text: str, place: FileLine) -> list[str]:
    """Split at tabs. Quotes have no special meaning: they belong to the text."""
    return text.split("\t")


def _cut_at_commas(text: str, place: FileLine) -> list[str]:
    """Split at commas. A cell with a comma or a line break needs double quotes."""
    try:
        (cells,) = csv.reader([text], strict=True) if text else ([""],)
    except csv.Error as error:
        raise BadRowError(
            f"expected cells between commas in {place}, got {shown(text, 40)} ({error}); "
            "double the quotes inside a quoted cell, and close each"
        ) from error
    return cells


def _header(path: Path, lines: Iterator[tuple[int, bytes]], cut: Cut) -> list[str]:
    """Read the column names from the first line.

    Raises UserError for a repeated name, and for a CSV file with another separator than commas.
    """
    line, raw = next(lines)
    columns = cut(_decode(raw, FileLine(path, line)), FileLine(path, line))
    if cut is _cut_at_commas and len(columns) == 1 and re.search(r"[;\t|]", columns[0]):
        raise UserError(
            f"expected column names separated by commas in {path}, line {line}, got "
            f"{shown(columns[0])}; separate cells by commas, or save the table as .tsv, with tabs"
        )
    if len(set(columns)) < len(columns):
        raise UserError(
            f"expected distinct column names in {path}, line {line}, got {', '.join(columns)}; "
            "rename the repeated ones"
        )
    return columns


def _separated_cells(cut: Cut, columns: Sequence[str], text: str, place: FileLine) -> Cells:
    cells = cut(text, place)
    if len(cells) != len(columns):
        raise BadRowError(
            f"expected {len(columns)} cells in {place}, as many as columns in its first line, "
            f"got {len(cells)}; correct the row"
        )
    return dict(zip(columns, cells, strict=True))


def _encodable(text: str) -> bool:
    r"""Return False for a lone surrogate (``\ud83d``), which JSON can spell but UTF-8 cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
