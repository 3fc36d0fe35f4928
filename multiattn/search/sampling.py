"""Sampling: draw hypotheses from the model, with temperature, top-k and top-p."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from multiattn.engine.batch import rounded_up
from multiattn.recipe.settings import SearchSettings
from multiattn.search import beam
from multiattn.search.candidates import Candidates, make_candidates, pick, top_tokens
from multiattn.search.history import SearchHistory
from multiattn.search.hypotheses import Hypothesis
from multiattn.search.panel import Panel, StepScores
from multiattn.search.task import SearchTask


@torch.no_grad()
def sample(task: SearchTask, generators: Sequence[torch.Generator]) -> list[list[Hypothesis]]:
    """Draw ``n_best`` hypotheses of every input independently, and rank them.

    Tokens are drawn with ``temperature``, ``top_k`` and ``top_p``; the reported log-probabilities
    are the decoder's, before any of these. generators: one per input, on the CPU, so that a sample
    is a function of the input and its generator. Raises the errors of ``beam_search``.
    """
    settings, panel, constraints = (
        task.settings,
        Panel(task.decoder, task.scorers),
        task.constraints(),
    )
    start = beam.begin(panel, task.memories, task.heads, constraints, settings.n_best)
    history = SearchHistory(start.constraints, settings.n_best, settings.n_best, start.totals)
    noise = torch.zeros(task.batch_size, rounded_up(history.steps), settings.n_best)
    limits = constraints.limits.tolist()
    for row, (generator, limit) in enumerate(zip(generators, limits, strict=True)):
        uniform = torch.rand(limit + 1, settings.n_best, generator=generator, dtype=torch.float)
        noise[row, : limit + 1] = uniform
    selector = SampledCandidates(settings, noise.to(start.totals))
    ranking = beam.Ranking(settings.length_penalty, math.inf)  # no sample is cut off early
    beam.run(panel, selector, ranking, start, history)
    return history.read(task.primary_memories)


@dataclass(frozen=True)
class SampledCandidates:
    """The sampling selector: one token per hypothesis, and ``width`` for the empty one.

    Tokens are drawn from softmax(scores / temperature), cut to the ``top_k`` likeliest, then to the
    fewest that hold ``top_p`` of the remaining mass (Holtzman et al. 2020, section 3.1).
    """

    settings: SearchSettings
    noise: Tensor  # (inputs of the search, steps, width), uniform in [0, 1)

    @property
    def width(self) -> int:
        return self.noise.shape[2]

    @property
    def constants(self) -> Hashable:
        settings = self.settings
        return "sample", self.width, settings.temperature, settings.top_k, settings.top_p

    def first_totals(self, totals: Tensor) -> Tensor:
        return totals.expand(-1, self.width)  # each goes its own way from the start

    def choose(
        self, scored: StepScores, totals: Tensor, rows: Tensor, step: int | Tensor
    ) -> Candidates:
        hypotheses = totals.shape[1]
        if isinstance(step, Tensor):
            noise = self.noise.index_select(1, step).squeeze(1).unsqueeze(2)  # (B, width, 1)
        else:
            noise = self.noise[rows, step]  # (B, width)
            noise = noise[:, :hypotheses, None] if step else noise[:, None]
        tokens = self._draw(scored.scores, noise).flatten(1)  # (B, K)
        parents = torch.arange(hypotheses, device=rows.device).repeat_interleave(noise.shape[2])
        parents = parents.expand_as(tokens)
        totals = totals.gather(1, parents) + pick(scored.scores, parents, tokens)
        return make_candidates(scored, parents, tokens, totals)

    def _draw(self, scores: Tensor, noise: Tensor) -> Tensor:
        """Scores (B, N, V), noise (B, N, M) -> tokens (B, N, M), by inverse transform sampling."""
        top_k, top_p, words = self.settings.top_k, self.settings.top_p, None
        if top_k:
            scores, words = top_tokens(scores, top_k)
        elif top_p < 1:
            scores, words = top_tokens(scores, scores.shape[2])
        shares = (scores / self.settings.temperature).softmax(2)
        if top_p < 1:
            shares = shares * (shares.cumsum(2) - shares < top_p)
        reached = shares.cumsum(2)
        ranks = torch.searchsorted(reached, noise * reached[..., -1:], right=True)
        ranks = ranks.clamp(max=reached.shape[2] - 1)  # in range even if no token is allowed
        return ranks if words is None else words.gather(2, ranks)
