"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Record, Scorer, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Scorer(
        name="my-plugin",
        target="my_plugin.scorer:MyPluginScorer",
        summary="a penalty for attention that is spread over many slots",
    )
