"""Hypotheses: the finished outputs of a search.

Letters: T output tokens, H hypotheses of a batch, S memory slots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One complete output: T tokens and the end symbol make T + 1 scored tokens.

    tokens: the T tokens, without BOS and EOS, a forced prefix included.
    score: what it was ranked by: (log-probabilities + additions) / (T + 1) ** length_penalty
        + final terms of the scorers.
    log_probability: the decoder's, natural logarithm, the end symbol included.
    token_log_probabilities: its T + 1 summands.
    attention: weights (T + 1, S) per source, on the CPU, S the input's own real slots.
    """

    tokens: tuple[int, ...]
    score: float
    log_probability: float
    token_log_probabilities: tuple[float, ...]
    attention: Mapping[str, Tensor]


@dataclass(frozen=True)
class BatchAttention:
    """The attention weights of all hypotheses of a batch, on the CPU.

    weights: per source (T + 1 of the longest, H, S of the longest).
    masks: per source the real slots (B, S) of every input.
    """

    weights: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]


class OwnAttention(Mapping[str, Tensor]):
    """The weights of one hypothesis, cut out of those of its batch when they are asked for."""

    __slots__ = ("_batch", "_index", "_row", "_steps")

    def __init__(self, batch: BatchAttention, index: int, row: int, steps: int) -> None:
        """Hypothesis ``index`` of the batch, an output of input ``row``, T + 1 = ``steps``."""
        self._batch, self._index, self._row, self._steps = batch, index, row, steps

    def __getitem__(self, source: str) -> Tensor:
        weights, mask = self._batch.weights[source], self._batch.masks[source][self._row]
        return weights[: self._steps, self._index, : len(mask)][:, mask]  # (T + 1, S)

    def __iter__(self) -> Iterator[str]:
        return iter(self._batch.weights)

    def __len__(self) -> int:
        return len(self._batch.weights)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)  # without the rest of its batch
