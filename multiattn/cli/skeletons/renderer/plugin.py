"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Record, Renderer, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Renderer(
        name="my-plugin",
        target="my_plugin.renderer:MyPluginRenderer",
        layout="tokens",
        summary="a dot per word and slot; larger means more attention",
    )
