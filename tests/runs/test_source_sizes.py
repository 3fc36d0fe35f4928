"""What a run records of the sources that it was trained on."""

from __future__ import annotations

import numpy as np

from multiattn.data.batch_plan import Costs
from multiattn.runs.source_sizes import SourceSizes, source_sizes


class Model:
    def __init__(self, **encoders):
        self.encoders = encoders


class Halving:
    def slots(self, size: int) -> int:
        return -(-size // 2)


def test_sizes_are_those_of_the_examples_that_have_the_source():
    sizes = np.array([10] * 392 + [0] * 3 + [20] * 5)
    target = np.array([10] * 392 + [1] * 3 + [4] * 5)  # 5 of 397 have 0.4 tokens per slot
    costs = Costs(["id"] * 400, target, {"speech": sizes, "photo": sizes, "none": sizes * 0})
    found = source_sizes(costs, Model(speech=Halving(), photo=object(), none=object()))
    assert found == {"speech": SourceSizes(20, 0.4), "photo": SourceSizes(20, None)}
