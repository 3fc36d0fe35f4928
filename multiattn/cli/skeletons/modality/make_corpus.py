"""Makes a small corpus: series that rise, fall, stay or swing, and the words that say so.

``python -m my_plugin.make_corpus FOLDER`` makes the same files every time. Replace it by your data.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZES = {"train": 600, "validation": 100, "test": 100}
NOISE = 0.05


def make(folder: Path, seed: int = 1) -> None:
    """Write ``SPLIT.tsv`` and ``SPLIT/NUMBER.dat``, a series of 16 to 96 time steps each."""
    generator = np.random.default_rng(seed)
    for split, size in SIZES.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        rows = ["file\ttext"]
        for number in range(size):
            words = _words(generator)
            series = np.concatenate([_shape(word, generator) for word in words])
            name = f"{split}/{number}.dat"
            np.savetxt(folder / name, series, fmt="%.3f")
            rows.append(f"{name}\t{' '.join(words)}")
        (folder / f"{split}.tsv").write_text("\n".join(rows) + "\n", "utf-8")


def _words(generator: np.random.Generator) -> list[str]:
    """Draw two to four words, no word twice in a row."""
    words: list[str] = []
    for _ in range(generator.integers(2, 5)):
        choice = [word for word in ("rise", "fall", "stay", "swing") if word not in words[-1:]]
        words.append(str(generator.choice(choice)))
    return words


def _shape(word: str, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw the 8 to 24 time steps that a word describes, with noise."""
    time = np.linspace(0, 1, generator.integers(8, 25))
    shapes = {
        "rise": time,
        "fall": 1 - time,
        "stay": np.full_like(time, 0.5),
        "swing": 0.5 + 0.5 * np.sin(4 * np.pi * time),
    }
    return shapes[word] + NOISE * generator.standard_normal(len(time))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make a corpus of series and words.")
    parser.add_argument("folder", type=Path)
    make(parser.parse_args().folder)
