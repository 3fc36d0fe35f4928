"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Encoder, Record, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Encoder(
        name="my-plugin",
        target="my_plugin.encoder:MyPluginEncoder",
        consumes="text",
        summary="one slot per token, which knows nothing of the others",
    )
