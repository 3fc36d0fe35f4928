"""Nothing is wrong with this one: a metric and a normaliser in one file, for ``--plugin FILE``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multiattn import Metric, Normaliser, hookimpl


@hookimpl
def multiattn_components():
    yield Metric(
        name="one-file-metric",
        target="one_file_metric:Exact",
        summary="outputs that equal a reference",
        higher_is_better=True,
        unit="0-1",
    )
    yield Normaliser(name="lower", target="one_file_metric:Lower", summary="lower case")


class Exact:
    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]):
        pairs = zip(hypotheses, references, strict=True)
        return np.array([[float(one in others)] for one, others in pairs])

    def aggregate(self, sums, count):
        return {"one-file-metric": float(sums[0]) / count}

    def signature(self):
        return "one-file-metric|version:1"


class Lower:
    def __call__(self, text):
        return text.casefold().casefold()

    def signature(self):
        return "lower-v1"
