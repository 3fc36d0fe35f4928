"""Tables with named columns: CSV and TSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import partial

from multiattn.errors import UserError, shown
from multiattn.scoring.forms.contents import Meta, ReferenceFile, SystemOutputs, require_unique

LONGEST_CELL = 2**31 - 1  # characters; the csv module stops at 131,072 by default
IDS = ("id", "utt_id", "utterance_id", "image_id", "key")
TEXTS = ("text", "hypothesis", "prediction", "output", "transcript", "caption", "sentence")
REFERENCES = ("reference", "references", "ref", "target")
ROLES = {"id": IDS, "text": TEXTS, "reference": REFERENCES}
Columns = Mapping[str, str]  # role -> the name of its column


def read_outputs(name: str, text: str, delimiter: str, columns: Columns) -> SystemOutputs:
    """Outputs, with ids, references and other columns if there are some. Raises UserError."""
    header, rows = _read(name, text, delimiter)
    output = _required(name, header, "text", columns)
    identity = _column(name, header, "id", columns)
    reference = _column(name, header, "reference", columns)
    used = {output, identity, reference}
    return SystemOutputs(
        name,
        tuple(row[output] for row in rows),
        _ids(name, rows, identity),
        None if reference is None else tuple((row[reference],) for row in rows),
        _meta(rows, [column for column in header if column not in used]),
    )


def read_references(name: str, text: str, delimiter: str, columns: Columns) -> ReferenceFile:
    """References: a column of this name or, if there is none, that of texts. Raises UserError."""
    header, rows = _read(name, text, delimiter)
    reference = _column(name, header, "reference", columns)
    reference = reference or _required(name, header, "text", columns)
    identity = _column(name, header, "id", columns)
    return ReferenceFile(
        name,
        tuple((row[reference],) for row in rows),
        _ids(name, rows, identity),
        meta=_meta(rows, [column for column in header if column not in (reference, identity)]),
    )


def _read(name: str, text: str, delimiter: str) -> tuple[list[str], list[dict[str, str]]]:
    """The header and a dictionary for each row."""
    csv.field_size_limit(LONGEST_CELL)
    source = io.StringIO(text, newline="")
    if _quotes_are_text(text, delimiter):
        lines = csv.reader(source, delimiter=delimiter, strict=True, quoting=csv.QUOTE_NONE)
    else:
        lines = csv.reader(source, delimiter=delimiter, strict=True)
    try:
        header = next(lines, [])
        repeated = sorted({column for column in header if header.count(column) > 1})
        if repeated:
            raise UserError(
                f"expected every column once in {name}, got {shown(repeated[0])} again; rename it"
            )
        rows = []
        for cells in lines:
            if cells and len(cells) != len(header):
                raise UserError(
                    f"expected {len(header)} columns in line {lines.line_num} of {name}, got "
                    f"{len(cells)}; correct the line, or quote cells that hold the separator"
                )
            if cells:
                rows.append(dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise UserError(
            f"expected a table of quoted cells in {name}, got {error} in line {lines.line_num}; "
            "correct the quotes, or name another form with --format"
        ) from error
    if not rows:
        raise UserError(f"expected a row below the header of {name}, got none; give some")
    return header, rows


def _quotes_are_text(text: str, delimiter: str) -> bool:
    """Whether quotes at the beginning of cells do not quote: in a table of tabs.

    Such a table is often written without any quoting. Then every line has as many cells as the
    header, which a cell over several lines would break.
    """
    if delimiter != "\t" or '"' not in text:
        return False
    quoted = sum(1 for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    lines = [line for line in text.splitlines() if line.strip()]
    counts = {line.count(delimiter) for line in lines}
    return quoted < len(lines) and len(counts) == 1


def _column(name: str, header: Sequence[str], role: str, columns: Columns) -> str | None:
    """The column of a role: as given, or the first that has one of its names."""
    if role in columns:
        if columns[role] in header:
            return columns[role]
        raise UserError(
            f"expected the column {shown(columns[role])} in {name}, got {', '.join(header)[:200]}; "
            f"correct --column {role}=NAME"
        )
    lowered = {column.strip().lower(): column for column in reversed(header)}
    return next((lowered[known] for known in ROLES[role] if known in lowered), None)


def _required(name: str, header: Sequence[str], role: str, columns: Columns) -> str:
    column = _column(name, header, role, columns)
    if column is None:
        raise UserError(
            f"expected a column {', '.join(ROLES[role][:-1])} or {ROLES[role][-1]} in {name}, got "
            f"{', '.join(header)[:200]}; name it with --column {role}=NAME"
        )
    return column


def _ids(
    name: str, rows: Sequence[Mapping[str, str]], column: str | None
) -> tuple[str, ...] | None:
    if column is None:
        return None
    ids = tuple(row[column] for row in rows)
    require_unique(name, ids)
    return ids


def _meta(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> tuple[Meta, ...] | None:
    if not columns:
        return None
    return tuple({column: row[column] for column in columns} for row in rows)


csv_outputs, tsv_outputs = (partial(read_outputs, delimiter=mark) for mark in ",\t")
csv_references, tsv_references = (partial(read_references, delimiter=mark) for mark in ",\t")
