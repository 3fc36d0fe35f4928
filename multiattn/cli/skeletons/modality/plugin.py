"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Corpus, Encoder, Metric, Reader, Recipe, Record, Renderer, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Reader(
        name="my-plugin",
        target="my_plugin.reader:MyPluginReader",
        produces="my-plugin",
        suffixes=(".dat",),
        summary="a series of numbers from a text file",
    )
    yield Encoder(
        name="my-plugin",
        target="my_plugin.encoder:MyPluginEncoder",
        consumes="my-plugin",
        summary="bidirectional LSTM over a series, a slot per stretch of time steps",
    )
    yield Corpus(
        name="my-plugin",
        target="my_plugin.corpus:MyPluginCorpus",
        fields={"series": "my-plugin", "text": "text"},
        summary="series and texts: SPLIT.tsv, with the columns file and text",
    )
    yield Metric(
        name="my-plugin",
        target="my_plugin.metric:MyPluginMetric",
        higher_is_better=True,
        unit="0-1",
        summary="share of outputs that equal a reference",
    )
    yield Renderer(
        name="my-plugin",
        target="my_plugin.renderer:MyPluginRenderer",
        layout="my-plugin",
        summary="a series above the attention of each output word",
    )
    yield Recipe(
        name="my-plugin",
        target="my_plugin:recipes",
        summary="series to words",
    )
