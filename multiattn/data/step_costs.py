"""What a step costs: which steps of an epoch are the largest, and which examples make them so."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from multiattn.data.batch_plan import Costs, Lengths, Step
from multiattn.engine.batch import rounded_up
from multiattn.errors import shown

TARGET = "target"
OUTLIER_FACTOR = 20  # times the median length
OUTLIERS_NAMED = 3


def outlier_warnings(costs: Costs, split: str, *, bounded: bool) -> Iterator[str]:
    """A sentence per side with lengths far above its median; it names the longest examples.

    The longest example sets the memory and the time of its whole step. bounded: whether the recipe
    can leave long rows of this split out, so that the sentence says with which setting.
    """
    for side in (TARGET, *costs.sources):
        lengths = _lengths(costs, side)
        median = float(np.median(lengths[lengths > 0])) if lengths.any() else math.inf
        far = np.flatnonzero(lengths > OUTLIER_FACTOR * median)
        if not far.size:
            continue
        longest = far[np.argsort(-lengths[far], kind="stable")][:OUTLIERS_NAMED]
        named = ", ".join(f"{shown(costs.ids[row])} has {lengths[row]:,}" for row in longest)
        setting = "max_target_tokens" if side == TARGET else f"max_source.{side}"
        remedy = f"training.{setting}={np.delete(lengths, far).max()} leaves such rows out"
        yield (
            f"in {len(far):,} of {len(lengths):,} rows of {split} the length of {side} is more "
            f"than {OUTLIER_FACTOR} times the median, which is {median:,.0f}: {named}"
            f"{', …' if len(far) > len(longest) else ''}; "
            f"{remedy if bounded else 'shorten them or take them out'}"
        )


def costliest_steps(costs: Costs, steps: Sequence[Step]) -> dict[Step, str]:
    """The steps that may need the most memory, and of what each holds the most.

    Compared are the padded sizes of the target, of every source, and of source × target, which is
    the size of the attention.
    """
    compared: list[tuple[str, ...]] = [(TARGET,), *((name,) for name in costs.sources)]
    compared += [(name, TARGET) for name in costs.sources]
    found: dict[Step, list[str]] = {}
    for sides in compared:
        sizes = [padded_size(costs, step, *sides) for step in steps]
        found.setdefault(steps[int(np.argmax(sizes))], []).append(" × ".join(sides))
    return {step: ", ".join(names) for step, names in found.items()}


def batch_shapes(costs: Costs, steps: Sequence[Step]) -> Counter[tuple[int, ...]]:
    """How often each shape of a batch occurs on a GPU: examples, target steps, length per source.

    Each is rounded up to its bucket.
    """
    shapes: Counter[tuple[int, ...]] = Counter()
    for shard in (shard for step in steps for shard in step.shards if shard):
        longest = (
            int(_lengths(costs, side)[list(shard)].max()) for side in (TARGET, *costs.sources)
        )
        shapes[tuple(map(rounded_up, (len(shard), *longest)))] += 1
    return shapes


def padded_size(costs: Costs, step: Step, *sides: str) -> int:
    """The examples of each shard times the longest length of each side, summed over the shards."""
    total = 0
    for shard in filter(None, step.shards):
        longest = (int(_lengths(costs, side)[list(shard)].max()) for side in sides)
        total += len(shard) * math.prod(longest)
    return total


def _lengths(costs: Costs, side: str) -> Lengths:
    return costs.target if side == TARGET else costs.sources[side]
