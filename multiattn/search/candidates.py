"""Select the tokens that continue a search: candidates, and beam search's selector.

A selector handles all inputs of a batch at once, each independently of the rest.

Letters: B inputs not yet finished, N hypotheses per input, K candidates, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from multiattn.engine.trees import tree_map
from multiattn.search.panel import StepScores
from multiattn.symbols import EOS

READS_VALUES = ("cpu",)  # devices on which reading a value back waits for nothing
FEW = 8  # up to so many maxima of a row are found one by one where no value may be read back


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

    def choose(
        self, scored: StepScores, totals: Tensor, rows: Tensor, step: int | Tensor
    ) -> Candidates:
        """Extend hypotheses with these totals (B, N); row r is input ``rows[r]`` (B,).

        step: a tensor (1,) in a search of fixed shape, where N is always ``width``.
        """


@runtime_checkable
class FixedShapeSelector(CandidateSelector, Protocol):
    """A selector that a search of fixed shape can use: it reads no value back from the device.

    It is a frozen dataclass; its tensors are (inputs, …) and are reordered along with the inputs.
    """

    @property
    def constants(self) -> Hashable:
        """Everything besides its tensors that its choices depend on."""

    def first_totals(self, totals: Tensor) -> Tensor:
        """The totals (B, ``width``) of the first step, for those (B, 1) of the empty hypothesis."""


@dataclass(frozen=True)
class TopCandidates:
    """Beam search's selector: the best continuations of all hypotheses of an input.

    In two stages: the best tokens of each hypothesis, then the best of those. Of equal candidates
    the one with the better parent wins, then the one with the lower token.
    """

    width: int

    @property
    def constants(self) -> Hashable:
        return "top", self.width

    def first_totals(self, totals: Tensor) -> Tensor:
        return F.pad(totals, (0, self.width - 1), value=-math.inf)

    def choose(
        self, scored: StepScores, totals: Tensor, rows: Tensor, step: int | Tensor
    ) -> Candidates:
        values, words = top_tokens(scored.scores, self.width)  # (B, N, K)
        reached, words = (totals.unsqueeze(2) + values).flatten(1), words.flatten(1)  # (B, N·K)
        if self.width == 1:
            return make_candidates(scored, torch.zeros_like(words), words, reached)
        totals, order = reached.sort(dim=1, descending=True, stable=True)
        totals, order = totals[:, : self.width], order[:, : self.width]  # (B, K)
        tokens = words.gather(1, order)
        return make_candidates(scored, order // values.shape[2], tokens, totals)


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
    if scores.device.type not in READS_VALUES:
        return top_tokens_unread(scores, count)
    values, tokens = scores.topk(count + 1, dim=2)
    tied = ((values[..., 1:] == values[..., :-1]) & (values[..., 1:] > -math.inf)).any(2)  # (B, N)
    values, tokens = values[..., :count], tokens[..., :count]
    if tied.any():
        values[tied], tokens[tied] = _stable_order(scores[tied], values[tied][:, -1:], count)
    return values, tokens


def top_tokens_unread(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """``top_tokens`` for a GPU: no value is read back, and no shape depends on one."""
    if count <= FEW:
        values, tokens = _maxima(scores, count)
        return values, tokens
    least = scores.topk(count, dim=2).values[..., -1:]
    wanted = count - (scores > least).sum(2, keepdim=True)
    equal = scores == least
    scores = scores.masked_fill(equal & (equal.cumsum(2) > wanted), -math.inf)
    tokens = scores.topk(count, dim=2).indices.sort(2).values  # ascending
    values, order = scores.gather(2, tokens).sort(dim=2, descending=True, stable=True)
    return values, tokens.gather(2, order)


def _maxima(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Take the first of the highest scores, strike it out, and repeat."""
    shape = (*scores.shape[:2], count)
    values, tokens = scores.new_empty(shape), scores.new_empty(shape, dtype=torch.long)
    for rank in range(count):
        best = values[..., rank : rank + 1], tokens[..., rank : rank + 1]
        torch.max(scores, 2, keepdim=True, out=best)
        if rank == 0:
            scores = scores.scatter(2, best[1], -math.inf)  # a copy
        elif rank < count - 1:
            scores.scatter_(2, best[1], -math.inf)
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


def without_surplus(candidates: Candidates, unfinished: Tensor) -> tuple[Candidates, Tensor]:
    """Keep no more candidates than may still end (B,); and which of them end now (B, K)."""
    ranks = torch.arange(candidates.totals.shape[1], device=unfinished.device)
    surplus = ranks >= unfinished.unsqueeze(1)  # (B, K)
    totals = candidates.totals.masked_fill(surplus, -math.inf)
    return replace(candidates, totals=totals), (candidates.tokens == EOS) & (totals > -math.inf)


def set_ended_aside(
    candidates: Candidates, ended: Tensor, final_scores: Tensor
) -> tuple[Candidates, Tensor]:
    """Move ended candidates behind the others and set their totals to -inf."""
    totals = candidates.totals.masked_fill(ended, -math.inf)
    candidates = replace(candidates, totals=totals)
    final_scores = final_scores.masked_fill(~ended, -math.inf)
    if totals.shape[1] == 1:
        return candidates, final_scores
    order = (totals == -math.inf).byte().argsort(dim=1, stable=True)
    ordered: Candidates = tree_map(lambda leaf: leaf.gather(1, order), candidates)
    return ordered, final_scores.gather(1, order)
