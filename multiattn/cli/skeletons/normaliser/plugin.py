"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Normaliser, Record, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Normaliser(
        name="my-plugin",
        target="my_plugin.normaliser:MyPluginNormaliser",
        summary="text without punctuation",
    )
