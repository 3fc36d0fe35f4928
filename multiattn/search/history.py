"""The history of a search, from which its hypotheses are read when it is over.

Letters: t steps, B rows of the batch, N hypotheses per row, K candidates, S memory slots,
H finished hypotheses, T steps of the longest of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from multiattn.engine.memory import Memory
from multiattn.errors import UserError
from multiattn.search.candidates import Candidates
from multiattn.search.constraints import Constraints
from multiattn.search.hypotheses import BatchAttention, Hypothesis, OwnAttention

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Stretch:
    """Consecutive steps of a search with the same inputs in the batch.

    rows: (B,) the input of each row. tokens, parents, log_probabilities: (t, B, K), as in
    ``Candidates``. weights: (t, B, N, S) per source.
    """

    rows: Tensor
    tokens: Tensor
    parents: Tensor
    log_probabilities: Tensor
    weights: Mapping[str, Tensor]


class SearchHistory:
    """The candidates of every step as back-pointers, and the best hypotheses that have ended.

    Nothing is copied until the search is over.
    """

    def __init__(self, rules: Constraints, width: int, n_best: int, totals: Tensor) -> None:
        """A history for one search; scores get the device and the precision of ``totals``."""
        self.steps = rules.latest + 1
        self.n_best = n_best
        self._width = width
        self._recorded = 0
        self._stretches: list[Stretch] = []
        self._scores = totals.new_full((rules.limits.shape[0], n_best), -math.inf)
        self._ends = rules.limits.new_zeros(self._scores.shape)  # step · width + hypothesis

    def record(self, rows: Tensor, choice: Candidates, weights: Mapping[str, Tensor]) -> None:
        """Append a step. Row r of the batch is input ``rows[r]``; ``weights`` are (B, N, S)."""
        self.append(
            Stretch(
                rows,
                choice.tokens.unsqueeze(0),
                choice.parents.unsqueeze(0),
                choice.log_probabilities.unsqueeze(0),
                {source: leaf.unsqueeze(0) for source, leaf in weights.items()},
            )
        )

    def append(self, stretch: Stretch) -> None:
        """Append several steps."""
        self._stretches.append(stretch)
        self._recorded += stretch.tokens.shape[0]

    def finish(self, rows: Tensor, scores: Tensor) -> None:
        """Keep the best hypotheses that ended at this step; call it before ``record``.

        scores: (B, N) final scores, -inf where none ended.
        """
        first = self._recorded * self._width
        positions = torch.arange(first, first + scores.shape[1], device=rows.device)
        kept = self._scores[rows], self._ends[rows]
        self._scores[rows], self._ends[rows] = best_ended(*kept, scores, positions)

    def settle(self, scores: Tensor, ends: Tensor) -> None:
        """Set the best hypotheses that have ended, both (inputs, n_best), in one go."""
        self._scores, self._ends = scores, ends

    def worst_kept(self, rows: Tensor) -> Tensor:
        """The score that a hypothesis must beat to be kept (B,); -inf while there is room."""
        return self._scores[rows, -1]  # (B,)

    def read(self, memories: Mapping[str, Memory]) -> list[list[Hypothesis]]:
        """The finished hypotheses of every input, best first, traced back from their ends.

        Raises UserError for an input without any.
        """
        scores, ends = self._scores.cpu().numpy(), self._ends.cpu().numpy()
        finite = np.isfinite(scores)
        if not finite[:, 0].all():
            raise UserError(
                "expected an output for every input, got none for number "
                f"{int(finite[:, 0].argmin())}; min_length, block_ngrams and prefix together "
                "forbid every ending, or the scores of the decoder are not numbers: relax these "
                "settings or check the training"
            )
        rows = finite.nonzero()[0]
        paths = _trace_back(self._stretches, rows, *np.divmod(ends[finite], self._width))
        masks = {source: memory.mask.cpu() for source, memory in memories.items()}
        outputs: list[list[Hypothesis]] = [[] for _ in scores]
        for row, hypothesis in zip(
            rows.tolist(), _hypotheses(paths, rows, scores[finite], masks), strict=True
        ):
            outputs[row].append(hypothesis)
        return outputs


def best_ended(
    kept: Tensor, kept_ends: Tensor, scores: Tensor, positions: Tensor
) -> tuple[Tensor, Tensor]:
    """The best of kept and new hypotheses and where they ended; of tied ones the earlier.

    kept, kept_ends: (B, n_best); scores: (B, N), -inf where none ended; positions: (N,).
    """
    n_best, everything = kept.shape[1], torch.cat([kept, scores], 1)
    ends = torch.cat([kept_ends, positions.expand_as(scores)], 1)
    if n_best == 1:
        best, order = everything.max(1, keepdim=True)  # the first of tied scores
        return best, ends.gather(1, order)
    ranked, order = everything.sort(dim=1, descending=True, stable=True)
    return ranked[:, :n_best], ends.gather(1, order[:, :n_best])


class _Paths(NamedTuple):
    """What H hypotheses consist of; each ``last`` (H,) is the step at which one ended."""

    last: Array
    tokens: Array  # (T, H)
    log_probabilities: Array  # (T, H)
    weights: dict[str, Tensor]  # (T, H, S), on the CPU


def _trace_back(stretches: Sequence[Stretch], rows: Array, last: Array, at: Array) -> _Paths:
    """Follow hypotheses, all at once, from the step each ended at to the first.

    rows, at: (H,) the input of each hypothesis, and its index among the candidates of that step.
    """
    steps = int(last.max()) + 1
    firsts = list(accumulate((each.tokens.shape[0] for each in stretches), initial=0))
    stretches = [each for each, first in zip(stretches, firsts, strict=False) if first < steps]
    inputs = _arrays([each.rows for each in stretches])
    chosen = _arrays([each.tokens for each in stretches])
    parents = _arrays([each.parents for each in stretches])
    summands = _arrays([each.log_probabilities for each in stretches])
    tokens, queries = np.zeros((2, steps, len(rows)), np.int64)
    log_probabilities = np.zeros((steps, len(rows)), summands[0].dtype)
    for index in range(len(stretches) - 1, -1, -1):
        _, size, width = chosen[index].shape
        row = _inverse(inputs[index], rows)
        query_width = _query_width(stretches[index])
        for step in range(min(firsts[index + 1], steps) - 1, firsts[index] - 1, -1):
            own, begun = step - firsts[index], last >= step
            flat = np.where(begun, row * width + at, 0)
            tokens[step] = chosen[index][own].take(flat)
            log_probabilities[step] = summands[index][own].take(flat)
            at = np.where(begun, parents[index][own].take(flat), at)
            queries[step] = np.where(begun, (own * size + row) * query_width + at, 0)
    return _Paths(last, tokens, log_probabilities, _weights_of(stretches, queries))


def _arrays(leaves: Sequence[Tensor]) -> list[Array]:
    """Tensors of one type and any shapes, copied from their device in one transfer."""
    whole = torch.cat([leaf.flatten() for leaf in leaves]).cpu()
    parts = torch.split(whole, [leaf.numel() for leaf in leaves])
    return [part.view(leaf.shape).numpy() for part, leaf in zip(parts, leaves, strict=True)]


def _inverse(inputs: Array, rows: Array) -> Array:
    """The row of the batch that each of these inputs had, 0 for one that was not in it."""
    places = np.zeros(max(inputs.max(), rows.max()) + 1, np.int64)
    places[inputs] = np.arange(len(inputs))
    return places[rows]


def _query_width(stretch: Stretch) -> int:
    """How many hypotheses (N) attended at each step; any number without sources."""
    return next((leaf.shape[2] for leaf in stretch.weights.values()), 0)


def _weights_of(stretches: Sequence[Stretch], queries: Array) -> dict[str, Tensor]:
    """Per source the weights (T, H, S) of the queries, numbered within each stretch (T, H)."""
    asked = torch.from_numpy(queries).to(stretches[0].tokens.device)
    weights: dict[str, list[Tensor]] = {source: [] for source in stretches[0].weights}
    first = 0
    for stretch in stretches:
        own = asked[first : first + stretch.tokens.shape[0]].flatten()
        first += stretch.tokens.shape[0]
        for source, leaf in stretch.weights.items():
            weights[source].append(leaf.flatten(0, 2).index_select(0, own))
    return {
        source: torch.cat(parts).view(*queries.shape, -1).cpu() for source, parts in weights.items()
    }


def _hypotheses(
    paths: _Paths, rows: Array, scores: Array, masks: Mapping[str, Tensor]
) -> list[Hypothesis]:
    """The hypotheses with these inputs and scores (H,); masks (inputs, S) of real slots."""
    attention = BatchAttention(paths.weights, masks)
    each = zip(
        rows.tolist(),
        paths.last.tolist(),
        scores.tolist(),
        paths.tokens.T.tolist(),
        paths.log_probabilities.T.tolist(),
        strict=True,
    )
    return [
        Hypothesis(
            tokens=tuple(tokens[:last]),
            score=score,
            log_probability=math.fsum(log_probabilities[: last + 1]),
            token_log_probabilities=tuple(log_probabilities[: last + 1]),
            attention=OwnAttention(attention, index, row, last + 1),
        )
        for index, (row, last, score, tokens, log_probabilities) in enumerate(each)
    ]
