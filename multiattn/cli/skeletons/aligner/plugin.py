"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Aligner, Record, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Aligner(
        name="my-plugin",
        target="my_plugin.aligner:MyPluginAligner",
        layout="time",
        summary="each word at the slot that it attends to most",
    )
