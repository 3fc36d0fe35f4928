"""The components of my-plugin: a folder of recipes, ``multiattn run my-plugin`` and others."""

from collections.abc import Iterator

from multiattn import Recipe, Record, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Recipe(
        name="my-plugin",
        target="my_plugin:recipes",
        summary="English to German with several heads of attention",
    )
