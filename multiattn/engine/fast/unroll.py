"""Run a recurrence over packed target tokens: reference implementation and choice of faster paths.

Packed means time-major, with rows by decreasing target length: step t holds the ``counts[t]`` rows
still alive one after another, M in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from multiattn.engine.fast import input_feeding, parallel
from multiattn.engine.trees import first_rows


def concatenate_weights(steps: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Per step and source (n, S) -> per source (M, S)."""
    return {name: torch.cat([weights[name] for weights in steps]) for name in steps[0]}


def unroll_step_by_step(
    recurrence: Any, embedded: Tensor, counts: Sequence[int], state: Any, keys: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run step by step: embedded (M, E) -> features (M, F) and per source weights (M, S)."""
    features, step_weights, living = [], [], counts[0]
    for words in torch.split(embedded, list(counts)):
        alive = words.size(0)
        if alive < living:
            state, keys = first_rows((state, keys), alive)
            living = alive
        feature, state, weights = recurrence(words.unsqueeze(1), state, keys)  # N = 1
        features.append(feature.squeeze(1))
        step_weights.append({name: leaf.squeeze(1) for name, leaf in weights.items()})
    return torch.cat(features), concatenate_weights(step_weights)


def unroll(
    recurrence: Any,
    embedded: Tensor,
    counts: Sequence[int],
    state: Any,
    keys: Any,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Do the same as ``unroll_step_by_step``, by the fastest path for this recurrence."""
    if input_feeding.applies(recurrence, embedded, keys):
        return input_feeding.unroll(recurrence, embedded, counts, state, keys)
    if parallel.applies(recurrence, counts, keys):
        return parallel.unroll(recurrence, embedded, counts, state, keys)
    return unroll_step_by_step(recurrence, embedded, counts, state, keys)
