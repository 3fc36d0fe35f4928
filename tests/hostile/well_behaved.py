"""Nothing is wrong with this one: it must survive whatever its neighbours do."""

from multiattn import Metric, hookimpl


@hookimpl
def multiattn_components():
    yield Metric(
        name="always-one",
        target="well_behaved:AlwaysOne",
        summary="counts everything as right",
        higher_is_better=True,
        unit="0-1",
    )


class AlwaysOne:
    def __init__(self, *, weight: float = 1.0) -> None:
        self.weight = weight
