"""Measures whether attention points at the objects that a caption names.

    python benchmarks/probe_scenes.py RUN [--data DATA] [--split test]

RUN is a captioning run on ``data/scenes``, or on a corpus of square images whose rows give the
boxes of their ``objects``. Each image is captioned as ``multiattn predict`` does. At every noun
that names objects in the image, the attention weight of each grid cell is spread evenly over the
cell and summed over the boxes of these objects: those of that shape, and of the colour before the
noun if any of them has that colour. For uniform attention this sum equals the share of the image
that the boxes cover. These are printed, with 95 % bootstrap intervals over images:

mass     mean attention weight on the boxes
area     mean share of the image that the boxes cover
ratio    mass / area
pointed  how often the centre of the cell with the highest weight is in a box
named    how many of the nouns in the captions name an object in the image; only these are counted
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
from multiattn.prediction.attention_records import AttentionRecord
from multiattn.recipe.loading import shipped

Array = NDArray[np.float64]
RESAMPLES = 1000


@dataclass(frozen=True)
class NounAttention:
    """Attention at one noun: mass on the named objects, their area, whether it points at them."""

    image: int
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
    nouns = {item["name"].split()[-1] for row in rows for item in row["objects"]}
    named: list[NounAttention] = []
    noun_count = 0
    predictions = predictor.each([str(folder / row["image"]) for row in rows])
    for index, (row, prediction) in enumerate(zip(rows, predictions, strict=True)):
        (record,) = prediction.records()
        noun_count += sum(singular(word, nouns) is not None for word in record.words)
        size = PIL.Image.open(folder / row["image"]).size
        named.extend(noun_attention(index, record, row["objects"], size))
    print(json.dumps({**estimates(named), "named": f"{len(named)} of {noun_count}"}, indent=2))


def singular(word: str, nouns: set[str]) -> str | None:
    """The singular of a word if it is one of the nouns, else None."""
    forms = (word, word.removesuffix("s"), word.removesuffix("es"))
    return next((form for form in forms if form in nouns), None)


def noun_attention(
    image: int, record: AttentionRecord, objects: Sequence[Mapping[str, Any]], size: tuple[int, int]
) -> Iterator[NounAttention]:
    """Yield the attention at each noun that names objects in the image."""
    nouns = {item["name"].split()[-1] for item in objects}
    grid = record.layout.height, record.layout.width
    for index, word in enumerate(record.words):
        noun = singular(word, nouns)
        same_shape = [item for item in objects if item["name"].split()[-1] == noun]
        colour = record.words[index - 1] if index else ""
        same_colour = [item for item in same_shape if item["name"] == f"{colour} {noun}"]
        if same_shape:
            mask = box_mask([item["box"] for item in same_colour or same_shape], size)
            weights = record.weights[index].reshape(grid).astype(np.float64)
            yield NounAttention(
                image, mass_on(mask, weights), float(mask.mean()), points_at(mask, weights)
            )


def box_mask(boxes: Sequence[Sequence[int]], size: tuple[int, int]) -> Array:
    """A mask (height, width): 1 for pixels in a box, else 0."""
    mask = np.zeros(size[::-1])
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 1.0
    return mask


def mass_on(mask: Array, weights: Array) -> float:
    """The sum of the cell weights (h, w), each times the share of the cell in the mask."""
    rows, columns = (
        pixel_shares(cells, pixels) for cells, pixels in zip(weights.shape, mask.shape, strict=True)
    )
    return float((weights * (rows @ mask @ columns.T)).sum())


def pixel_shares(cells: int, pixels: int) -> Array:
    """(cells, pixels): the share of each pixel in each cell along one axis; rows sum to 1."""
    edges = np.arange(cells + 1) * (pixels / cells)
    first, last = edges[:-1, None], edges[1:, None]
    left = np.arange(pixels)
    overlap: Array = np.minimum(last, left + 1) - np.maximum(first, left)  # (cells, pixels)
    return overlap.clip(0.0) * (cells / pixels)


def points_at(mask: Array, weights: Array) -> bool:
    """Whether the centre of the cell with the highest weight is in the mask."""
    cell = np.unravel_index(weights.argmax(), weights.shape)
    y, x = (
        int((index + 0.5) * pixels / cells)
        for index, pixels, cells in zip(cell, mask.shape, weights.shape, strict=True)
    )
    return bool(mask[y, x])


def estimates(named: Sequence[NounAttention]) -> dict[str, Any]:
    """Means over nouns, with bootstrap intervals over images."""
    values = np.array([(row.mass, row.area, row.pointed) for row in named])
    images = np.array([row.image for row in named])
    by_image = [values[images == image] for image in np.unique(images)]
    sums = np.array([[*rows.sum(0), len(rows)] for rows in by_image])
    resamples = np.random.default_rng(1).integers(len(sums), size=(RESAMPLES, len(sums)))
    means, resampled_means = figures(sums.sum(0)), figures(sums[resamples].sum(1))
    return {
        name: {
            "value": round(float(means[name]), 4),
            "interval": [
                round(float(np.quantile(resampled_means[name], q)), 4) for q in (0.025, 0.975)
            ],
        }
        for name in means
    }


def figures(sums: Array) -> dict[str, Array]:
    """Compute the printed figures from sums (…, 4) of mass, area, pointed and nouns."""
    mass, area, pointed, count = np.moveaxis(sums, -1, 0)
    return {
        "mass": mass / count,
        "area": area / count,
        "ratio": mass / area,
        "pointed": pointed / count,
    }


if __name__ == "__main__":
    main()
