"""Draws the pictures of attention for their pages, with the renderers that `--attention` uses.

The weights are made up, so that one sees what a clear picture looks like.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from multiattn import AttentionRecord, Grid, Time, Tokens

DATA = Path(__file__).parents[1] / "data"
TEXTS = {
    "text": (
        "A text",
        "Each row is a word of the output, each column a word of the source; darker is more.",
        "Words follow a diagonal where the languages agree in order, and leave it where they do",
        "not, as at the end of this German sentence. A column that no row looks at is a word that",
        "was left out.",
    ),
    "image": (
        "An image",
        "First the image, with the square that the network sees; then a copy for each word, bright",
        "where the model looked when it wrote the word. Articles and prepositions look anywhere.",
    ),
    "sound": (
        "A recording",
        "Above is the spectrogram, below a row for each word: seconds from left to right, darker",
        "is more. A staircase from the first second to the last is right; blocks that stay in one",
        "place, or jump back, come with words that are left out or repeated.",
    ),
}
MADE_UP = """
The weights were made up for this page. Of a run, `predict --attention DIR` draws such pictures as
PNG and SVG, with their numbers as JSON; [the viewer](../viewer.md) shows the same word by word.
"""


def looking(slots: Sequence[int], count: int, width: float) -> np.ndarray[Any, Any]:
    """Weights (W, S) of words that each look at one slot and a little around it."""
    distance = np.abs(np.arange(count) - np.array(slots)[:, None])
    weights = np.exp(-((distance / width) ** 2)) + 1e-3
    return weights / weights.sum(1, keepdims=True)


def records() -> dict[str, tuple[str, AttentionRecord]]:
    """The renderer and what it draws, by page."""
    german = ("der", "Mann", "hat", "den", "roten", "Apfel", "gekauft", "</s>")
    english = ("the", "man", "bought", "the", "red", "apple")
    corners = ("a", "blue", "circle", "then", "a", "green", "cross")
    spoken = ("what", "is", "ninety", "minus", "forty")
    image, sound = DATA / "scenes/images/test-0001.png", DATA / "speech/audio/test-001.flac"
    text = AttentionRecord(
        "german", " ".join(german), german, english, looking((0, 1, 6, 3, 4, 5), 8, 0.7), Tokens()
    )
    photo = AttentionRecord(
        "photo", str(image), (), corners, looking((22, 22, 22, 23, 24, 24, 24), 49, 0.9), Grid(7, 7)
    )
    speech = AttentionRecord(
        "speech", str(sound), (), spoken, looking((4, 8, 13, 20, 26), 32, 1.5), Time(0.04)
    )
    return {
        "text": ("multiattn.prediction.rendering:HeatMap", text),
        "image": ("multiattn_image.rendering:ImageOverlay", photo),
        "sound": ("multiattn_audio.rendering:AttentionOverTime", speech),
    }


def pictures() -> Iterator[tuple[str, str, str]]:
    """The name of a page, its Markdown, and its picture as SVG."""
    for name, (target, record) in records().items():
        module, _, attribute = target.partition(":")
        figure = Figure()
        getattr(import_module(module), attribute)().draw(figure, record)
        svg = io.StringIO()
        with rc_context({"svg.hashsalt": name}):
            figure.savefig(svg, format="svg", metadata={"Date": None})
        title, *reading = TEXTS[name]
        picture = f"![Attention of each word over {title.lower()}]({name}.svg)"
        page = "\n".join([f"# {title}\n", f"{picture}\n", *reading, MADE_UP])
        yield name, page, svg.getvalue()
