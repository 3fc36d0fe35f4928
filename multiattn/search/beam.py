"""Beam search over a batch of inputs; greedy search where the beam is 1.

    beam_search(SearchTask(decoder, memories, batch_size, settings)) -> hypotheses per input

Everything is laid out (input, hypothesis). Memories are stored once per input; hypotheses are kept
as back-pointers (``SearchHistory``) and read off at the end; finished inputs leave the batch.
Limits and stopping belong to each input, so its output never depends on the rest of the batch. Of
equal candidates the one with the better parent wins, then the one with the lower token.

A hypothesis that ends frees no place: the beam narrows by one (Sutskever et al. 2014, section 3.2).
An input is finished when no unfinished hypothesis can beat the worst one that is kept.

Three parts live elsewhere: ``TopCandidates`` picks the K best continuations, ``Constraints`` masks
tokens that may not come next, and ``Panel`` adds the scorers' terms to the decoder's
log-probabilities (without scorers it is ``decoder.step`` and a log-softmax).

Letters: B inputs not yet finished, N hypotheses per input, K candidates, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from multiattn.engine.trees import leaves, tree_map
from multiattn.search import fixed_shape
from multiattn.search.candidates import (
    Candidates,
    CandidateSelector,
    TopCandidates,
    set_ended_aside,
    without_surplus,
)
from multiattn.search.constraints import Constraints
from multiattn.search.history import SearchHistory
from multiattn.search.hypotheses import Hypothesis
from multiattn.search.panel import Panel, StepScorer
from multiattn.search.task import Memories, SearchTask
from multiattn.symbols import BOS


@torch.no_grad()
def beam_search(task: SearchTask) -> list[list[Hypothesis]]:
    """Find the ``n_best`` best hypotheses of every input, best first.

    Raises UserError where the settings leave an input without any output.
    """
    settings, panel = task.settings, Panel(task.decoder, task.scorers)
    beam = begin(panel, task.memories, task.heads, task.constraints(), settings.beam)
    history = SearchHistory(beam.constraints, settings.beam, settings.n_best, beam.totals)
    ranking = Ranking(settings.length_penalty, panel.ceiling)
    run(panel, TopCandidates(settings.beam), ranking, beam, history)
    return history.read(task.primary_memories)


@dataclass(frozen=True)
class Beam:
    """The unfinished hypotheses, best first; where an input has fewer than N, totals are -inf."""

    rows: Tensor  # (B,) index of each input in the whole batch
    constraints: Constraints
    unfinished: Tensor  # (B,) how many more hypotheses may end
    shared: Any  # leaves (B, …)
    state: Any  # leaves (B, N, …)
    tokens: Tensor  # (B, N), the last of each hypothesis
    totals: Tensor  # (B, N), sums of scores
    generated: Tensor | None  # (B, N, step) all tokens so far, kept for n-gram blocking only
    prefixes: Tensor | None  # (B, N) how much of them is spelled; None once all of it is


def begin(
    scorer: StepScorer,
    memories: Memories,
    heads: Mapping[str, nn.Module],
    constraints: Constraints,
    width: int,
) -> Beam:
    """One empty hypothesis per input."""
    batch_size = constraints.limits.shape[0]
    memories = fixed_shape.with_rounded_slots(memories)
    shared, state = scorer.begin(memories, heads, batch_size)
    like = _floating_leaf((state, shared))
    rows = torch.arange(batch_size, device=like.device)
    constraints = tree_map(lambda leaf: leaf.to(like.device, non_blocking=True), constraints)
    return Beam(
        rows=rows,
        constraints=constraints,
        unfinished=torch.full_like(rows, width),
        shared=shared,
        state=state,
        tokens=torch.full_like(rows, BOS).unsqueeze(1),  # (B, 1)
        totals=like.new_zeros(batch_size, 1, dtype=torch.promote_types(like.dtype, torch.float)),
        generated=rows.new_zeros(batch_size, 1, 0) if constraints.block_ngrams else None,
        prefixes=constraints.start(),
    )


def _floating_leaf(tree: Any) -> Tensor:
    """The first floating-point tensor of a tree: its device and precision are the search's."""
    return next((leaf for leaf in leaves(tree) if leaf.is_floating_point()), torch.zeros(()))


