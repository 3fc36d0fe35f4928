"""Writes the translation corpus. No English sentence occurs in two splits."""

from __future__ import annotations

from pathlib import Path

from generators.choices import Choices
from generators.text_files import write_text
from generators.translation.sentences import random_sentence

SIZES = {"train": 10_000, "validation": 500, "test": 500}
SEED = 1904


def sentence_pairs() -> dict[str, list[tuple[str, str]]]:
    """Compose the (English, German) pairs of each split; every English sentence is unique."""
    choices, seen = Choices(SEED), set()
    pairs: dict[str, list[tuple[str, str]]] = {}
    for split, size in reversed(SIZES.items()):
        rows: list[tuple[str, str]] = []
        while len(rows) < size:
            english, german = random_sentence(choices)
            if english not in seen:
                seen.add(english)
                rows.append((english, german))
        pairs[split] = rows
    return pairs


def write(folder: Path) -> None:
    """Write ``SPLIT.en`` and ``SPLIT.de``; all but the test files are compressed."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in sentence_pairs().items():
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{row[side]}\n" for row in rows)
            write_text(folder / f"{split}.{language}", text, compressed=split != "test")
