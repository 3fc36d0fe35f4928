"""Hypotheses, and the search history that they are traced back from when the search is over.

Letters: B inputs not yet finished, N hypotheses per input, K candidates, S memory slots,
T output tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from multiattn.engine.memory import Memory
from multiattn.errors import UserError
from multiattn.search.candidates import Candidates
from multiattn.search.constraints import Constraints


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
class _Step:
    """One step of a search: its candidates, its attention weights, and the input of each row."""

    rows: Tensor  # (B,)
    choice: Candidates  # leaves (B, K)
    weights: Mapping[str, Tensor]  # (B, N, S)


class SearchHistory:
    """The candidates of every step as back-pointers, and the best hypotheses that have ended.

    Nothing is copied until the search is over.
    """

    def __init__(self, rules: Constraints, width: int, n_best: int, totals: Tensor) -> None:
        """A history for one search; scores get the device and the precision of ``totals``."""
        self.steps = int(rules.limits.max()) + 1
        self._width = width
        self._steps: list[_Step] = []
        self._scores = totals.new_full((rules.limits.shape[0], n_best), -math.inf)
        self._ends = rules.limits.new_zeros(self._scores.shape)  # step · width + hypothesis

    def record(self, rows: Tensor, choice: Candidates, weights: Mapping[str, Tensor]) -> None:
        """Append a step. Row r of the batch is input ``rows[r]``; ``weights`` are (B, N, S)."""
        self._steps.append(_Step(rows, choice, weights))

    def finish(self, rows: Tensor, scores: Tensor) -> None:
        """Keep the best hypotheses that ended at this step; call it before ``record``.

        scores: (B, N) final scores, -inf where none ended. Of tied scores the earlier stays ahead.
        """
        first = len(self._steps) * self._width
        positions = torch.arange(first, first + scores.shape[1], device=rows.device)
        kept, n_best = self._scores[rows], self._scores.shape[1]
        ranked, order = torch.cat([kept, scores], 1).sort(dim=1, descending=True, stable=True)
        ends = torch.cat([self._ends[rows], positions.expand_as(scores)], 1).gather(1, order)
        self._scores[rows] = ranked[:, :n_best]
        self._ends[rows] = ends[:, :n_best]

    def worst_kept(self, rows: Tensor) -> Tensor:
        """The score that a hypothesis must beat to be kept (B,); -inf while there is room."""
        return self._scores[rows, -1]  # (B,)

    def read(self, memories: Mapping[str, Memory]) -> list[list[Hypothesis]]:
        """The finished hypotheses of every input, best first, traced back from their ends.

        Raises UserError for an input without any.
        """
        choices = [step.choice for step in self._steps]
        rows = _lists([step.rows for step in self._steps])
        walk = _TraceBack(
            tokens=_lists([choice.tokens for choice in choices]),
            parents=_lists([choice.parents for choice in choices]),
            log_probabilities=_lists([choice.log_probabilities for choice in choices]),
            positions=[{row: index for index, row in enumerate(each)} for each in rows],
            weights=[step.weights for step in self._steps],
            masks={source: memory.mask.cpu() for source, memory in memories.items()},
        )
        width, outputs = self._width, []
        for row, (scores, ends) in enumerate(
            zip(self._scores.tolist(), self._ends.tolist(), strict=True)
        ):
            if not math.isfinite(scores[0]):
                raise UserError(
                    f"expected an output for every input, got none for number {row}; min_length, "
                    "block_ngrams and prefix together forbid every ending, or the scores of the "
                    "decoder are not numbers: relax these settings or check the training"
                )
            outputs.append(
                [
                    walk.back(row, end // width, end % width, score)
                    for score, end in zip(scores, ends, strict=True)
                    if math.isfinite(score)
                ]
            )
        return outputs


def _lists(leaves: Sequence[Tensor]) -> list[Any]:
    """Tensors of any shapes as nested lists, copied from their device in one transfer."""
    sizes = [leaf.numel() for leaf in leaves]
    whole = torch.cat([leaf.flatten() for leaf in leaves]).cpu()
    parts = torch.split(whole, sizes)
    return [part.view(leaf.shape).tolist() for part, leaf in zip(parts, leaves, strict=True)]


@dataclass(frozen=True)
class _TraceBack:
    """A finished search as plain lists: [step][row of the batch at that step][hypothesis]."""

    tokens: list[list[list[int]]]
    parents: list[list[list[int]]]
    log_probabilities: list[list[list[float]]]
    positions: list[dict[int, int]]  # [step][input] -> row of the batch at that step
    weights: list[Mapping[str, Tensor]]  # [step][source] -> (B, N, S)
    masks: dict[str, Tensor]  # (B, S)

    def back(self, row: int, last: int, hypothesis: int, score: float) -> Hypothesis:
        """The hypothesis of input ``row`` that ended at step ``last``."""
        tokens, log_probabilities, queries = [], [], []
        for step in range(last, -1, -1):
            position = self.positions[step][row]
            tokens.append(self.tokens[step][position][hypothesis])
            log_probabilities.append(self.log_probabilities[step][position][hypothesis])
            hypothesis = self.parents[step][position][hypothesis]
            queries.append((self.weights[step], position, hypothesis))
        attention = {
            source: torch.stack(
                [weights[source][position, n] for weights, position, n in queries[::-1]]
            )
            for source in self.weights[0]
        }  # (T + 1, S)
        return Hypothesis(
            tokens=tuple(tokens[:0:-1]),
            score=score,
            log_probability=math.fsum(log_probabilities),
            token_log_probabilities=tuple(log_probabilities[::-1]),
            attention={
                source: weights.cpu()[:, self.masks[source][row]]
                for source, weights in attention.items()
            },
        )
