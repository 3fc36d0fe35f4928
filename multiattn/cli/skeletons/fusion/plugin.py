"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Fusion, Record, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Fusion(
        name="my-plugin",
        target="my_plugin.fusion:MyPluginFusion",
        summary="the mean of the contexts of the sources that are present",
    )
