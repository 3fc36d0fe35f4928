"""The share of a step in which kernels run."""

from __future__ import annotations

import random

from multiattn.training.gpu_use import covered


def test_kernels_at_the_same_time_count_once():
    generator = random.Random(1)
    for _ in range(50):
        starts = [generator.randrange(40) for _ in range(generator.randrange(8))]
        spans = [(start, start + generator.randrange(9)) for start in starts]
        ticks = {tick for start, end in spans for tick in range(start, end)}
        assert covered(spans) == len(ticks)
