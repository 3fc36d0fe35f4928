"""Attention maps: figures of the attention weights of each output word. It imports no torch.

A renderer draws one ``AttentionRecord`` into a figure, for memories of one layout; this file has
the one for texts, which is also the fallback for other layouts: a heat map with the output's words
as rows.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from multiattn.files import write_bytes, write_json
from multiattn.prediction.attention_records import AttentionRecord
from multiattn.registry import records
from multiattn.registry.host import Host


@runtime_checkable
class Renderer(Protocol):
    """The target of a ``renderer`` record, built without settings."""

    def draw(self, figure: Figure, record: AttentionRecord) -> None:
        """Draw into an empty figure; its size may be changed."""


class HeatMap:
    """Slots as columns, the output's words as rows; darker means more attention."""

    def draw(self, figure: Figure, record: AttentionRecord) -> None:
        """Draw into an empty figure, sized to fit its labels."""
        words, slots = record.weights.shape
        figure.set_size_inches(min(40.0, 1.6 + 0.3 * slots), min(40.0, 1.4 + 0.3 * words))
        axes = figure.add_subplot()
        if not words:
            axes.set_axis_off()
            axes.set_title("empty output", fontsize=9)
            return
        axes.imshow(record.weights, cmap="Greys", vmin=0.0, vmax=1.0, aspect="auto")
        named = range(len(record.labels))
        axes.set_xticks(named, record.labels, rotation=60, ha="left", fontsize=9, parse_math=False)
        axes.set_yticks(range(words), record.words, fontsize=9, parse_math=False)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        figure.set_layout_engine("tight")


def renderer_for(layout: str, host: Host) -> Renderer:
    """The renderer that a plugin provides for a layout, otherwise the heat map."""
    for row in host.records("renderer"):
        if isinstance(row.record, records.Renderer) and row.record.layout == layout:
            renderer: Renderer = host.target("renderer", row.full_name)()
            return renderer
    return HeatMap()


def figure_of(record: AttentionRecord, host: Host, dpi: int = 120) -> Figure:
    """A figure of the record, drawn by the renderer of its layout."""
    figure = Figure(dpi=dpi)
    renderer_for(record.layout.kind, host).draw(figure, record)
    return figure


def png_of(record: AttentionRecord, host: Host, dpi: int = 120) -> bytes:
    """A PNG of the record."""
    content = io.BytesIO()
    with quiet_drawing():
        figure_of(record, host, dpi).savefig(content, format="png")
    return content.getvalue()


def image_of(record: AttentionRecord, host: Host, dpi: int = 120) -> NDArray[np.uint8]:
    """The record as pixels (height, width, 3)."""
    canvas: Any = FigureCanvasAgg(figure_of(record, host, dpi))
    with quiet_drawing():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


@contextmanager
def quiet_drawing() -> Iterator[None]:
    """Hide matplotlib's warnings about missing glyphs and labels that are too long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def save_attention_maps(stem: Path, drawn: Iterable[AttentionRecord], host: Host) -> list[Path]:
    """Write ``STEM-SOURCE.png`` per source, and its data to ``STEM-SOURCE.json``."""
    pictures = []
    for record in drawn:
        picture = stem.with_name(f"{stem.name}-{record.source}.png")
        write_bytes(picture, png_of(record, host))
        write_json(picture.with_suffix(".json"), record.as_json())
        pictures.append(picture)
    return pictures
