"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Decoder, Record, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Decoder(
        name="my-plugin",
        target="my_plugin.decoder:MyPluginDecoder",
        summary="a GRU that attends by dot products and adds up its contexts",
    )
