"""Search led by a CTC head: its outputs, rescored by decoder and scorers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from multiattn.engine.memory import Memory
from multiattn.recipe.settings import Search
from multiattn.search.beam import NO_HEADS, Memories, _begin, _Ranking, _search
from multiattn.search.candidates import Best, Choice
from multiattn.search.constraints import make_rules
from multiattn.search.ctc import CTCPrefix, Forward, Heard
from multiattn.search.hypotheses import Hypothesis
from multiattn.search.panel import Panel, Scored, first_member
from multiattn.search.scorers import Decoder, Scorer
from multiattn.symbols import EOS, PAD


@torch.no_grad()
def ctc_search(
    decoder: Decoder,
    memories: Memories,
    batch_size: int,
    settings: Search,
    *,
    scorers: Sequence[tuple[Scorer, float]] = (),
    heads: Mapping[str, nn.Module] = NO_HEADS,
    prefixes: Sequence[Sequence[int]] = (),
) -> list[list[Hypothesis]]:
    """Let a CTC head alone find ``beam`` outputs, and rank these as ``beam_search`` would.

    Decoder and scorers read only what was found, word after given word. The head is that of the
    scorer ``ctc``, whose weight then counts as in a beam, or else of the only source. The rest is
    as in ``beam_search``. Errors: also ``UserError`` for a model without such a head.
    """
    seen = first_member(memories)
    rules = make_rules(settings, seen, batch_size, prefixes)
    alone = HeadAlone(proposer(scorers))
    beam = _begin(alone, seen, heads, rules, settings.beam)
    plain = _Ranking(0.0, alone.ceiling)  # CTC tells how long an output is
    found = _search(alone, Best(settings.beam), plain, beam, seen, settings.beam)
    weight = sum(weight for scorer, weight in scorers if scorer is alone.scorer)
    given = Given.of(found, weight, beam.totals)
    panel = Panel(decoder, [pair for pair in scorers if pair[0] is not alone.scorer])
    beam = _begin(panel, memories, heads, rules, given.width)
    everyone = _Ranking(settings.length_penalty, math.inf)  # none may end a search early
    return _search(panel, given, everyone, beam, memories, settings.n_best)


def proposer(scorers: Sequence[tuple[Scorer, float]]) -> CTCPrefix:
    """The CTC scorer that finds the outputs of ``ctc_search``."""
    return next((scorer for scorer, _ in scorers if isinstance(scorer, CTCPrefix)), CTCPrefix())


RULED_OUT = -1e30  # by another voice than CTC: finite, so that rescoring can still rank it, last


class HeadAlone:
    """A CTC head as all that a search listens to: a panel without a decoder."""

    ceiling = 0.0

    def __init__(self, scorer: CTCPrefix) -> None:
        self.scorer = scorer

    def begin(
        self, memories: Mapping[str, Memory], heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[Heard, None]:
        """As the scorer's ``start``."""
        return self.scorer.start(memories, heads, batch_size)

    def step(self, tokens: Tensor, state: Forward | None, shared: Heard) -> Scored:
        """Read tokens (B, N)."""
        additions, after = self.scorer.score(tokens, {}, state, shared)
        additions = additions.to(shared.shares)  # the search computes as what it keeps
        return Scored(additions, additions, after, {})

    def finish(self, state: Any, shared: Any) -> float:
        """Nothing."""
        return 0.0


@dataclass(frozen=True)
class Given:
    """Rescoring's choice: hypotheses go on with the words that were given for them.

    Those of an input lie by falling length, so that the search, which puts what has ended last,
    keeps each in its place. Each begins with what it has earned already.
    """

    tokens: Tensor  # (inputs of the search, K, T), EOS last, then PAD
    earned: Tensor  # (inputs of the search, K)

    @classmethod
    def of(cls, found: Sequence[Sequence[Hypothesis]], weight: float, like: Tensor) -> Given:
        """From the hypotheses of each input, whose scores count as much as ``weight``."""
        longest = max(len(each.tokens) for row in found for each in row)
        shape = (len(found), max(len(row) for row in found))
        tokens, earned = torch.full((*shape, longest + 1), PAD), torch.zeros(shape)
        for place, row in enumerate(found):
            for rank, each in enumerate(sorted(row, key=lambda one: -len(one.tokens))):
                tokens[place, rank, : len(each.tokens) + 1] = torch.tensor([*each.tokens, EOS])
                earned[place, rank] = weight * each.score
        return cls(tokens.to(like.device), earned.to(like))

    @property
    def width(self) -> int:
        return self.tokens.shape[1]

    def choose(self, scored: Scored, totals: Tensor, rows: Tensor, step: int) -> Choice:
        count = totals.shape[1] if step else self.width
        tokens = self.tokens[rows, :count, step]  # (B, K)
        parents = torch.arange(count, device=rows.device) if step else rows.new_zeros(count)
        parents = parents.expand_as(tokens)
        places = parents * scored.worth.shape[2] + tokens
        own = scored.log_probabilities.flatten(1).gather(1, places)
        worth = scored.worth.flatten(1).gather(1, places)
        worth = worth.masked_fill(worth == -math.inf, RULED_OUT)
        before = totals.gather(1, parents) if step else totals + self.earned[rows].to(totals)
        totals = before + worth.masked_fill(tokens == PAD, -math.inf)
        return Choice(tokens, parents, own, totals)
