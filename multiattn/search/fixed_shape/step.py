"""One step of a search, in place and in tensors of fixed shape: what a CUDA graph can hold.

Letters: B inputs, N hypotheses per input and as many candidates, S memory slots, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from multiattn.engine.fast.gpu.recording import Buffers, Recorder, Replay
from multiattn.engine.trees import leaves, tree_map
from multiattn.search.candidates import Candidates, set_ended_aside, without_surplus
from multiattn.search.fixed_shape.beams import FixedBeams, copy_by_type, signature
from multiattn.search.history import Stretch, best_ended
from multiattn.search.panel import StepScorer, StepScores
from multiattn.search.scorers import Weights
from multiattn.symbols import EOS

if TYPE_CHECKING:
    from multiattn.search.beam import Ranking

HELD = 16  # steps whose candidates are held in the buffers


class Phase(NamedTuple):
    """What a step has to look after; each phase is a graph of its own."""

    first: bool
    may_end: bool
    at_limit: bool


@dataclass(frozen=True)
class Held:
    """The candidates of the last steps, leaves (HELD, B, N), and weights (HELD, B, N, S)."""

    tokens: Tensor
    parents: Tensor
    log_probabilities: Tensor
    weights: dict[str, Tensor]


class FixedShapeSearch:
    """A search of fixed shape.

    live: how many inputs are not finished, counted in every step in which they may end.
    recorded: whether steps are recorded and replayed; else they run as they are, which gives the
        same bits.
    """

    def __init__(
        self, start: FixedBeams, size: int, ranking: Ranking, store: Buffers, recorder: Recorder
    ) -> None:
        """Buffers for up to ``size`` inputs like those of ``start``, which is loaded."""
        self.size, self.width = size, start.tokens.shape[1]
        self._ranking, self._store, self._recorder = ranking, store, recorder
        self._counters = store.like("counters", start.rows.new_empty(2))  # step, and place in Held
        self.live = store.like("live", start.rows.new_empty(()))
        self._ranks = torch.arange(self.width, device=start.rows.device)
        self._offsets = torch.arange(size, device=start.rows.device).unsqueeze(1) * self.width
        self.recorded = False
        self._replays: dict[Phase, Replay] = {}
        self._first = self.beams = start.buffers(size, store)
        self._held: Held
        self.load(start)

    def prepare(self, scorer: StepScorer) -> None:
        """Learn which state a step returns. Raises RuntimeError where its shape does not stay."""
        seen: list[StepScores] = []
        first = self._first

        def look() -> None:
            seen.append(scorer.step(first.tokens, first.state, first.shared))
            seen.append(scorer.step(first.tokens, seen[0].state, first.shared))

        self._recorder.rehearse(look)
        after = seen[0].state
        if signature(after) != signature(seen[1].state):
            raise RuntimeError("the state of the decoder or of a scorer grows from step to step")
        if any(leaf.shape[:2] != first.tokens.shape for leaf in leaves(after)):
            raise RuntimeError("the state of the decoder or of a scorer is not (B, N, ...)")
        if signature(after) != signature(first.state):
            self.beams = replace(first, state=_in_store(self._store, "state", after))
        self._held = Held(
            self._holding("tokens", first.tokens),
            self._holding("parents", first.tokens),
            self._holding("log_probabilities", seen[0].log_probabilities[..., 0]),
            {name: self._holding(name, leaf) for name, leaf in seen[0].weights.items()},
        )

    def load(self, start: FixedBeams) -> None:
        """Overwrite the beams; the count of steps stays."""
        self._first.load(start)

    def restart(self) -> None:
        """Count steps from 0."""
        self._counters.zero_()

    def advance(self, phase: Phase, scorer: StepScorer) -> None:
        """Take a step. Raises RuntimeError if it cannot be recorded."""
        phase = phase._replace(first=phase.first and self._first is not self.beams)
        if not self.recorded:
            self._advance(phase, scorer)
            return
        if phase not in self._replays:
            self._replays[phase] = self._record(phase, scorer)
        self._replays[phase]()

    def take(self, steps: int) -> Stretch:
        """A copy of what is held, these many steps; nothing is held afterwards."""
        held = tree_map(lambda leaf: leaf[:steps].clone(), self._held)
        self._counters[1:].zero_()
        return Stretch(
            self.beams.rows.clone(),
            held.tokens,
            held.parents,
            held.log_probabilities,
            held.weights,
        )

    def _holding(self, name: str, leaf: Tensor) -> Tensor:
        return self._store.like(("held", name), leaf.unsqueeze(0).expand(HELD, *leaf.shape))

    def _record(self, phase: Phase, scorer: StepScorer) -> Replay:
        """Rehearse and record a step, without effect on the search."""
        tensors = [*leaves((self._first, self.beams.state)), self._counters, self.live]
        before = [leaf.clone() for leaf in tensors]

        def work() -> None:
            self._advance(phase, scorer)

        try:
            self._recorder.rehearse(work)
            copy_by_type(tensors, before)
            return self._recorder.record(work)
        finally:
            copy_by_type(tensors, before)

    def _advance(self, phase: Phase, scorer: StepScorer) -> None:
        """One step of ``beam.run``: from the first beams or the later ones to the later ones."""
        before, after = self._first if phase.first else self.beams, self.beams
        step = self._counters[:1]
        scored = scorer.step(before.tokens, before.state, before.shared)
        _forbid(scored.scores, before, step, phase)
        candidates = before.selector.choose(scored, before.totals, before.rows, step)
        targets, sources = [after.tokens, after.totals], list[Tensor]()
        if phase.may_end:
            candidates, *sources = self._end(candidates, scored.state, scorer, before)
            targets += [after.scores, after.ends, after.unfinished]
        self._hold(candidates, scored.weights)
        state = self._reordered(scored.state, candidates.parents)
        copy_by_type(
            [*targets, *leaves(after.state)],
            [candidates.tokens, candidates.totals, *sources, *state],
        )
        if phase.may_end:
            torch.sum(after.totals[:, 0] > -math.inf, 0, out=self.live)
        self._counters.add_(1)

    def _end(
        self, candidates: Candidates, state: Any, scorer: StepScorer, before: FixedBeams
    ) -> tuple[Candidates, Tensor, Tensor, Tensor]:
        """Set aside what ends: what goes on, the best that ended and where, places left."""
        step, ranking = self._counters[:1], self._ranking
        candidates, ended = without_surplus(candidates, before.unfinished)
        final_terms = scorer.finish(state, before.shared)
        if isinstance(final_terms, Tensor):
            final_terms = final_terms.gather(1, candidates.parents)
        final_scores = ranking.final(candidates.totals, step + 1) + final_terms
        candidates, final_scores = set_ended_aside(candidates, ended, final_scores)
        positions = step * self.width + self._ranks
        scores, ends = best_ended(before.scores, before.ends, final_scores, positions)
        best = candidates.totals[:, 0]
        bound = ranking.upper_bound(best, step + 1, before.limits)
        finished = ~((best > -math.inf) & (bound > scores[:, -1]))
        totals = candidates.totals.masked_fill(finished.unsqueeze(1), -math.inf)
        unfinished = before.unfinished - ended.sum(1)
        return replace(candidates, totals=totals), scores, ends, unfinished

    def _hold(self, candidates: Candidates, weights: Weights) -> None:
        place, held = self._counters[1:], self._held
        held.tokens.index_copy_(0, place, candidates.tokens.unsqueeze(0))
        held.parents.index_copy_(0, place, candidates.parents.unsqueeze(0))
        held.log_probabilities.index_copy_(0, place, candidates.log_probabilities.unsqueeze(0))
        for source, leaf in weights.items():
            held.weights[source].index_copy_(0, place, leaf.unsqueeze(0))

    def _reordered(self, state: Any, parents: Tensor) -> list[Tensor]:
        """The leaves of the state of each candidate's parent, none of them a buffer."""
        if self.width == 1:
            return [leaf.clone() if self._is_buffer(leaf) else leaf for leaf in leaves(state)]
        order = (parents + self._offsets).flatten()
        return [
            leaf.flatten(0, 1).index_select(0, order).view(*parents.shape, *leaf.shape[2:])
            for leaf in leaves(state)
        ]

    def _is_buffer(self, leaf: Tensor) -> bool:
        buffers = leaves((self._first, self.beams.state))
        return _address(leaf) in {_address(buffer) for buffer in buffers}


def _address(leaf: Tensor) -> int:
    return leaf.untyped_storage().data_ptr()


def _in_store(store: Buffers, name: str, tree: Any) -> Any:
    """Buffers of the structure of a tree."""
    count = 0

    def buffer(leaf: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return store.like((name, count), leaf)

    return tree_map(buffer, tree)


def _forbid(scores: Tensor, beams: FixedBeams, step: Tensor, phase: Phase) -> None:
    """Set the scores (B, N, V) of tokens that may not come next to -inf, in place."""
    if not phase.may_end:
        scores[..., : EOS + 1].fill_(-math.inf)
        return
    scores[..., :EOS].fill_(-math.inf)
    scores[..., EOS].masked_fill_((step < beams.earliest)[:, None], -math.inf)
    if phase.at_limit:
        scores[..., EOS + 1 :].masked_fill_((step >= beams.limits)[:, None, None], -math.inf)
