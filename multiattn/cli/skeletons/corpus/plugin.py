"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Corpus, Record, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Corpus(
        name="my-plugin",
        target="my_plugin.corpus:MyPluginCorpus",
        fields={"series": "my-plugin", "text": "text"},
        summary="series and texts: SPLIT.tsv, with the columns file and text",
    )