def run(
    scorer: StepScorer,
    selector: CandidateSelector,
    ranking: Ranking,
    beam: Beam,
    history: SearchHistory,
) -> None:
    """Extend hypotheses until every input is finished: at its limit a hypothesis can only end.

    On a GPU this is the definition of what ``fixed_shape.search.run`` finds.
    """
    device = beam.rows.device
    if fixed_shape.applies(device) and fixed_shape.run(scorer, selector, ranking, beam, history):
        return
    for step in range(history.steps):
        scored = scorer.step(beam.tokens, beam.state, beam.shared)
        beam.constraints.apply(scored.scores, step, beam.generated, beam.prefixes)
        candidates = selector.choose(scored, beam.totals, beam.rows, step)
        candidates, ended = without_surplus(candidates, beam.unfinished)
        if ended.any():
            final_terms = scorer.finish(scored.state, beam.shared)
            if isinstance(final_terms, Tensor):
                final_terms = final_terms.gather(1, candidates.parents)
            final_scores = ranking.final(candidates.totals, step + 1) + final_terms
            candidates, final_scores = set_ended_aside(candidates, ended, final_scores)
            history.finish(beam.rows, final_scores)
            beam = replace(beam, unfinished=beam.unfinished - ended.sum(1))
        history.record(beam.rows, candidates, scored.weights)
        best = candidates.totals[:, 0]
        bound = ranking.upper_bound(best, step + 1, beam.constraints.limits)
        going_on = (best > -math.inf) & (bound > history.worst_kept(beam.rows))
        beam = _advance(replace(beam, state=scored.state), candidates, going_on)
        if beam.rows.numel() == 0:
            return


def _advance(beam: Beam, candidates: Candidates, going_on: Tensor) -> Beam:
    """The next beam: without finished inputs, and as wide as its unfinished hypotheses."""
    rows = torch.arange(going_on.shape[0], device=going_on.device)
    all_going_on = bool(going_on.all())
    if not all_going_on:
        rows = rows[going_on]
        beam, candidates = _keep_inputs(beam, rows), tree_map(lambda leaf: leaf[rows], candidates)
        if rows.numel() == 0:
            return beam
    width = int((candidates.totals > -math.inf).sum(1).max())
    tokens, parents = candidates.tokens[:, :width], candidates.parents[:, :width]
    kept = beam.state, beam.generated, beam.prefixes
    if not all_going_on or width > 1 or beam.tokens.shape[1] > 1:
        index = rows.unsqueeze(1)
        kept = tree_map(lambda leaf: leaf[index, parents], kept)
    state, generated, prefixes = kept
    if generated is not None:
        generated = torch.cat([generated, tokens.unsqueeze(2)], 2)
    if prefixes is not None:
        prefixes = beam.constraints.follow(prefixes, tokens)
    beam = replace(beam, generated=generated, prefixes=prefixes)
    return replace(beam, state=state, tokens=tokens, totals=candidates.totals[:, :width])


def _keep_inputs(beam: Beam, rows: Tensor) -> Beam:
    """Keep these inputs in everything that is stored once per input."""
    per_input = (beam.rows, beam.constraints, beam.unfinished, beam.shared)
    kept, constraints, unfinished, shared = tree_map(lambda leaf: leaf[rows], per_input)
    return replace(beam, rows=kept, constraints=constraints, unfinished=unfinished, shared=shared)


@dataclass(frozen=True)
class Ranking:
    """Scores of finished hypotheses, and upper bounds for unfinished ones."""

    length_penalty: float
    ceiling: float  # the most that one further token can add

    def final(self, totals: Tensor, tokens: int | Tensor) -> Tensor:
        """Divide by length ** penalty; the length counts the end symbol."""
        return totals / self._power(tokens, totals)

    def upper_bound(self, totals: Tensor, tokens: int | Tensor, limits: Tensor) -> Tensor:
        """No continuation of hypotheses with these totals (B,) and so many tokens scores higher.

        The most that further tokens can add, over the most favourable length: x / l ** p is
        monotonic in l, so that is the shortest or the longest.
        """
        longest = (limits + 1).to(totals.dtype)
        most = totals + self.ceiling * (longest - tokens if self.ceiling > 0 else 1)
        shortest = self._power(tokens + 1, totals)
        return torch.maximum(most / shortest, most / longest.pow(self.length_penalty))

    def _power(self, length: int | Tensor, like: Tensor) -> float | Tensor:
        if isinstance(length, Tensor):
            return length.double().pow(self.length_penalty).to(like.dtype)
        return math.pow(length, self.length_penalty)
