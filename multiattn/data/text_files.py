"""Read lines of text files, plain or .gz, for corpora. Errors name the file and line.

Interpreting a line is left to ``tables.py`` and the corpora of plugins. Imports no torch.
"""

from __future__ import annotations

import glob
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from multiattn.data.corpus import BadRowError, Example
from multiattn.errors import UserError, shown

Raw = TypeVar("Raw")
OnBadRow = Callable[[str], None]


@dataclass(frozen=True)
class FileLine:
    """The location of a text, for error messages. Lines count from 1."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}"


def first_existing(folder: Path, names: Sequence[str]) -> Path:
    """Find the first of these files in the folder, each plain or with ``.gz`` appended."""
    candidates = [folder / f"{name}{suffix}" for name in names for suffix in ("", ".gz")]
    for path in candidates:
        if path.is_file():
            return path
    raise UserError(
        f"expected {' or '.join(path.name for path in candidates)} in {folder}, got no such file; "
        "check --data, the corpus folder and the split's name"
    )


def find_splits(folder: Path, pattern: str) -> set[str]:
    """Every split for which the folder has a file matching a pattern such as ``{split}.en``.

    Raises UserError for an absolute pattern.
    """
    if Path(pattern).is_absolute():
        raise UserError(
            f"expected files below {folder}, got {shown(pattern)}; give a path relative to that "
            "folder, which --data and corpus.folder set"
        )
    expression = re.escape(pattern).replace(r"\{split\}", "([^/]+?)", 1)
    name = re.compile(expression.replace(r"\{split\}", r"\1") + r"(?:\.gz)?")
    files = glob.escape(pattern).replace("{split}", "*")
    paths = [*folder.glob(files), *folder.glob(f"{files}.gz")]
    matches = (name.fullmatch(path.relative_to(folder).as_posix()) for path in paths)
    return {match[1] for match in matches if match}


def read_lines(path: Path) -> list[bytes]:
    """Read all lines undecoded, so that invalid UTF-8 makes one bad row, not a bad file.

    Raises UserError for an unreadable file, a damaged .gz or an empty file.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            lines = split_lines(file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"expected a complete gzip file at {path}, got {error}; download it again"
        ) from error
    except OSError as error:
        raise UserError(
            f"expected a readable file at {path}, got {error.strerror}; check its permissions"
        ) from error
    if not lines:
        raise UserError(f"expected text in {path}, got an empty file; download it again")
    return lines


def split_lines(file: Iterable[bytes]) -> list[bytes]:
    """Split at line feeds only, and remove line ends and a byte order mark."""
    return list(stripped(file))


def stripped(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends, as they come; the first without a byte order mark."""
    for number, line in enumerate(lines):
        stripped_line = line.rstrip(b"\r\n")
        yield stripped_line if number else stripped_line.removeprefix(b"\xef\xbb\xbf")


def decode_line(raw: bytes, place: FileLine) -> str:
    """Decode a line. Raises BadRowError if it is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRowError(
            f"expected UTF-8 in {place}, got the byte 0x{raw[error.start]:02x} at column "
            f"{error.start + 1}; convert the file to UTF-8"
        ) from error


def require_text(text: str, what: str, place: FileLine) -> str:
    """Return a text that is not blank. Raises BadRowError for a blank one."""
    if text.strip():
        return text
    raise BadRowError(
        f"expected {what} in {place}, got an empty one; "
        "fill or remove the row, or skip it with training.bad_rows=skip"
    )


def collect_examples(
    rows: Iterable[tuple[int, Raw]],
    make: Callable[[int, Raw], Example],
    on_bad_row: OnBadRow | None,
) -> list[Example]:
    """Make an example from every row and its line number.

    A bad row raises BadRowError. If ``on_bad_row`` is given, the row is left out instead, and
    ``on_bad_row`` is called with the message.
    """
    examples = []
    for line, row in rows:
        try:
            examples.append(make(line, row))
        except BadRowError as error:
            if on_bad_row is None:
                raise
            on_bad_row(str(error))
    return examples
