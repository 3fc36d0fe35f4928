"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Output, Record, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Output(
        name="my-plugin",
        target="my_plugin.output:MyPluginOutput",
        summary="a linear layer whose scores are softly bounded",
        paper="Gemma Team 2024, Gemma 2, section 2",
    )
