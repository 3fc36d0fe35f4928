"""Subword sampling: BPE-dropout and unigram sampling, as functions of a generator."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

from multiattn.symbols import UNK

_CACHED_SEGMENTS = 2**16
LONGEST_SEGMENT = 256  # characters; time and memory of BPE-dropout grow with the square


class _BpeDropout:
    """BPE-dropout (Provilkov et al. 2020, algorithm 1): each merge may be dropped at every step."""

    def __init__(self, model: dict[str, Any], probability: float) -> None:
        self._ids: dict[str, int] = model["vocab"]
        self._ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self._probability = probability
        self._merges = lru_cache(_CACHED_SEGMENTS)(self._merges_uncached)

    def __call__(self, segment: str, generator: random.Random) -> list[int]:
        """Apply the best merge that is not dropped, until none is left or all are dropped.

        Drawing best first until one is kept gives the same distribution as drawing for all at once.
        """
        if len(segment) > LONGEST_SEGMENT:  # no word, but base64 or a line of dashes
            starts = range(0, len(segment), LONGEST_SEGMENT)
            parts = (segment[start : start + LONGEST_SEGMENT] for start in starts)
            return [piece for part in parts for piece in self(part, generator)]
        pieces, missed, draw = tuple(segment), self._probability, generator.random
        while True:
            for position in self._merges(pieces):
                if draw() >= missed:
                    merged = pieces[position] + pieces[position + 1]
                    pieces = (*pieces[:position], merged, *pieces[position + 2 :])
                    break
            else:
                return [self._ids.get(piece, UNK) for piece in pieces]

    def _merges_uncached(self, pieces: tuple[str, ...]) -> tuple[int, ...]:
        """Positions of adjacent pieces that can be merged, the earliest-learned merge first."""
        ranks = self._ranks
        ranked = [
            (ranks[pair], position)
            for position, pair in enumerate(pairwise(pieces))
            if pair in ranks
        ]
        return tuple(position for _, position in sorted(ranked))


class _UnigramSampling:
    """Subword regularisation (Kudo 2018, section 3): forward filtering, backward sampling.

    With the given probability a segmentation is drawn from P(segmentation) ** smoothing, over all
    segmentations of the segment; otherwise the best one is used.
    """

    smoothing = 0.2  # Kudo 2018, section 5.1: α of the small corpora (IWSLT), all segmentations
    unknown_penalty = 10.0  # below the rarest piece, as in ``tokenizers`` and sentencepiece

    def __init__(
        self, model: dict[str, Any], probability: float, best: Callable[[str], Sequence[int]]
    ) -> None:
        self._ids = {piece: index for index, (piece, _) in enumerate(model["vocab"])}
        self._scores = {piece: float(score) for piece, score in model["vocab"]}
        self._unknown = min(self._scores.values()) - self.unknown_penalty
        self._longest = max(map(len, self._scores))
        self._probability = probability
        self._best = best
        self._columns = lru_cache(_CACHED_SEGMENTS)(self._columns_uncached)

    def __call__(self, segment: str, generator: random.Random) -> Sequence[int]:
        if generator.random() >= self._probability:
            return self._best(segment)
        columns, end, ids = self._columns(segment), len(segment), []
        while end:
            starts, weights = columns[end - 1]
            (start,) = generator.choices(starts, cum_weights=weights)
            ids.append(self._ids.get(segment[start:end], UNK))
            end = start
        return ids[::-1]

    def _columns_uncached(self, segment: str) -> list[tuple[list[int], list[float]]]:
        """For each end: the possible starts of its last piece, and their cumulative weights."""
        forward = [0.0]  # log of the summed weight of all segmentations of segment[:end]
        columns = []
        for end in range(1, len(segment) + 1):
            logs = {
                start: forward[start] + self.smoothing * score
                for start in range(max(0, end - self._longest), end)
                if (score := self._score(segment[start:end])) is not None
            }
            top = max(logs.values())
            weights = list(accumulate(math.exp(log - top) for log in logs.values()))
            forward.append(top + math.log(weights[-1]))
            columns.append((list(logs), weights))
        return columns

    def _score(self, piece: str) -> float | None:
        return self._scores.get(piece, self._unknown if len(piece) == 1 else None)
