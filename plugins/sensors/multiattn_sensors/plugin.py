"""The components of the sensors plugin. A target is imported only when a recipe uses it."""

from __future__ import annotations

from collections.abc import Iterator

from multiattn import Corpus, Encoder, Reader, Recipe, Record, Renderer, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield the reader, encoder, corpus, renderer and recipe."""
    yield Reader(
        name="series",
        target="multiattn_sensors.reader:SeriesReader",
        produces="series",
        suffixes=(".csv", ".npy"),
        summary="channels over time from a CSV file with a header, or a NumPy array",
    )
    yield Encoder(
        name="series-bilstm",
        target="multiattn_sensors.encoder:SeriesBiLSTM",
        consumes="series",
        summary="strided convolutions over time, bidirectional LSTM",
    )
    yield Corpus(
        name="series-folder",
        target="multiattn_sensors.corpus:SeriesFolder",
        fields={"series": "series", "text": "text"},
        summary="series and texts in a table: SPLIT.jsonl, SPLIT.csv or SPLIT.tsv",
    )
    yield Renderer(
        name="series",
        target="multiattn_sensors.rendering:AttentionOverSeries",
        layout="series",
        summary="the channels as lines, once per word, shaded where the word attends",
    )
    yield Recipe(
        name="sensors",
        target="multiattn_sensors:recipes/sensors",
        summary="gestures of a wrist sensor to sentences",
    )
