"""The tiny corpora on which the checks run: two splits of three lines. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

ENGLISH = ("a red hat .", "a dog runs .", "two birds .")
GERMAN = ("ein roter hut .", "ein hund rennt .", "zwei vögel .")
PHOTOGRAPHS = ("1.jpg", "2.jpg", "")  # the last line has none
SPLITS = ("val", "test_2016_flickr")


def write_lines(folder: Path, columns: Mapping[str, Sequence[str]]) -> None:
    """Write ``SPLIT.NAME`` for each column, a value per line."""
    folder.mkdir(exist_ok=True)
    for split in SPLITS:
        for name, lines in columns.items():
            (folder / f"{split}.{name}").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_table(folder: Path, columns: Mapping[str, Sequence[object]]) -> None:
    """Write ``SPLIT.jsonl``, an object per line."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    for split in SPLITS:
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")


def write_multi30k(folder: Path, text_folder: Path) -> dict[str, str]:
    """Write texts and photographs of no content; return the settings that read them."""
    write_lines(text_folder, {"en": ENGLISH, "de": GERMAN})
    write_lines(folder, {"image": PHOTOGRAPHS})
    (folder / "photographs").mkdir()
    for name in filter(None, PHOTOGRAPHS):
        (folder / "photographs" / name).touch()
    return {"photographs": "photographs"}
