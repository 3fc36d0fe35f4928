"""Checks that a folder's parquet files are whole, of one form, and read as their names say.

``datasets`` makes a split of every file with ``train``, ``dev``, ``valid``, ``test`` or the like in
its name, and leaves the others out without a word.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from multiattn import UserError

SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.parquet")


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files in a folder and below, as ``datasets`` sees them: hidden ones left out."""
    files = sorted(folder.rglob("*.parquet"))
    return [
        file
        for file in files
        if not any(part.startswith((".", "__")) for part in file.relative_to(folder).parts)
    ]


def check_shards(folder: Path) -> None:
    """Raise UserError if one of ``train-00000-of-00002.parquet`` and the like is missing."""
    found: dict[tuple[Path, str, int], set[int]] = defaultdict(set)
    for file in parquet_files(folder):
        if (parts := SHARD.fullmatch(file.name)) is not None:
            found[file.parent, parts[1], int(parts[3])].add(int(parts[2]))
    for (place, name, count), numbers in sorted(found.items()):
        missing = [number for number in range(count) if number not in numbers]
        if missing:
            raise UserError(
                f"expected {count} files of {name} in {place}, got {len(numbers)} of them; fetch "
                f"{name}-{missing[0]:05}-of-{count:05}.parquet"
                f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}"
            )


def check_splits(folder: Path, files: Mapping[str, Iterable[str]]) -> None:
    """Raise UserError for a file that is left out, and for two names that are one split.

    files: by split, those that ``datasets`` reads.
    """
    base = folder.resolve()
    read = {split: [Path(file).relative_to(base) for file in own] for split, own in files.items()}
    used = {file for own in read.values() for file in own}
    for file in (found.relative_to(folder) for found in parquet_files(folder)):
        if file not in used:
            raise UserError(
                f"expected every parquet file in {folder} to be named after its split, got "
                f"{file} beside {', '.join(read)}; name it as theirs are "
                "named, or move it elsewhere"
            )
    for split, own in read.items():
        first = {_word_for_split(split, file): str(file) for file in reversed(own)}
        if len(first) > 1:
            raise UserError(
                f"expected one name for the split {split!r} in {folder}, got "
                f"{' and '.join(sorted(first.values()))}, which would be read as one split; move "
                "one elsewhere, or rename all files alike to join them"
            )


def _word_for_split(split: str, file: Path) -> str:
    """The word in the file's path that makes it part of the split; "" if none does."""
    from datasets.data_files import SPLIT_KEYWORDS

    known = {str(name): words for name, words in SPLIT_KEYWORDS.items()}.get(split, [])
    words = re.split(r"[\W\d_]+", str(file).lower())
    return next((word for word in reversed(words) if word in known), "")


def check_contents(folder: Path) -> None:
    """Raise UserError if two files have other columns, or one is damaged or has no rows."""
    from pyarrow import ArrowException, parquet

    first: tuple[Path, list[str]] | None = None
    for file in parquet_files(folder):
        try:
            found = parquet.read_metadata(file)
        except (ArrowException, OSError) as error:
            raise UserError(
                f"expected a parquet file in {file}, got one that cannot be read "
                f"({' '.join(str(error).split())}); write or fetch it again"
            ) from error
        columns = sorted(found.schema.to_arrow_schema().names)
        first = first or (file, columns)
        if columns != first[1]:
            raise UserError(
                f"expected the same columns in all parquet files in {folder}, got "
                f"{', '.join(first[1])} in {first[0].name} and {', '.join(columns)} in "
                f"{file.name}; give them the same, or put other data into a folder of its own"
            )
        if not found.num_rows:
            raise UserError(
                f"expected rows in {file}, got none; write it again, or leave it and its split out"
            )
