"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Record, Segmenter, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Segmenter(
        name="my-plugin",
        target="my_plugin.segmenter:MyPluginSegmenter",
        consumes="text",
        summary="cuts a text at its line ends",
    )
