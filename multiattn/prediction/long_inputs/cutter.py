"""Cut inputs into pieces that are decoded on their own.

A model is asked only for what it has learned: an input longer than any in training is cut where its
segmenter says, a recording at pauses, a text between sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Self

from multiattn.data.corpus import media_sources
from multiattn.data.rows import Row
from multiattn.errors import UserError, shown
from multiattn.prediction.long_inputs.segmenter import Segment, Segmenter
from multiattn.progress import Bar, progress_bar
from multiattn.registry import records
from multiattn.runs.source_sizes import SourceSizes
from multiattn.runs.system import System


@dataclass(frozen=True)
class Cut:
    """What is decoded at once: an input, or a segment of it.

    whole: the id of the input. depth: how often it was cut.
    """

    row: Row
    whole: str
    segment: Segment | None = None
    depth: int = 0


class Cutter:
    """Cuts inputs of which exactly one source is there, if it has a segmenter.

    Raises UserError for a segmenter of other values than the source's reader takes.
    """

    def __init__(self, system: System, sizes: Mapping[str, SourceSizes]) -> None:
        self._readers = system.processors.readers
        self._media = media_sources(system.settings.sources, system.host)
        self._longest = {name: size.longest for name, size in sizes.items()}
        self._segmenters = {
            name: _segmenter(system, name)
            for name, source in system.settings.sources.items()
            if source.segmenter is not None
        }

    def size(self, cut: Cut) -> float:
        """What tells long from short without reading media: tokens, seconds, bytes of a file."""
        if cut.segment is not None:
            return cut.segment.end - cut.segment.start
        return sum(self._size(name, value) for name, value in cut.row.sources.items())

    def cuts(self, row: Row) -> Iterator[Cut]:
        """The input whole, if it is no longer than those in training; else its segments."""
        source = self._source(row)
        if source is None or self._is_short_text(source, row.sources[source]):
            yield Cut(row, row.id)
            return
        cuts = self._cuts(Cut(row, row.id), source, self._longest.get(source))
        first = list(islice(cuts, 2))
        if len(first) == 1 and first[0].row.sources[source] == row.sources[source]:
            yield Cut(row, row.id)
        else:
            yield from chain(first, cuts)

    def smaller(self, cut: Cut) -> list[Cut]:
        """Segments of at most half the size; empty if it cannot be cut."""
        source = self._source(cut.row)
        if source is None:
            return []
        half = self._readers[source].measure(cut.row.sources[source]) / 2
        smaller = list(self._cuts(cut, source, half))
        return smaller if len(smaller) > 1 else []

    def _source(self, row: Row) -> str | None:
        present = [name for name, value in row.sources.items() if value is not None]
        return present[0] if len(present) == 1 and present[0] in self._segmenters else None

    def _is_short_text(self, source: str, value: Any) -> bool:
        """Whether a text is no longer than those in training. Of media the segmenter knows."""
        longest = self._longest.get(source)
        if longest is None or source in self._media or "\n" in value:
            return False  # a text of several lines is a document
        return bool(self._readers[source].measure(value) <= longest)

    def _size(self, source: str, value: Any) -> float:
        if value is None:
            return 0
        if source not in self._media:
            return float(self._readers[source].measure(value))
        try:
            return Path(value).stat().st_size
        except (TypeError, OSError):
            return 0

    def _cuts(self, cut: Cut, source: str, longest: float | None) -> Iterator[Cut]:
        row, whole = cut.row, cut.segment
        for segment in self._segmenters[source].segments(row.sources[source], longest):
            placed = segment
            if whole is not None:
                first = segment.start == 0
                placed = replace(
                    segment,
                    start=whole.start + segment.start,
                    end=whole.start + segment.end,
                    whole=whole.whole,
                    separator=whole.separator if first else segment.separator,
                )
            name = f"{row.id}, {placed.start:g}-{placed.end:g}"
            piece = Row(name, {**row.sources, source: segment.value}, location=row.location)
            yield Cut(piece, cut.whole, placed, cut.depth + 1)


def _segmenter(system: System, source: str) -> Segmenter:
    settings = system.settings.sources[source]
    assert settings.segmenter is not None  # noqa: S101
    record = system.host.find("segmenter", settings.segmenter.name).record
    reader = system.host.find("reader", settings.reader.name).record
    assert isinstance(record, records.Segmenter)  # noqa: S101
    assert isinstance(reader, records.Reader)  # noqa: S101
    if not record.fits(reader):
        raise UserError(
            f"expected as sources.{source}.segmenter one for {shown(reader.produces)}, got "
            f"{record.name} for {shown(record.consumes)}; choose another, or leave it out"
        )
    segmenter: Segmenter = system.host.build("segmenter", settings.segmenter)
    return segmenter


class ProgressOfCuts:
    """A progress bar for each input that is cut, of its seconds or characters."""

    def __init__(self) -> None:
        self._bars: dict[str, tuple[ExitStack, Bar]] = {}
        self._reached: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for stack, _ in self._bars.values():
            stack.close()

    def add(self, cuts: Sequence[Cut]) -> None:
        """Count these as done, with all that is before them in the same input."""
        for cut in cuts:
            if cut.segment is None:
                continue
            if cut.whole not in self._bars:
                stack = ExitStack()
                bar = progress_bar(cut.whole, round(cut.segment.whole))
                self._bars[cut.whole] = stack, stack.enter_context(bar)
            self._reached[cut.whole] = max(self._reached.get(cut.whole, 0), cut.segment.end)
            self._bars[cut.whole][1].update(round(self._reached[cut.whole]), ())

    def finish(self, row: Row | UserError) -> None:
        """Remove the bar of an input."""
        if isinstance(row, Row) and row.id in self._bars:
            self._bars.pop(row.id)[0].close()
