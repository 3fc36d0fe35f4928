"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Reader, Record, hookimpl


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
