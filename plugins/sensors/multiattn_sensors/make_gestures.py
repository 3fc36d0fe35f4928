"""Make a corpus of gestures: ``python -m multiattn_sensors.make_gestures FOLDER``.

A sensor on a wrist records acceleration (in g) and rotation (in radians per second) while its
wearer makes two to four gestures; the text says which:

    raised twice , then turned left , then shaken three times
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
Phrase = tuple[str, int]  # a gesture and how often it is made

SIZES = {"train": 3000, "validation": 100, "test": 200}
RATE_HZ = 25
CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")
GRAVITY = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0])

# Per gesture its channel and sign, and whether it is one push, a push and a stop, or a vibration.
GESTURES = {
    "raised": ("az", 1, "stop"),
    "lowered": ("az", -1, "stop"),
    "pushed": ("ax", 1, "stop"),
    "pulled": ("ax", -1, "stop"),
    "turned left": ("gz", 1, "push"),
    "turned right": ("gz", -1, "push"),
    "rolled over": ("gx", 1, "push"),
    "shaken": ("ay", 1, "vibration"),
}
TIMES = ("", " twice", " three times")
HELD_STILL = "held still"


def make(folder: Path, seed: int = 1) -> None:
    """Write ``SPLIT.jsonl`` and ``SPLIT/NUMBER.npy`` (L, 6); the same at every call.

    No two gestures that follow one another in training do so in the other splits' ``held_out``.
    """
    generator = np.random.default_rng(seed)
    for split, size in SIZES.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        rows = []
        for number in range(size):
            phrases = _phrases(generator, held_out=split != "train")
            path = f"{split}/{number}.npy"
            np.save(folder / path, _series(phrases, generator).astype(np.float16))
            text = " , then ".join(name + TIMES[times - 1] for name, times in phrases)
            rows.append(json.dumps({"id": f"{split}-{number}", "series": path, "text": text}))
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n", "utf-8")


def is_held_out(first: str, second: str) -> bool:
    """Whether one gesture never follows the other in training: a sixth of all pairs."""
    names = [*GESTURES, HELD_STILL]
    return (names.index(first) + 2 * names.index(second)) % 6 == 1


def _phrases(generator: np.random.Generator, held_out: bool) -> list[Phrase]:
    """Draw two to four phrases, with a pair that is held out or without any."""
    names = [*GESTURES, HELD_STILL]
    while True:
        drawn = [str(name) for name in generator.choice(names, generator.integers(2, 5))]
        pairs = list(pairwise(drawn))
        distinct = all(first != second for first, second in pairs)
        if distinct and held_out == any(is_held_out(*pair) for pair in pairs):
            return [
                (name, 1 if name == HELD_STILL else int(generator.integers(1, 4))) for name in drawn
            ]


def _series(phrases: list[Phrase], generator: np.random.Generator) -> Series:
    """Record phrases (L, 6): by a wearer with strength and speed of their own, with noise."""
    strength, speed = generator.uniform(0.6, 1.4), generator.uniform(0.7, 1.4)
    parts = [_rest(generator.uniform(0.2, 0.8))]
    for name, times in phrases:
        if name == HELD_STILL:
            parts.append(_rest(generator.uniform(1.5, 2.5)))
        for _ in range(times if name in GESTURES else 0):
            seconds = generator.uniform(0.5, 0.8) / speed
            parts += [strength * _gesture(name, seconds), _rest(generator.uniform(0.1, 0.3))]
        parts.append(_rest(generator.uniform(0.2, 0.4)))
    series: Series = np.concatenate(parts)
    series += GRAVITY + generator.normal(0.0, 0.05, 6)  # the sensor never sits quite the same
    series += generator.normal(0.0, 0.08, series.shape)
    return series


def _rest(seconds: float) -> Series:
    return np.zeros((round(seconds * RATE_HZ), len(CHANNELS)))


def _gesture(name: str, seconds: float) -> Series:
    """One movement (L, 6) of strength 1."""
    channel, sign, shape = GESTURES[name]
    series = _rest(seconds)
    time = np.linspace(0.0, 1.0, len(series))
    cycles = {"push": 0.5, "stop": 1.0, "vibration": 3.0}[shape]
    series[:, CHANNELS.index(channel)] = sign * np.sin(2 * np.pi * cycles * time)
    return series


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make a corpus of gestures.")
    parser.add_argument("folder", type=Path)
    make(parser.parse_args().folder / "gestures")
