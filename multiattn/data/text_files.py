"""Lines of text files, plain or .gz, with every mistake named by file and line. For corpora.

It refuses to know what a line means: ``tables.py`` and the corpora of plugins do. No torch.
"""

from __future__ import annotations

import glob
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from multiattn.data.corpus import BadRowError, Example
from multiattn.errors import UserError

Raw = TypeVar("Raw")
OnBadRow = Callable[[str], None]


@dataclass(frozen=True)
class FileLine:
    """Where a text stands, as an error names it. Lines count from 1."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}"


def first_existing(folder: Path, names: Sequence[str]) -> Path:
    """Find the first of these files in the folder, each plain or with ``.gz`` behind its name."""
    candidates = [folder / f"{name}{suffix}" for name in names for suffix in ("", ".gz")]
    for path in candidates:
        if path.is_file():
            return path
    raise UserError(
        f"expected {' or '.join(path.name for path in candidates)} in {folder}, got no such file; "
        "check --data, the corpus folder and the split's name"
    )


def find_splits(folder: Path, pattern: str) -> set[str]:
    """What ``{split}`` of a pattern such as ``{split}.en`` stands for in the folder's files.

    Raises UserError for a pattern that leads elsewhere.
    """
    if Path(pattern).is_absolute():
        raise UserError(
            f"expected files below {folder}, got {pattern!r}; write where they lie in that folder, "
            "and say with --data or corpus.folder which it is"
        )
    expression = re.escape(pattern).replace(r"\{split\}", "([^/]+?)", 1)
    name = re.compile(expression.replace(r"\{split\}", r"\1") + r"(?:\.gz)?")
    files = glob.escape(pattern).replace("{split}", "*")
    paths = [*folder.glob(files), *folder.glob(f"{files}.gz")]
    found = (name.fullmatch(path.relative_to(folder).as_posix()) for path in paths)
    return {match[1] for match in found if match}


def read_lines(path: Path) -> list[bytes]:
    """Read all lines, undecoded: one that is not UTF-8 is one bad row, not a bad file.

    Raises UserError for a file that cannot be read, a damaged .gz, a file without a line.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            lines = split_lines(file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"expected a whole gzip file in {path}, got {error}; fetch it again"
        ) from error
    except OSError as error:
        raise UserError(
            f"expected a readable file in {path}, got {error.strerror}; check its permissions"
        ) from error
    if not lines:
        raise UserError(f"expected text in {path}, got an empty file; fetch it again")
    return lines


def split_lines(file: Iterable[bytes]) -> list[bytes]:
    """Cut where a line feed stands and nowhere else; a byte order mark is no text."""
    lines = [line.rstrip(b"\r\n") for line in file]
    lines[:1] = [line.removeprefix(b"\xef\xbb\xbf") for line in lines[:1]]
    return lines


def decode_line(raw: bytes, place: FileLine) -> str:
    """Decode a line. Raises BadRowError where it is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRowError(
            f"expected UTF-8 in {place}, got the byte 0x{raw[error.start]:02x} at column "
            f"{error.start + 1}; convert the file to UTF-8"
        ) from error


def require_text(text: str, what: str, place: FileLine) -> str:
    """Pass on a text that says something. Raises BadRowError where it is empty."""
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
    """Make an example of every row and its line number.

    A bad row raises BadRowError, or, where ``on_bad_row`` is given, is left out and told to it.
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
