"""Predictions whose attention one can see by eye, of each layout, with real media."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from multiattn.engine.layouts import Grid, Layout, Time, Tokens
from multiattn.prediction.prediction import Prediction
from multiattn.prediction.rendering import Renderers
from multiattn.prediction.viewer.view import Views
from multiattn.prediction.word_times import TimedWord
from multiattn.recipe.settings import SourceSettings
from multiattn.registry.host import Host
from multiattn.registry.schema import NamedComponent
from multiattn.search.diagnostics.reading import Reading


def prediction(
    words: str, host: Host, **sources: tuple[Any, Layout, tuple[str, ...], list[int]]
) -> Prediction:
    """An output whose words each look at one slot of each source.

    sources: by name the value, the layout, the labels of the slots, and the slot of each word.
    """
    split = tuple(words.split())
    layouts = {name: layout for name, (_, layout, _, _) in sources.items()}
    return Prediction(
        inputs={name: value for name, (value, _, _, _) in sources.items()},
        text=words,
        score=-1.5,
        log_probability=-3.0,
        tokens=split,
        words=tuple((word, index, index + 1) for index, word in enumerate(split)),
        attention={
            name: _looking(slots, layout, len(labels))
            for name, (_, layout, labels, slots) in sources.items()
        },
        labels={name: labels for name, (_, _, labels, _) in sources.items()},
        layouts=layouts,
        times={
            name: tuple(
                TimedWord(
                    word,
                    slot * layout.seconds_per_slot,
                    (slot + 2) * layout.seconds_per_slot,
                    0.9,
                    "ctc",
                )
                for word, slot in zip(split, sources[name][3], strict=True)
            )
            for name, layout in layouts.items()
            if isinstance(layout, Time)
        },
        token_log_probabilities=tuple(np.log(np.linspace(0.9, 0.3, len(split) + 1)).tolist()),
        readings={name: Reading(0.5, 0.25) for name in sources},
        viewer=lambda: views(host, *sources),
    )


def views(host: Host, *sources: str) -> Views:
    """Views of sources that may be of any layout."""
    named = NamedComponent(name="any")
    settings = SourceSettings(field="any", reader=named, encoder=named)
    return Views(Renderers(dict.fromkeys(sources, settings), host))


def _looking(slots: list[int], layout: Layout, labels: int) -> np.ndarray:
    count = labels
    if isinstance(layout, Grid):
        count = layout.height * layout.width
    elif isinstance(layout, Time):
        count = 40
    rows = 0.8 * np.eye(count)[[*slots, slots[-1]]] + 0.2 / count
    return rows.astype(np.float32)


def wide_image() -> np.ndarray:
    """Twice as wide as high: red on the left, blue on the right."""
    pixels = np.zeros((80, 160, 3), np.uint8)
    pixels[:, :80, 0] = pixels[:, 80:, 2] = 220
    return pixels


def tone(folder: Path) -> str:
    """Two seconds of a rising tone."""
    rate = 16_000
    seconds = np.arange(2 * rate) / rate
    soundfile.write(
        folder / "tone.wav", 0.3 * np.sin(2 * np.pi * (300 + 200 * seconds) * seconds), rate
    )
    return str(folder / "tone.wav")


def caption(host: Host) -> Prediction:
    """Of a picture, with a cell for each word."""
    return prediction("a red dog", host, photo=(wide_image(), Grid(2, 2), ("",) * 4, [0, 1, 3]))


def transcript(host: Host, folder: Path) -> Prediction:
    """Of a recording of two seconds."""
    return prediction("one two", host, speech=(tone(folder), Time(0.05), ("",) * 40, [4, 20]))


def translation(host: Host) -> Prediction:
    """Of a sentence whose order changes."""
    labels = ("▁der", "▁ro", "te", "▁Hund", "</s>")
    return prediction("the dog red", host, german=("der rote Hund", Tokens(), labels, [0, 3, 1]))


def described(host: Host) -> Prediction:
    """Of a picture and a sentence."""
    return prediction(
        "roter Hund",
        host,
        photo=(wide_image(), Grid(2, 2), ("",) * 4, [0, 3]),
        english=("red dog", Tokens(), ("▁red", "▁dog", "</s>"), [0, 1]),
    )
