"""How long the sources of the training split are, recorded in ``run.json`` for predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from multiattn.data.batch_plan import Costs
from multiattn.engine.model import Model, SlotCountingEncoder
from multiattn.run_folder import RunFolder

FEW = 0.01  # of the training examples have fewer target tokens per slot than recorded


@dataclass(frozen=True)
class SourceSizes:
    """The sizes of one source in training.

    longest: the largest size, in the reader's unit. tokens_per_slot: target tokens, the end symbol
    included, per memory slot; 99 % of the examples have at least as many. None if unknown.
    """

    longest: int
    tokens_per_slot: float | None = None

    @classmethod
    def read(cls, run: RunFolder) -> Mapping[str, Self]:
        """What a run recorded, by source; empty for a run of an earlier version."""
        recorded = run.read_start().get("sources", {}) if run.start.exists() else {}
        return {name: cls(**sizes) for name, sizes in recorded.items()}


def source_sizes(costs: Costs, model: Model) -> dict[str, SourceSizes]:
    """The sizes of every source of a split; without a source that no example has."""
    encoders: dict[str, Any] = dict(model.encoders.items())
    return {
        name: SourceSizes(int(sizes.max()), _tokens_per_slot(costs, name, encoders[name]))
        for name, sizes in costs.sources.items()
        if sizes.any()
    }


def _tokens_per_slot(costs: Costs, source: str, encoder: object) -> float | None:
    if not isinstance(encoder, SlotCountingEncoder):
        return None
    present = costs.sources[source] > 0
    sizes, which = np.unique(costs.sources[source][present], return_inverse=True)
    slots = np.array([encoder.slots(size) for size in sizes.tolist()])[which]
    return round(float(np.quantile(costs.target[present] / slots, FEW)), 4)
