"""Gives a component the name that another plugin's has."""

from multiattn import Metric, hookimpl


@hookimpl
def multiattn_components():
    yield Metric(
        name="always-one",
        target="name_clash:AlwaysTwo",
        summary="the same name, something else",
        higher_is_better=True,
        unit="0-1",
    )


class AlwaysTwo:
    pass
