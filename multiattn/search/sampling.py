"""Sampling: draw hypotheses from the model, with temperature, top-k and top-p."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from multiattn.recipe.settings import Search
from multiattn.search.beam import NO_HEADS, Memories, _begin, _Ranking, _run
from multiattn.search.candidates import Choice, _choice, _pick, top_tokens
from multiattn.search.constraints import make_rules
from multiattn.search.hypotheses import History, Hypothesis
from multiattn.search.panel import Panel, Scored, first_member
from multiattn.search.scorers import Decoder, Scorer


@torch.no_grad()
def sample(
    decoder: Decoder,
    memories: Memories,
    batch_size: int,
    settings: Search,
    generators: Sequence[torch.Generator],
    *,
    scorers: Sequence[tuple[Scorer, float]] = (),
    heads: Mapping[str, nn.Module] = NO_HEADS,
    prefixes: Sequence[Sequence[int]] = (),
) -> list[list[Hypothesis]]:
    """Draw ``n_best`` hypotheses of every input, independently of each other, and rank them.

    Words are drawn by ``temperature``, ``top_k`` and ``top_p``; log-probabilities are the
    decoder's own, before any of these. generators: one per input, on the CPU, so that what is
    drawn is a function of the input and its generator. The rest is as in ``beam_search``.
    """
    panel = Panel(decoder, scorers)
    rules = make_rules(settings, first_member(memories), batch_size, prefixes)
    beam = _begin(panel, memories, heads, rules, settings.n_best)
    history = History(beam.rules, settings.n_best, settings.n_best, beam.totals)
    noise = torch.zeros(batch_size, history.steps, settings.n_best)
    limits = rules.limits.tolist()
    for row, (generator, limit) in enumerate(zip(generators, limits, strict=True)):
        uniform = torch.rand(limit + 1, settings.n_best, generator=generator, dtype=torch.float)
        noise[row, : limit + 1] = uniform
    drawn = Drawn(settings, noise.to(beam.totals))
    ranking = _Ranking(settings.length_penalty, math.inf)  # nothing ends a draw early
    _run(panel, drawn, ranking, beam, history)
    return history.read(first_member(memories))


@dataclass(frozen=True)
class Drawn:
    """Sampling's choice: each hypothesis goes on with one word, the empty one with ``width``.

    Words are drawn with softmax(scores / temperature), cut to the ``top_k`` likeliest, then to the
    fewest that hold ``top_p`` of what is left (Holtzman et al. 2020, section 3.1).
    """

    settings: Search
    noise: Tensor  # (inputs of the search, steps, width), uniform in [0, 1)

    @property
    def width(self) -> int:
        return self.noise.shape[2]

    def choose(self, scored: Scored, totals: Tensor, rows: Tensor, step: int) -> Choice:
        noise, hypotheses = self.noise[rows, step], totals.shape[1]  # (B, width)
        noise = noise[:, :hypotheses, None] if step else noise[:, None]
        tokens = self._draw(scored.worth, noise).flatten(1)  # (B, K)
        parents = torch.arange(hypotheses, device=rows.device).repeat_interleave(noise.shape[2])
        parents = parents.expand_as(tokens)
        totals = totals.gather(1, parents) + _pick(scored.worth, parents, tokens)
        return _choice(scored, parents, tokens, totals)

    def _draw(self, scores: Tensor, noise: Tensor) -> Tensor:
        """Scores (B, N, V), noise (B, N, M) -> tokens (B, N, M), by the inverse distribution."""
        top_k, top_p, words = self.settings.top_k, self.settings.top_p, None
        if top_k:
            scores, words = top_tokens(scores, top_k)
        elif top_p < 1:
            scores, words = top_tokens(scores, scores.shape[2])
        shares = (scores / self.settings.temperature).softmax(2)
        if top_p < 1:
            shares = shares * (shares.cumsum(2) - shares < top_p)
        reached = shares.cumsum(2)
        places = torch.searchsorted(reached, noise * reached[..., -1:], right=True)
        places = places.clamp(max=reached.shape[2] - 1)  # where nothing may come there is no share
        return places if words is None else words.gather(2, places)
