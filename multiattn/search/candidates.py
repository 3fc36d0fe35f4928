"""Select the tokens that continue a search: candidates, and beam search's selector.

A selector handles all inputs of a batch at once, each independently of the rest.

Letters: B inputs not yet finished, N hypotheses per input, K candidates, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from multiattn.search.panel import StepScores


@dataclass(frozen=True)
class Candidates:
    """The tokens selected at one step, best first; leaves (B, K)."""

    tokens: Tensor
    parents: Tensor  # index of the hypothesis (of N) that the token extends
    log_probabilities: Tensor  # of this token alone
    totals: Tensor  # of the extended hypothesis, -inf where there is none


class CandidateSelector(Protocol):
    """A strategy for extending hypotheses."""

    @property
    def width(self) -> int:
        """How many hypotheses per input it keeps."""

    def choose(self, scored: StepScores, totals: Tensor, rows: Tensor, step: int) -> Candidates:
        """Extend hypotheses with these totals (B, N); row r is input ``rows[r]`` (B,)."""


@dataclass(frozen=True)
class TopCandidates:
    """Beam search's selector: the best continuations of all hypotheses of an input.

    In two stages: the best tokens of each hypothesis, then the best of those. Of equal candidates
    the one with the better parent wins, then the one with the lower token.
    """

    width: int

    def choose(self, scored: StepScores, totals: Tensor, rows: Tensor, step: int) -> Candidates:
        values, words = top_tokens(scored.scores, self.width)  # (B, N, K)
        reached = totals.unsqueeze(2) + values
        totals, order = reached.flatten(1).sort(dim=1, descending=True, stable=True)  # (B, N·K)
        totals, order = totals[:, : self.width], order[:, : self.width]  # (B, K)
        tokens = words.flatten(1).gather(1, order)
        return make_candidates(scored, order // words.shape[2], tokens, totals)


def top_tokens(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` best of V scores and their tokens, best first; ties go to the lower token.

    ``topk`` itself does not define the order of ties. scores: (B, N, V) -> two of (B, N, K).
    """
    if count >= scores.shape[2]:
        values, tokens = scores.sort(dim=2, descending=True, stable=True)
        return values, tokens
    if count == 1:
        values, tokens = scores.max(dim=2, keepdim=True)  # the first of tied scores
        return values, tokens
    values, tokens = scores.topk(count + 1, dim=2)
    tied = ((values[..., 1:] == values[..., :-1]) & (values[..., 1:] > -math.inf)).any(2)  # (B, N)
    values, tokens = values[..., :count], tokens[..., :count]
    if tied.any():
        values[tied], tokens[tied] = _stable_order(scores[tied], values[tied][:, -1:], count)
    return values, tokens


def _stable_order(scores: Tensor, least: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Like ``top_tokens``, for rows (R, V) whose count-th best score is ``least`` (R, 1)."""
    above, equal = ~(scores <= least), scores == least
    wanted = count - above.sum(1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(1) <= wanted))
    tokens = chosen.nonzero()[:, 1].view(-1, count)  # ascending
    values, order = scores.gather(1, tokens).sort(dim=1, descending=True, stable=True)
    return values, tokens.gather(1, order)


def pick(values: Tensor, parents: Tensor, tokens: Tensor) -> Tensor:
    """Gather values (B, N, V) at parents and tokens (B, K) -> (B, K)."""
    return values.flatten(1).gather(1, parents * values.shape[2] + tokens)


def make_candidates(
    scored: StepScores, parents: Tensor, tokens: Tensor, totals: Tensor
) -> Candidates:
    """Candidates with the log-probability of each token looked up; all (B, K)."""
    return Candidates(tokens, parents, pick(scored.log_probabilities, parents, tokens), totals)
