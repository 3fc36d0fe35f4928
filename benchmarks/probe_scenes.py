"""Does attention point? How much of it lies on a thing when the thing's word is written.

    python benchmarks/probe_scenes.py RUN [--data DATA] [--split test]

RUN is a captioning run on scenes (``data/scenes``, or a corpus of square pictures whose rows say
under ``objects`` what is where). Each picture is captioned as ``multiattn predict`` does it. At
every noun that names something in the picture, the weight of each cell of the grid is spread evenly
over the cell, and summed over the boxes of what the noun names: things of that shape, and of the
colour that stands before it if some of these have it. Attention that knows nothing has there what
the boxes have of the picture's area. Printed, with 95 % intervals of the bootstrap over pictures:

mass     mean attention on the boxes
area     their mean share of the picture
ratio    mass / area
pointed  how often the middle of the cell looked at most is in a box
named    how many of the nouns that were written name something that is there; no other one counts
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

import multiattn
from multiattn.prediction.rendering import AttentionRecord
from multiattn.recipe.loading import shipped

Array = NDArray[np.float64]
RESAMPLES = 1000


@dataclass(frozen=True)
class Look:
    """One noun: attention on what it names, the area of that, whether the highest cell is there."""

    picture: int
    mass: float
    area: float
    pointed: bool


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--split", default="test")
    arguments = parser.parse_args()
    predictor = multiattn.load(arguments.run)
    folder = (arguments.data or shipped("data")) / predictor.system.settings.corpus.folder
    lines = (folder / f"{arguments.split}.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    nouns = {thing["name"].split()[-1] for row in rows for thing in row["objects"]}
    looks: list[Look] = []
    written = 0
    predictions = predictor.each([str(folder / row["image"]) for row in rows])
    for number, (row, prediction) in enumerate(zip(rows, predictions, strict=True)):
        (record,) = prediction.records()
        written += sum(noun(word, nouns) is not None for word in record.words)
        size = PIL.Image.open(folder / row["image"]).size
        looks.extend(looked(number, record, row["objects"], size))
    print(json.dumps({**measured(looks), "named": f"{len(looks)} of {written}"}, indent=2))


def noun(word: str, nouns: set[str]) -> str | None:
    """The singular of a word that is one of the nouns, or nothing."""
    forms = (word, word.removesuffix("s"), word.removesuffix("es"))
    return next((form for form in forms if form in nouns), None)


def looked(
    number: int, record: AttentionRecord, things: Sequence[Mapping[str, Any]], size: tuple[int, int]
) -> Iterator[Look]:
    """One look per noun that names something in this picture."""
    nouns = {thing["name"].split()[-1] for thing in things}
    grid = record.layout.height, record.layout.width
    for place, word in enumerate(record.words):
        meant = noun(word, nouns)
        alike = [thing for thing in things if thing["name"].split()[-1] == meant]
        before = record.words[place - 1] if place else ""
        coloured = [thing for thing in alike if thing["name"] == f"{before} {meant}"]
        if alike:
            covered = cover([thing["box"] for thing in coloured or alike], size)
            weights = record.weights[place].reshape(grid).astype(np.float64)
            yield Look(
                number, on(covered, weights), float(covered.mean()), points(covered, weights)
            )


def cover(boxes: Sequence[Sequence[int]], size: tuple[int, int]) -> Array:
    """(height, width) pixels: 1 in a box, else 0."""
    covered = np.zeros(size[::-1])
    for left, top, right, bottom in boxes:
        covered[top:bottom, left:right] = 1.0
    return covered


def on(covered: Array, weights: Array) -> float:
    """The sum over cells: weight (h, w) times the share of the cell that is covered."""
    rows, columns = (
        shares(cells, pixels) for cells, pixels in zip(weights.shape, covered.shape, strict=True)
    )
    return float((weights * (rows @ covered @ columns.T)).sum())


def shares(cells: int, pixels: int) -> Array:
    """(cells, pixels): how much of each cell of one axis each pixel is; rows sum to 1."""
    edges = np.arange(cells + 1) * (pixels / cells)
    first, last = edges[:-1, None], edges[1:, None]
    left = np.arange(pixels)
    shared: Array = np.minimum(last, left + 1) - np.maximum(first, left)  # (cells, pixels)
    return shared.clip(0.0) * (cells / pixels)


def points(covered: Array, weights: Array) -> bool:
    """Whether the middle of the cell with the highest weight is covered."""
    place = np.unravel_index(weights.argmax(), weights.shape)
    y, x = (
        int((index + 0.5) * pixels / cells)
        for index, pixels, cells in zip(place, covered.shape, weights.shape, strict=True)
    )
    return bool(covered[y, x])


def measured(looks: Sequence[Look]) -> dict[str, Any]:
    """Means over nouns, with intervals from drawing pictures anew."""
    table = np.array([(look.mass, look.area, look.pointed) for look in looks])
    owners = np.array([look.picture for look in looks])
    pictures = [table[owners == picture] for picture in np.unique(owners)]
    sums = np.array([[*rows.sum(0), len(rows)] for rows in pictures])
    draws = np.random.default_rng(1).integers(len(sums), size=(RESAMPLES, len(sums)))
    everything, drawn = summed(sums.sum(0)), summed(sums[draws].sum(1))
    return {
        name: {
            "value": round(float(everything[name]), 4),
            "interval": [round(float(np.quantile(drawn[name], q)), 4) for q in (0.025, 0.975)],
        }
        for name in everything
    }


def summed(sums: Array) -> dict[str, Array]:
    """Figures from (…, 4) sums of mass, area, pointed and nouns."""
    mass, area, pointed, count = np.moveaxis(sums, -1, 0)
    return {
        "mass": mass / count,
        "area": area / count,
        "ratio": mass / area,
        "pointed": pointed / count,
    }


if __name__ == "__main__":
    main()
