"""Attention maps: figures of the attention weights of each output word. It imports no torch.

A renderer draws one ``AttentionRecord`` into a figure, for memories of one layout; this file has
the one for texts, which is also the fallback for other layouts: a heat map with the output's words
as rows.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from multiattn.errors import UserError
from multiattn.files import write_bytes, write_json
from multiattn.prediction.attention_records import AttentionRecord
from multiattn.recipe.by_layout import renderer_of
from multiattn.recipe.settings import SourceSettings
from multiattn.registry.host import Host


@runtime_checkable
class Renderer(Protocol):
    """The target of a ``renderer`` record."""

    def draw(self, figure: Figure, record: AttentionRecord) -> None:
        """Draw into an empty figure; its size may be changed."""


@runtime_checkable
class MediaRenderer(Renderer, Protocol):
    """A renderer whose sources the viewer can show themselves, not only the attention over them."""

    def media(self, record: AttentionRecord) -> Mapping[str, Any] | None:
        """The source as a browser shows it; None if it can no longer be read.

        ``{"kind": "image", "src": a data URI, "width": …, "height": … in pixels,
        "seen": [left, top, width, height] of what the model saw, in pixels}``, or
        ``{"kind": "sound", "src": a data URI, "seconds": …, "spectrogram": a data URI}``. Raises
        UserError.
        """


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
        figure.set_layout_engine("constrained")


class DrawingError(UserError):
    """A renderer that failed; the message names it and the source."""


Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Renderers:
    """Draws the attention over each source with its renderer, or as a heat map if it has none.

    Each method raises UserError if several renderers are for the layout and the recipe chooses
    none, and DrawingError if the renderer fails.
    """

    sources: Mapping[str, SourceSettings]
    host: Host

    def figure(self, record: AttentionRecord, dpi: int = 120) -> Figure:
        """A figure of the record."""
        return self._drawn(record, dpi, lambda figure: figure)

    def png(self, record: AttentionRecord, dpi: int = 120) -> bytes:
        """A PNG of the record."""
        return self._drawn(record, dpi, _png)

    def image(self, record: AttentionRecord, dpi: int = 120) -> NDArray[np.uint8]:
        """The record as pixels (height, width, 3)."""
        return self._drawn(record, dpi, _pixels)

    def svg(self, record: AttentionRecord) -> str:
        """An SVG of the record."""
        return self._drawn(record, 120, _svg)

    def renderer(self, record: AttentionRecord) -> Renderer:
        """The renderer of a record."""
        return self._named(record)[1]

    def _named(self, record: AttentionRecord) -> tuple[str, Renderer]:
        chosen = renderer_of(
            record.source, self.sources[record.source], record.layout.kind, self.host
        )
        if chosen is None:
            return "heat-map", HeatMap()
        try:
            return chosen.name, self.host.factory("renderer", chosen)()
        except (Exception, SystemExit) as error:
            raise _failed(record.source, chosen.name, error) from error

    def _drawn(self, record: AttentionRecord, dpi: int, finish: Callable[[Figure], Drawn]) -> Drawn:
        name, renderer = self._named(record)
        figure = Figure(dpi=dpi)
        try:
            with quiet_drawing():
                renderer.draw(figure, record)
                return finish(figure)
        except (Exception, SystemExit) as error:
            raise _failed(record.source, name, error) from error


def _failed(source: str, renderer: str, error: BaseException) -> DrawingError:
    return DrawingError(
        f"no picture of the attention over {source!r}: the renderer {renderer} raised "
        f"{type(error).__name__}: {error}"
    )


def _svg(figure: Figure) -> str:
    content = io.StringIO()
    # names are no formulas; a fixed salt makes the SVG reproducible
    with rc_context({"text.parse_math": False, "svg.hashsalt": "attention"}):
        figure.savefig(content, format="svg", metadata={"Date": None})
    svg = content.getvalue()
    return svg[svg.index("<svg") :]


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _pixels(figure: Figure) -> NDArray[np.uint8]:
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


@contextmanager
def quiet_drawing() -> Iterator[None]:
    """Hide matplotlib's warnings about missing glyphs and labels that are too long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def save_attention_maps(
    stem: Path, drawn: Iterable[AttentionRecord], renderers: Renderers
) -> Iterator[DrawingError]:
    """Write ``STEM-SOURCE.png``, ``.svg`` and the data, ``.json``, for every source.

    Yields the error of each picture that could not be drawn; its data are written all the same.
    """
    for record in drawn:
        picture = stem.with_name(f"{stem.name}-{record.source}.png")
        write_json(picture.with_suffix(".json"), record.as_json())
        try:
            write_bytes(picture, renderers.png(record))
            write_bytes(picture.with_suffix(".svg"), renderers.svg(record).encode())
        except DrawingError as error:
            yield error
