"""The translation corpus: English sentences beside German ones, no source in two splits."""

from __future__ import annotations

from pathlib import Path

from generators.choices import Choices
from generators.text_files import write_text
from generators.translation.sentences import sentence

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
