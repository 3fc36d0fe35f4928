"""Search: the best words by beam, greedy where the beam is 1, or words drawn at random.

    beam_search(decoder, memories, batch_size, settings) -> per input its hypotheses, best first
    ctc_search(decoder, memories, batch_size, settings) -> the same, proposed by a CTC head
    sample(decoder, memories, batch_size, settings, generators) -> the same, drawn

The layout is (input, hypothesis). Memories stay one per input; of the past only back-pointers are
kept; inputs that are finished leave the batch. Limits, stopping and random numbers are each
input's own: its output never depends on what else is in its batch. Of equal candidates the one
with the better parent goes first, then the one with the lower token. It refuses to know what a
decoder or a scorer is made of.

A hypothesis that ends takes its place along and the beam narrows (Sutskever et al. 2014, section
3.2); an input is finished when nothing that is left could beat the worst hypothesis it keeps.

Letters: B inputs that are still here, N hypotheses per input, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from multiattn.engine.memory import Memory
from multiattn.engine.trees import tree_map
from multiattn.recipe.settings import Search
from multiattn.search.candidates import Best, Choice, Chooser
from multiattn.search.constraints import Rules, make_rules
from multiattn.search.hypotheses import History, Hypothesis
from multiattn.search.panel import Panel, Voices, first_member
from multiattn.search.scorers import Decoder, Scorer
from multiattn.symbols import BOS, EOS

Memories = Mapping[str, Memory] | Sequence[Mapping[str, Memory]]  # the latter for an Ensemble
NO_HEADS: Mapping[str, nn.Module] = {}


@torch.no_grad()
def beam_search(
    decoder: Decoder,
    memories: Memories,
    batch_size: int,
    settings: Search,
    *,
    scorers: Sequence[tuple[Scorer, float]] = (),
    heads: Mapping[str, nn.Module] = NO_HEADS,
    prefixes: Sequence[Sequence[int]] = (),
) -> list[list[Hypothesis]]:
    """Find the ``n_best`` best hypotheses of every input, best first.

    decoder: in evaluation mode. memories: leaves (B, …), a list of them for an ``Ensemble``.
    scorers: each with its weight. heads: the model's, for scorers that ask. prefixes: token ids
    that each output must begin with, one sequence per input, or none at all.
    Errors: ``UserError`` for a prefix that is none, and where the settings leave an input without
    any output.
    """
    panel = Panel(decoder, scorers)
    rules = make_rules(settings, first_member(memories), batch_size, prefixes)
    beam = _begin(panel, memories, heads, rules, settings.beam)
    ranking = _Ranking(settings.length_penalty, panel.ceiling)
    return _search(panel, Best(settings.beam), ranking, beam, memories, settings.n_best)


@dataclass(frozen=True)
class _Beam:
    """The hypotheses being written, best first; those of an input that has fewer are at -inf."""

    rows: Tensor  # (B,) which input of the search each row is
    rules: Rules
    places: Tensor  # (B,) hypotheses that may still end
    shared: Any  # leaves (B, …)
    state: Any  # leaves (B, N, …)
    tokens: Tensor  # (B, N), the last ones
    totals: Tensor  # (B, N)
    written: Tensor | None  # (B, N, step), for n-gram blocking


def _begin(
    panel: Voices, memories: Memories, heads: Mapping[str, nn.Module], rules: Rules, width: int
) -> _Beam:
    """One hypothesis per input, with nothing written."""
    batch_size = rules.limits.shape[0]
    shared, state = panel.begin(memories, heads, batch_size)
    like = _floating_leaf((state, shared))
    rows = torch.arange(batch_size, device=like.device)
    return _Beam(
        rows=rows,
        rules=tree_map(lambda leaf: leaf.to(like.device), rules),
        places=torch.full_like(rows, width),
        shared=shared,
        state=state,
        tokens=torch.full_like(rows, BOS).unsqueeze(1),  # (B, 1)
        totals=like.new_zeros(batch_size, 1, dtype=torch.promote_types(like.dtype, torch.float)),
        written=rows.new_zeros(batch_size, 1, 0) if rules.block_ngrams else None,
    )


def _floating_leaf(tree: Any) -> Tensor:
    """Any tensor of it that holds real numbers: it says where, and how precisely, to compute."""
    leaves: list[Tensor] = []

    def collect(leaf: Tensor) -> Tensor:
        leaves.append(leaf)
        return leaf

    tree_map(collect, tree)
    return next((leaf for leaf in leaves if leaf.is_floating_point()), torch.zeros(()))


def _search(
    voices: Voices,
    chooser: Chooser,
    ranking: _Ranking,
    beam: _Beam,
    memories: Memories,
    n_best: int,
) -> list[list[Hypothesis]]:
    """Go on from ``beam`` to the end of every input, and read the best off."""
    history = History(beam.rules, chooser.width, n_best, beam.totals)
    _run(voices, chooser, ranking, beam, history)
    return history.read(first_member(memories))


def _run(panel: Voices, chooser: Chooser, ranking: _Ranking, beam: _Beam, history: History) -> None:
    """Write until no input is left. At its limit an input can only end, so none stays for ever."""
    for step in range(history.steps):
        scored = panel.step(beam.tokens, beam.state, beam.shared)
        beam.rules.forbid(scored.worth, step, beam.written)
        choice = chooser.choose(scored, beam.totals, beam.rows, step)
        ranks = torch.arange(choice.totals.shape[1], device=beam.rows.device)
        closed = ranks >= beam.places.unsqueeze(1)  # (B, K)
        choice = replace(choice, totals=choice.totals.masked_fill(closed, -math.inf))
        ended = (choice.tokens == EOS) & (choice.totals > -math.inf)
        if ended.any():
            terms = panel.finish(scored.state, beam.shared)
            if isinstance(terms, Tensor):
                terms = terms.gather(1, choice.parents)
            scores = ranking.final(choice.totals, step + 1) + terms
            choice, scores = _end(choice, ended, scores)
            history.finish(beam.rows, scores)
            beam = replace(beam, places=beam.places - ended.sum(1))
        history.record(beam.rows, choice, scored.weights)
        best = choice.totals[:, 0]
        hopes = ranking.reachable(best, step + 1, beam.rules.limits)
        going = (best > -math.inf) & (hopes > history.worst_kept(beam.rows))
        beam = _go_on(replace(beam, state=scored.state), choice, going)
        if beam.rows.numel() == 0:
            return


def _end(choice: Choice, ended: Tensor, scores: Tensor) -> tuple[Choice, Tensor]:
    """Take what has ended out of the running: it goes behind what is alive, its totals are -inf."""
    totals = choice.totals.masked_fill(ended, -math.inf)
    order = (totals == -math.inf).byte().argsort(dim=1, stable=True)
    ordered: Choice = tree_map(lambda leaf: leaf.gather(1, order), replace(choice, totals=totals))
    return ordered, scores.masked_fill(~ended, -math.inf).gather(1, order)


def _go_on(beam: _Beam, choice: Choice, going: Tensor) -> _Beam:
    """The beam after a choice, without the inputs that are finished, as wide as is alive."""
    rows = torch.arange(going.shape[0], device=going.device)
    everyone = bool(going.all())
    if not everyone:
        rows = rows[going]
        beam, choice = _leave(beam, rows), tree_map(lambda leaf: leaf[rows], choice)
        if rows.numel() == 0:
            return beam
    width = int((choice.totals > -math.inf).sum(1).max())
    tokens, parents = choice.tokens[:, :width], choice.parents[:, :width]
    state, written = beam.state, beam.written
    if not everyone or width > 1 or beam.tokens.shape[1] > 1:
        places = rows.unsqueeze(1)
        state, written = tree_map(lambda leaf: leaf[places, parents], (state, written))
    if written is not None:
        written = torch.cat([written, tokens.unsqueeze(2)], 2)
    totals = choice.totals[:, :width]
    return replace(beam, state=state, tokens=tokens, totals=totals, written=written)


def _leave(beam: _Beam, rows: Tensor) -> _Beam:
    """Keep these rows of all that there is one of per input; hypotheses are reordered later."""
    per_input = (beam.rows, beam.rules, beam.places, beam.shared)
    kept, rules, places, shared = tree_map(lambda leaf: leaf[rows], per_input)
    return replace(beam, rows=kept, rules=rules, places=places, shared=shared)


@dataclass(frozen=True)
class _Ranking:
    """What a finished hypothesis is worth, and what an unfinished one can still be worth."""

    length_penalty: float
    ceiling: float  # no further token adds more

    def final(self, totals: Tensor, tokens: int) -> Tensor:
        """Divide by length ** penalty, the end symbol counted."""
        return totals / math.pow(tokens, self.length_penalty)

    def reachable(self, totals: Tensor, tokens: int, limits: Tensor) -> Tensor:
        """No continuation of hypotheses with these totals (B,) and so many tokens ends higher.

        The most that further tokens can add, over the length that suits it best: x / l ** p is
        monotone in l, so that is the shortest or the longest.
        """
        longest = (limits + 1).to(totals.dtype)
        most = totals + self.ceiling * (longest - tokens if self.ceiling > 0 else 1)
        shortest = math.pow(tokens + 1, self.length_penalty)
        return torch.maximum(most / shortest, most / longest.pow(self.length_penalty))
