"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Attention, Record, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Attention(
        name="my-plugin",
        target="my_plugin.attention:MyPluginAttention",
        summary="attends to the keys that are nearest to the query",
    )
