"""The translation corpus: English sentences beside German ones, no source in two splits."""

from __future__ import annotations

import gzip
from pathlib import Path

from generators.choices import Choices
from generators.sentences import sentence

SIZES = {"train": 10_000, "validation": 500, "test": 500}
SEED = 1904


def pairs() -> dict[str, list[tuple[str, str]]]:
    """Split -> (English, German), every English sentence once."""
    choices, seen = Choices(SEED), set()
    found: dict[str, list[tuple[str, str]]] = {}
    for split, size in reversed(SIZES.items()):
        rows: list[tuple[str, str]] = []
        while len(rows) < size:
            english, german = sentence(choices)
            if english not in seen:
                seen.add(english)
                rows.append((english, german))
        found[split] = rows
    return found


def write(folder: Path) -> None:
    """``SPLIT.en`` and ``SPLIT.de``; all but the test files are compressed."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in pairs().items():
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{row[side]}\n" for row in rows)
            write_text(folder / f"{split}.{language}", text, compressed=split != "test")


def write_text(path: Path, text: str, *, compressed: bool) -> None:
    """UTF-8, as ``.gz`` without a time stamp if compressed."""
    if compressed:
        data = gzip.compress(text.encode(), compresslevel=9, mtime=0)
        path.with_name(path.name + ".gz").write_bytes(data)
    else:
        path.write_text(text, encoding="utf-8", newline="\n")
