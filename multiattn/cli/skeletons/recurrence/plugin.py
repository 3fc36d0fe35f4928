"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Record, Recurrence, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Recurrence(
        name="my-plugin",
        target="my_plugin.recurrence:MyPluginRecurrence",
        summary="attend with the last state, then run a GRU on word and context",
        paper="Bahdanau et al. 2015, appendix A.2",
    )
