"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Objective, Record, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Objective(
        name="my-plugin",
        target="my_plugin.objective:MyPluginObjective",
        summary="a penalty for scores whose normaliser is far from 1",
        paper="Chowdhery et al. 2022, PaLM, section 5",
    )
