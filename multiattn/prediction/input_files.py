"""Files as inputs: lines of text, tables with a column per source, media.

A file is read by what it is; ``looks_like_path`` tells a mistyped path from a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from multiattn.data.corpus import BadRowError, Example
from multiattn.data.tables import KINDS, TableRow, table_examples
from multiattn.data.text_files import FileLine, decode_line, read_lines
from multiattn.errors import UserError
from multiattn.registry import records

Input = dict[str, str] | UserError  # values by source, or why there are none

TABLES = tuple(f".{kind}" for kind in KINDS)
MARKUP = (".json", ".xml", ".html", ".htm", ".sgm", ".sgml")  # texts, but not one a line
ARCHIVES = (".gz", ".zip", ".bz2", ".xz", ".zst", ".tar")
DOCUMENTS = (".txt", ".md", ".pdf", ".doc", ".docx", ".odt", ".rtf", ".xls", ".xlsx", ".log")
KNOWN = (*TABLES, *MARKUP, *ARCHIVES, *DOCUMENTS)
FORMS = "plain text with one input per line, .jsonl, .tsv or .csv, each also as .gz"


@dataclass(frozen=True)
class SourceColumns:
    """The names by which tables and readers know the sources of a recipe.

    readers: the record of each source's reader. fields: the field of the corpus it was trained on.
    """

    readers: Mapping[str, records.Reader]
    fields: Mapping[str, str]

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes that any of the readers recognises."""
        return tuple(suffix for reader in self.readers.values() for suffix in reader.suffixes)


def is_table(path: Path) -> bool:
    """Whether a file's name says that it is a table."""
    return _suffix(path) in TABLES


def looks_like_path(argument: str, suffixes: Iterable[str]) -> bool:
    """Whether an argument that names no file was probably meant to.

    A text may contain ``/`` and end in ``.txt``; a path has no spaces, or begins like a path, or
    lies in a folder that exists, or ends in a known suffix. suffixes: of the readers.
    """
    path = Path(argument)
    if path.suffix.lower() in (*KNOWN, *suffixes) and path.stem.strip(". "):
        return True
    if " " not in argument:
        separated = "/" in argument and "://" not in argument
        return separated or bool(re.fullmatch(r"[\w.-]*[\w-]\.[a-z][a-z0-9]{1,4}", argument))
    return argument.startswith(("./", "../", "~/")) or _in_a_folder(path)


def _in_a_folder(path: Path) -> bool:
    try:
        return path.parent != Path() and path.parent != Path("/") and path.parent.is_dir()
    except (OSError, ValueError):  # too long for a path, or with a null character
        return False


def lines_of(path: Path, source: str) -> list[Input]:
    """An input per line of a text file, plain or .gz.

    Raises UserError for a file that is no such text, or cannot be read.
    """
    if _suffix(path) in MARKUP:
        raise UserError(
            f"expected {FORMS}, got {path}, which is read otherwise; write its texts to such a "
            "file, or use --text if this is the text itself"
        )
    lines = read_lines(path)
    if any(b"\0" in line for line in lines) or lines[0].startswith(b"%PDF"):
        raise UserError(
            f"expected {FORMS}, got {path}, which is not text in UTF-8; convert it first, or use "
            "--text if this is the text itself"
        )
    return list(decoded(lines, path, source))


def decoded(lines: Iterable[bytes], path: Path, source: str) -> Iterator[Input]:
    """An input per line, as they come; a line that is not UTF-8 is one that cannot be used."""
    for number, raw in enumerate(lines, start=1):
        yield _decoded(raw, FileLine(path, number), source)


def document(lines: Iterable[Input], source: str) -> Input:
    """One input of all lines, or the error of the first that cannot be used."""
    texts = []
    for line in lines:
        if isinstance(line, UserError):
            return line
        texts.append(line[source])
    return {source: "\n".join(texts)}


def _decoded(raw: bytes, place: FileLine, source: str) -> Input:
    try:
        return {source: decode_line(raw, place)}
    except UserError as error:
        return error


def rows_of(
    path: Path, columns: SourceColumns, notify: Callable[[str], object] = str
) -> list[Input]:
    """An input per row of a table with a column per source, named like it or like its field.

    The only column of a table serves the only source, whatever its name, which ``notify`` is told.
    A blank row is a blank input. Raises UserError for an unreadable table, or a header without such
    a column.
    """
    inputs: list[Input] = []
    used: set[str] = set()

    def add(row: TableRow) -> Example:
        inputs.append(_cells(row, columns, path))
        used.update(row.cells if len(row.cells) == 1 else ())
        return Example(str(row.place), {})

    def add_blank(place: FileLine) -> Example:
        inputs.append(dict.fromkeys(columns.readers, ""))
        return Example(str(place), {})

    table_examples(path, add, lambda sentence: inputs.append(UserError(sentence)), add_blank)
    for name in sorted(used - {*columns.readers, *columns.fields.values()}):
        notify(f"read the column {name} of {path}, its only one, as {', '.join(columns.readers)}")
    return inputs


def _cells(row: TableRow, columns: SourceColumns, path: Path) -> dict[str, str]:
    """The values of a row; paths of media are relative to the table's folder or the current one."""
    found = {}
    for source, reader in columns.readers.items():
        column = _column(row, source, columns, path)
        value = row.cells.get(column)
        if value is None and len(columns.readers) > 1:
            continue
        text = value if isinstance(value, str) else "" if value is None else row.text(column)
        beside = path.parent / text
        found[source] = str(beside) if not reader.reads_text and beside.is_file() else text
    return found


def _column(row: TableRow, source: str, columns: SourceColumns, path: Path) -> str:
    names = (source, columns.fields.get(source, source))
    for name in names:
        if name in row.cells:
            return name
    only = next(iter(row.cells), "")
    if len(row.cells) == len(columns.readers) == 1 and re.fullmatch(r"\w+", only):
        return only
    others = (*columns.readers, *columns.fields.values())
    if len(columns.readers) > 1 and any(name in row.cells for name in others):
        return source  # this source is missing in the row; another is not
    wanted = " or ".join(dict.fromkeys(names))
    mistake = BadRowError if _suffix(path) == ".jsonl" else UserError  # of a row, of the header
    raise mistake(
        f"expected a column {wanted} in {row.place if mistake is BadRowError else path}, "
        f"got {', '.join(row.cells)[:100]}; name the "
        "column of the inputs so, in the first line of .tsv and .csv"
    )


def _suffix(path: Path) -> str:
    """The suffix that says what a file is, in lower case: ``.tsv`` of ``IN.TSV.gz``."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix
