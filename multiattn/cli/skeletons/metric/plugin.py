"""The components of my-plugin. Strings only: a target is imported when a recipe builds it."""

from collections.abc import Iterator

from multiattn import Metric, Record, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield Metric(
        name="my-plugin",
        target="my_plugin.metric:MyPluginMetric",
        higher_is_better=True,
        unit="0-1",
        summary="share of outputs that equal a reference",
    )
